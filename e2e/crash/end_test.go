package crash_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// end is all that is there when nothing runs any more, as readers see it.
type end struct {
	Rows     map[string]rows      // of each dataset, and of each sink by its flow
	Accounts map[string][]account // by flow
	States   map[string]string    // by flow
}

// rows are a multiset of rows without system columns.
type rows struct {
	Count, Distinct int64
	Digest          string
}

// account is a stage's account over all units of a flow.
type account struct {
	Name                        string
	Maps                        bool
	In, Out, Rejected, Filtered int64
}

type status struct {
	Flows []struct {
		Flow, State string
		Totals      []account
	}
	Datasets []dataset
}

type dataset struct {
	Name    string
	Writers []string
}

// now is how things stand.
func (p *project) now() (end, status) {
	p.t.Helper()
	var s status
	p.JSON(&s, "status", p.s.name)
	s.Datasets = slices.DeleteFunc(s.Datasets, func(d dataset) bool { return !strings.Contains(d.Name, "."+p.s.name+".") })
	if !p.s.steady { // else the rows of net changes depend on the units
		s.Datasets = slices.DeleteFunc(s.Datasets, func(d dataset) bool { return strings.HasSuffix(d.Name, changesSuffix) })
	}
	e := end{Rows: map[string]rows{}, Accounts: map[string][]account{}, States: map[string]string{}}
	for _, f := range s.Flows {
		e.Accounts[f.Flow], e.States[f.Flow] = f.Totals, f.State
	}
	var queries []string
	for _, d := range s.Datasets {
		queries = append(queries, p.s.digest(d.Name))
	}
	var found []struct {
		Dataset     string
		N, Distinct int64
		Digest      string
	}
	if len(queries) > 0 {
		p.JSON(&found, "query", strings.Join(queries, " union all "))
	}
	for _, d := range found {
		e.Rows[d.Dataset] = rows{Count: d.N, Distinct: d.Distinct, Digest: d.Digest}
	}
	for flow, sink := range p.s.sinks {
		e.Rows[flow] = p.sunk(sink)
	}
	return e, s
}

// digest is a query for what a dataset holds, in a row. In quarantine, reasons may tell how many rows their unit had, and rows that were
// read before their dataset got a column lack it, where others have a null. Numbers of versions tell the unit that ended them. The
// numbers of units count where units are cut alike.
func (s scenario) digest(dataset string) string {
	columns := "columns(c -> not starts_with(c, '_qanat') and c <> '_version')"
	if s.steady {
		columns = "columns(c -> not starts_with(c, '_qanat') or c = '_qanat_seq')"
	}
	if strings.HasPrefix(dataset, "quarantine.") {
		columns = `stream, stage, plugin, code, regexp_replace(decode(raw), ',"[a-z_]+":null', '', 'g') as raw`
	}
	return fmt.Sprintf("select '%s' as dataset, count(*) as n, count(distinct r) as distinct, coalesce(sum(hash(r)::hugeint)::varchar, '') as digest "+
		"from (select %s from %s) r", dataset, columns, dataset)
}

// sunk are the lines that a sink has written, less what it keeps for itself.
func (p *project) sunk(s sink) rows {
	p.t.Helper()
	var lines []string
	err := filepath.WalkDir(filepath.Join(p.Dir, s.folder), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(path, "/.qanat-sink/") || filepath.Ext(path) != ".jsonl" {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		in := bufio.NewScanner(file)
		for in.Scan() {
			lines = append(lines, in.Text())
		}
		return in.Err()
	})
	if err != nil {
		p.t.Fatal(err)
	}
	slices.Sort(lines)
	count := len(lines)
	different := slices.Compact(slices.Clone(lines))
	if s.repeats {
		book.repeated(count - len(different))
		lines, count = different, len(different)
	}
	sum := sha256.Sum256([]byte(strings.Join(lines[:count], "\n")))
	return rows{Count: int64(count), Distinct: int64(len(different)), Digest: hex.EncodeToString(sum[:8])}
}

// check holds what is there against an undisturbed run, and against itself.
func (p *project) check(calm end, unknown ...string) {
	p.t.Helper()
	got, s := p.now()
	want := end{Rows: calm.Rows, Accounts: map[string][]account{}, States: calm.States}
	for flow, stages := range calm.Accounts {
		if slices.Contains(unknown, flow) {
			got.Accounts[flow] = stages
		}
		want.Accounts[flow] = stages
	}
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("%s: the end differs from that of an undisturbed run (- undisturbed, + here):\n%s", p.s.name, diff)
	}
	if len(unknown) == 0 {
		p.sound(got, s)
	}
	p.follow()
	book.compared(got)
}

// sound holds what is there against what was made and against its own accounts, so that an undisturbed run proves itself, too.
func (p *project) sound(e end, s status) {
	p.t.Helper()
	if in := first(e.Accounts[p.s.name+".landing"]).In; in != p.s.made {
		p.t.Errorf("%s: the source gave %d rows, by the accounts %d", p.s.name, p.s.made, in)
	}
	for _, f := range s.Flows {
		var rejected, written int64
		for i, stage := range f.Totals {
			rejected += stage.Rejected
			if stage.Maps && stage.In != stage.Out+stage.Rejected+stage.Filtered || i > 0 && stage.In != f.Totals[i-1].Out {
				p.t.Errorf("%s: the accounts don't add up at %q: %+v", f.Flow, stage.Name, f.Totals)
			}
		}
		aside := "quarantine." + f.Flow
		if there := e.Rows[aside].Count; there != rejected {
			p.t.Errorf("%s: rejects are missing or there twice: %d rows were rejected by the accounts, %d are in quarantine", f.Flow, rejected, there)
		}
		replaces := false
		for _, d := range s.Datasets {
			if d.Name != aside && slices.Contains(d.Writers, f.Flow) {
				written += e.Rows[d.Name].Count
				replaces = strings.HasPrefix(d.Name, "curated.") || p.s.final != "" && !strings.HasPrefix(d.Name, "landing.")
			}
		}
		if sink, ok := p.s.sinks[f.Flow]; ok {
			written, replaces = e.Rows[f.Flow].Count, sink.replaces
		}
		if out := last(f.Totals).Out; !replaces && f.State != "held" && out != written {
			p.t.Errorf("%s: rows are missing or there twice: %d were written by the accounts, %d are there", f.Flow, out, written)
		}
	}
}

func first(stages []account) account {
	if len(stages) == 0 {
		return account{}
	}
	return stages[0]
}

func last(stages []account) account {
	if len(stages) == 0 {
		return account{}
	}
	return stages[len(stages)-1]
}
