package conformance_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/apache/arrow-go/v18/parquet"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
)

// ours is one of our plugins with settings, and the checks that say nothing about it.
type ours struct {
	name    string
	binary  string
	config  map[string]any
	schema  string // of inputs, as in a schema file
	mode    sdk.WriteMode
	through bool
	quick   bool
	run     string // in the quick set
	skipped []string
}

// The checks that are skipped for want of something: a probe, an Acker, secrets, rejections, much data.
var (
	noRejects = []string{"source.rejects"}
	files     = []string{"config.required", "source.slow", "source.ack", "source.provision"}
	rowwise   = []string{"transform.dry_run", "secrets.hidden"}
	collected = []string{"transform.dry_run", "transform.cardinality", "transform.identity", "secrets.hidden"}
	judging   = []string{"check.dry_run", "secrets.hidden"}
	writing   = []string{"sink.rejects", "secrets.hidden"}
)

const amounts = `columns: {id: {type: int64, required: true}, region: {type: string, values: [north, south, east]}, amount: {type: string, values: ["1.50", "20", "n/a"]}, place: "struct<city: string, zip: int32>"}`

func sources(dir string) []ours {
	quickly := map[string]any{"poll": "100ms", "settle": "100ms", "checkpoint_rows": 5000}
	with := func(more map[string]any) map[string]any {
		config := map[string]any{}
		for _, part := range []map[string]any{quickly, more} {
			maps.Copy(config, part)
		}
		return config
	}
	secret := map[string]any{"secret_key": "a-secret-of-the-test"}
	return []ours{
		{name: "csv", binary: "source-file", quick: true, skipped: files, config: with(map[string]any{"path": filepath.Join(dir, "*.csv"), "stream": "orders", "s3": secret})},
		{name: "jsonl", binary: "source-file", skipped: files, config: with(map[string]any{"path": filepath.Join(dir, "events.jsonl.gz")})},
		{name: "parquet", binary: "source-file", skipped: append(noRejects, files...), config: with(map[string]any{"path": filepath.Join(dir, "*.parquet"), "stream": "rows"})},
		{name: "faults", binary: "source-generator", quick: true, skipped: []string{"config.required", "source.slow", "source.ack", "source.provision", "secrets.hidden"},
			config: map[string]any{"rows": 30000, "checkpoint_rows": 2000, "streams": []string{"a", "b"}, "fault": map[string]any{"reject_every": 700, "schema_change_at": 17777}}},
		{name: "endless", binary: "source-generator", skipped: []string{"config.required", "source.rejects", "source.ack", "source.provision", "secrets.hidden"}, config: map[string]any{"checkpoint_rows": 20000}},
	}
}

func others(dir string) []ours {
	steps := func(list ...map[string]any) map[string]any { return map[string]any{"steps": list} }
	query := func(text string, collect bool) map[string]any {
		return map[string]any{"query": text, "collect": collect}
	}
	list := []ours{
		{name: "casts", binary: "transform-fields", quick: true, skipped: rowwise, schema: amounts, config: steps(
			map[string]any{"flatten": map[string]any{"column": "place"}}, map[string]any{"cast": map[string]any{"amount": "decimal(12,2)", "id": "string"}},
			map[string]any{"rename": map[string]any{"region": "area"}}, map[string]any{"copy": map[string]any{"again": "area"}},
			map[string]any{"add": map[string]any{"shop": "seven"}})},
		{name: "nothing", binary: "transform-fields", skipped: rowwise, through: true, config: steps(map[string]any{"add": map[string]any{"shop": "seven"}})},
		{name: "projection", binary: "transform-sql", quick: true, run: "^(transform[.]([^t]|ty$)|config|end|stdout|secrets)", schema: amounts,
			config:  query("select id, upper(region) as area, amount::decimal(12,2) as amount, place.city as city from input", false),
			skipped: append([]string{"transform.identity"}, rowwise...)},
		{name: "filter", binary: "transform-sql", skipped: append([]string{"transform.identity"}, rowwise...), schema: amounts,
			config: query("select * from input where region <> 'north'", false)},
		{name: "everything", binary: "transform-sql", skipped: rowwise, through: true, config: query("select * from input", false)},
		{name: "sums", binary: "transform-sql", skipped: collected, schema: amounts,
			config: query("select region, count(*) as n, sum(try_cast(amount as decimal(12,2))) as total, max(place.zip) as zip from input group by region", true)},
		{name: "join", binary: "transform-sql", skipped: collected,
			schema: `inputs: {orders: {id: {type: int64, required: true}, customer: {type: int64, values: [1, 2, 3]}}, customers: {id: {type: int64, values: [1, 2]}, name: string}}`,
			config: query("select o.id, exists (from customers c where c.id = o.customer) as known from orders o", true)},
		{name: "rules", binary: "check-schema", quick: true, skipped: judging, config: map[string]any{"rules": []map[string]any{
			{"column": "id", "type": "integer", "required": true, "unique": true}, {"column": "name", "pattern": "^[a-z]", "max_length": 12},
			{"column": "amount", "min": 0}, {"column": "place.city", "required": true}, {"column": "ratio", "max": 100.5}}}},
	}
	for _, format := range []string{"parquet", "csv", "jsonl"} {
		for _, mode := range []sdk.WriteMode{sdk.Append, sdk.Overwrite} {
			list = append(list, ours{
				name: format + " " + string(mode), binary: "sink-file", quick: format == "parquet" && mode == sdk.Append, skipped: writing, mode: mode,
				config: map[string]any{"path": filepath.Join(dir, "out-"+format+"-"+string(mode)), "format": format},
			})
		}
	}
	return list
}

