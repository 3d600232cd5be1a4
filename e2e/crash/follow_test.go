package crash_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// changesSuffix ends the name of a dataset that has the net changes of another one.
const changesSuffix = "__changes"

// folded is what the net changes come to, for the columns that the rows have.
const folded = `(select id, amount, note from (select id, last(amount order by _qanat_seq) as amount, last(note order by _qanat_seq) as note,
	last(_op order by _qanat_seq) as op from %[1]s
	where _qanat_seq >= coalesce((select max(_qanat_seq) from %[1]s where _op = 4), 0) and _op <> 4 group by id having op <> 3))`

// follow holds datasets that follow a source's tables against what it says that its tables hold, and their net changes, too.
func (p *project) follow() {
	p.t.Helper()
	if p.s.final == "" {
		return
	}
	p.equals()
	p.versions()
	p.agrees()
}

// row is one of a source's table.
type row struct {
	Table  string `json:"table"`
	ID     int64  `json:"id"`
	Amount int64  `json:"amount"`
	Note   string `json:"note"`
}

// made is what the source's tables hold, by table.
func (p *project) made() map[string][]row {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.Dir, p.s.final))
	if err != nil {
		p.t.Fatal(err)
	}
	tables := map[string][]row{}
	for line := range strings.Lines(string(text)) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			p.t.Fatal(err)
		}
		tables[r.Table] = append(tables[r.Table], r)
	}
	return tables
}

func (p *project) equals() {
	p.t.Helper()
	from := map[string]string{} // tables, by what follows them
	for _, f := range p.s.follows {
		if f.history {
			from[f.dataset+" where valid_to is null"] = f.table
			continue
		}
		from[f.dataset] = f.table
		from[fmt.Sprintf(folded, f.dataset+changesSuffix)] = f.table
	}
	var queries []string
	for source, table := range from {
		queries = append(queries, fmt.Sprintf("select '%s' as source, '%s' as \"table\", id, amount, note from %s",
			strings.ReplaceAll(source, "'", "''"), table, source))
	}
	var found []struct {
		Source string
		row
	}
	p.JSON(&found, "query", "select * from ("+strings.Join(queries, " union all ")+") order by source, id")
	got := map[string][]row{}
	for _, r := range found {
		got[r.Source] = append(got[r.Source], r.row)
	}
	made := p.made()
	for source, table := range from {
		if diff := cmp.Diff(made[table], got[source]); diff != "" {
			p.t.Errorf("%s differs from the source's table (- source, + here):\n%s", source, diff)
		}
	}
}

// versions holds all versions of a table's rows against each other, and against their net changes.
func (p *project) versions() {
	p.t.Helper()
	for _, f := range p.s.follows {
		if f.history {
			p.versionsOf(f.dataset)
		}
	}
}

func (p *project) versionsOf(history string) {
	p.t.Helper()
	values := "id, _version, amount, note, valid_from, valid_to"
	changes := fmt.Sprintf(`select id, _version, unnest(last(struct_pack(amount, note, valid_from, valid_to) order by _qanat_seq, _op <> 3)) from %s
		group by id, _version having last(_op order by _qanat_seq, _op <> 3) <> 3`, history+changesSuffix)
	rows := fmt.Sprintf("select %s from %s", values, history)
	var queries []string
	for fault, query := range map[string]string{
		"versions overlap": fmt.Sprintf(`select id from (select id, valid_from, valid_to,
			lead(valid_from) over (partition by id order by valid_from, valid_to nulls last) as next from %s)
			where valid_to < valid_from or next < valid_to or next is not null and valid_to is null`, history),
		"versions have one number":         fmt.Sprintf("select id from %s group by id, _version having count(*) > 1", history),
		"versions are not in the changes":  fmt.Sprintf("(%s) except all (%s)", rows, changes),
		"changes are not in the versions":  fmt.Sprintf("(%s) except all (%s)", changes, rows),
		"versions that hold have a number": fmt.Sprintf("select id from %s where (valid_to is null) <> (_version = 0)", history),
	} {
		queries = append(queries, fmt.Sprintf("select '%s' as fault, id from (%s)", fault, query))
	}
	var found []struct {
		Fault string
		ID    int64
	}
	if p.JSON(&found, "query", strings.Join(queries, " union all ")); len(found) > 0 {
		p.t.Errorf("%s: %d %s, such as %+v", history, len(found), found[0].Fault, found[0])
	}
}

// sumsByUnit are the sums of amounts that a dataset's net changes come to after each unit.
const sumsByUnit = `select '%[1]s' as dataset, seq, coalesce(sum(amount) filter (op <> 3), 0)::bigint as total from (
	select seq, id, last(amount order by _qanat_seq) as amount, last(_op order by _qanat_seq) as op
	from (select seq, (select max(_qanat_seq) from %[2]s where _op = 4 and _qanat_seq <= seq) as era from units)
	left join %[2]s on _qanat_seq <= seq and _qanat_seq >= coalesce(era, 0) and _op <> 4 group by seq, id) group by seq`

// agrees holds the sums of a bank's books against each other: those of the rows, and those that the net changes give for every ledger row.
func (p *project) agrees() {
	p.t.Helper()
	if p.s.agree == "" {
		return
	}
	p.glance()
	var units, queries []string
	for _, f := range p.s.follows {
		units = append(units, "select _qanat_seq as seq from "+f.dataset+changesSuffix)
		queries = append(queries, fmt.Sprintf(sumsByUnit, f.dataset, f.dataset+changesSuffix))
	}
	var found []struct {
		Dataset    string
		Seq, Total int64
	}
	p.JSON(&found, "query", fmt.Sprintf("with units as (%s) select * from (%s) order by seq, dataset",
		strings.Join(units, " union "), strings.Join(queries, " union all ")))
	sums := map[int64]map[string]int64{}
	for _, sum := range found {
		if sums[sum.Seq] == nil {
			sums[sum.Seq] = map[string]int64{}
		}
		sums[sum.Seq][sum.Dataset] = sum.Total
	}
	for _, seq := range slices.Sorted(maps.Keys(sums)) {
		if !p.balanced(sums[seq]) {
			p.t.Errorf("the books don't agree after unit %d of %s: %v", seq, p.s.agree, sums[seq])
		}
	}
	if diff := cmp.Diff(p.ledger(p.s.agree), slices.Sorted(maps.Keys(sums))); diff != "" {
		p.t.Errorf("%s: net changes of other units than the ledger has (- ledger, + here):\n%s", p.s.agree, diff)
	}
}

// balanced says whether each of the books has a sum, and all have the same.
func (p *project) balanced(sums map[string]int64) bool {
	return len(sums) == len(p.s.follows) && len(slices.Compact(slices.Collect(maps.Values(sums)))) == 1
}

// glance looks at the books in between: as soon as there is a ledger row, they agree.
func (p *project) glance() {
	p.t.Helper()
	if p.s.agree == "" || len(p.ledger(p.s.agree)) == 0 {
		return
	}
	var queries []string
	for _, f := range p.s.follows {
		queries = append(queries, fmt.Sprintf("select '%s' as dataset, coalesce(sum(amount), 0)::bigint as total from %s", f.dataset, f.dataset))
	}
	var found []struct {
		Dataset string
		Total   int64
	}
	p.JSON(&found, "query", strings.Join(queries, " union all "))
	sums := map[string]int64{}
	for _, sum := range found {
		sums[sum.Dataset] = sum.Total
	}
	if !p.balanced(sums) {
		p.t.Errorf("the books don't agree: %v", sums)
	}
}

// ledger is the units of a flow.
func (p *project) ledger(flow string) []int64 {
	p.t.Helper()
	if _, err := os.Stat(filepath.Join(p.Dir, ".qanat", "state.db")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db := p.state()
	defer func() { _ = db.Close() }()
	var list sql.NullString
	err := db.QueryRowContext(context.Background(), "select json_group_array(seq order by seq) from qanat_ledger where flow = ?", flow).Scan(&list)
	if err != nil && strings.Contains(err.Error(), "no such table") { // it died before there were any
		return nil
	}
	var seqs []int64
	if err == nil {
		err = json.Unmarshal([]byte(list.String), &seqs)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return seqs
}