func TestOurPluginsConform(t *testing.T) {
	t.Parallel()
	binary(t, "")
	dir, err := os.MkdirTemp(built.dir, "data-")
	if err != nil {
		t.Fatal(err)
	}
	writeData(t, dir)
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, one := range append(sources(dir), others(dir)...) {
		if one.quick || slow() {
			all.Go(func() { one.conforms(t, string(readme)) })
		}
	}
	all.Wait()
}

func (o ours) conforms(t *testing.T, readme string) {
	raw, err := json.Marshal(o.config)
	if err != nil {
		t.Error(err)
		return
	}
	settings := conformance.Settings{
		Binary: filepath.Join(built.dir, o.binary), Config: raw, Mode: o.mode, PassThrough: o.through, Patience: patience, Slow: slow(), MaxRows: 120_000,
	}
	if o.schema != "" {
		if settings.Inputs, err = sample.Parse([]byte(o.schema), "input"); err != nil {
			t.Error(err)
			return
		}
	}
	if o.mode != "" {
		settings.Probe = fmt.Sprintf("find %q -type f -not -path '*/.qanat-sink/*' 2>/dev/null | sort | xargs -r sha256sum", o.config["path"])
	}
	quickly := o.run != "" && !slow()
	if quickly {
		settings.Run = regexp.MustCompile(o.run)
	}
	together <- struct{}{}
	defer func() { <-together }()
	report, err := conformance.Run(context.WithoutCancel(t.Context()), settings)
	if err != nil {
		t.Errorf("%s %s: %v", o.binary, o.name, err)
		return
	}
	for _, r := range report.Results {
		if !strings.Contains(readme, "| `"+r.ID+"` | "+r.Promise+" |") {
			t.Errorf("README.md does not list %s: %s", r.ID, r.Promise)
		}
	}
	if !report.OK() {
		t.Errorf("%s %s:\n%s", o.binary, o.name, text(t, report))
	}
	known := map[string]bool{}
	for _, id := range o.skipped {
		known[id] = true
	}
	for _, id := range of(report, conformance.Skipped) {
		if !known[id] {
			t.Errorf("%s %s: %s was skipped", o.binary, o.name, id)
		}
		delete(known, id)
	}
	if len(known) > 0 && !quickly {
		t.Errorf("%s %s: %v were not skipped", o.binary, o.name, known)
	}
}

// writeData makes the files that sources read: some records of each are broken.
func writeData(t *testing.T, dir string) {
	t.Helper()
	for file, rows := range map[string]int{"a.csv": 24_000, "b.csv": 9_000, "c.csv": 1} {
		var out strings.Builder
		out.WriteString("id,name,amount,day\n")
		for i := range rows {
			if i%5000 == 4999 {
				out.WriteString("broken\n")
			}
			fmt.Fprintf(&out, "%d,\"name %d, ö\",%d.50,2024-01-%02d\n", i, i%97, i, i%28+1)
		}
		write(t, filepath.Join(dir, file), []byte(out.String()))
	}
	var packed bytes.Buffer
	lines := gzip.NewWriter(&packed)
	for i := range 20_000 {
		if i%7000 == 6999 {
			_, _ = fmt.Fprintln(lines, "{broken")
		}
		_, _ = fmt.Fprintf(lines, `{"id": %d, "tags": ["a", "b"], "place": {"x": %d, "y": null}}`+"\n", i, i%3)
	}
	if err := lines.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "events.jsonl.gz"), packed.Bytes())
	for seed := range uint64(3) {
		writeParquet(t, filepath.Join(dir, fmt.Sprintf("rows-%d.parquet", seed)), seed)
	}
}

func writeParquet(t *testing.T, path string, seed uint64) {
	t.Helper()
	in := sample.Common("rows")
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(in.Schema(), &out, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	for group := range 4 {
		record, err := in.Rows(seed, group*5000, 5000)
		if err != nil {
			t.Fatal(err)
		}
		err = w.Write(record)
		record.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, path, out.Bytes())
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
