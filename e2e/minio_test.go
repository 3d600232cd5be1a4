package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/qanat-data/qanat/e2e/rig"
)

// shop is the example project.
func shop(t *testing.T) *rig.Project {
	t.Helper()
	return rig.New(t, filepath.Join(rig.Root(), "specs", "examples", "shop"))
}

// shopDatasets is every dataset that the example makes.
var shopDatasets = []string{
	"landing.shop.orders", "landing.shop.customers", "processing.shop.orders", "processing.shop.customers", "curated.shop.daily",
	"quarantine.shop.landing", "quarantine.shop.orders",
}

// use adds blocks to the project file, and variables to the commands' environment.
func use(t *testing.T, p *rig.Project, block string, env []string) {
	t.Helper()
	path := filepath.Join(p.Dir, "qanat.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, block...), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Env = append(p.Env, env...)
}

// rows are all rows of the datasets as text, without what differs from run to run: when a row came, in which unit, and, in quarantine,
// as which of those that several files were read for at once.
func rows(t *testing.T, p *rig.Project, datasets ...string) string {
	t.Helper()
	selects := make([]string, len(datasets))
	for i, name := range datasets {
		differs := "'_qanat_ingested_at', '_qanat_seq'"
		if strings.HasPrefix(name, "quarantine.") {
			differs += ", 'id'"
		}
		selects[i] = fmt.Sprintf(`select '%s' as dataset, r::varchar as "row" from (
			select columns(c -> c not in (%s)) from %s) r`, name, differs, name)
	}
	return p.Must("query", "-o", "csv", strings.Join(selects, " union all ")+" order by all")
}

// sameRows fails the test if two projects hold different rows.
func sameRows(t *testing.T, want, got *rig.Project, datasets ...string) {
	t.Helper()
	wanted := rows(t, want, datasets...)
	if lines := strings.Count(wanted, "\n"); lines < 2 {
		t.Fatalf("nothing to compare: %d lines", lines)
	}
	if diff := cmp.Diff(wanted, rows(t, got, datasets...)); diff != "" {
		t.Errorf("the rows differ (- embedded, + external):\n%s", diff)
	}
}

func TestMinIOHoldsTheSameRowsAsTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	embedded, external, server := shop(t), shop(t), rig.MinIO(t)
	use(t, external, server.Objects(), server.Env())
	embedded.Must("run", "shop")
	external.Must("run", "shop")
	sameRows(t, embedded, external, shopDatasets...)
	if local, err := filepath.Glob(filepath.Join(external.Dir, ".qanat", "objects", "*")); err != nil || len(local) > 0 {
		t.Errorf("with external storage there are objects in the project folder: %v %v", local, err)
	}
	exported := func(p *rig.Project) string {
		files, err := filepath.Glob(filepath.Join(p.Dir, "out", "daily", "*.csv"))
		if err != nil || len(files) != 1 {
			t.Fatalf("the sink has written %v, expected one file (%v)", files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if diff := cmp.Diff(exported(embedded), exported(external)); diff != "" {
		t.Errorf("what the sink wrote differs:\n%s", diff)
	}
}

func TestLandingRetentionLocksWhatLandsOnMinIO(t *testing.T) {
	t.Parallel()
	p, server := shop(t), rig.MinIO(t)
	use(t, p, server.Objects()+"  landing_retention: 24h\n", server.Env())
	p.Must("run", "shop")
	before := locked(t, server, "qanat-landing")
	if len(before) < 2 {
		t.Fatalf("%d data files of two datasets in landing", len(before))
	}
	for key, mode := range before {
		if mode == "" {
			t.Errorf("%s is not under object lock", key)
		}
	}
	refuseRemoval(t, server, before)
	for key, mode := range locked(t, server, "qanat-processing") {
		if mode != "" {
			t.Errorf("%s is under object lock, and only landing's files should be", key)
		}
	}

	more := "order_id,customer_id,ordered_at,status,quantity,unit_price\n90001,C0001,2026-04-01T00:00:00Z,paid,1,10.00\n"
	if err := os.WriteFile(filepath.Join(p.Dir, "data", "orders-2026-04.csv"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Must("run", "shop")
	if got := p.Query("select count(*) as n from landing.shop.orders where order_id = 90001"); fmt.Sprint(got[0]["n"]) != "1" {
		t.Errorf("the second run's row is in landing %v times", got[0]["n"])
	}
	if after := locked(t, server, "qanat-landing"); len(after) <= len(before) {
		t.Errorf("%d data files in landing after the second run, %d before", len(after), len(before))
	}
}

// locked are the data files of a bucket, with the mode of the object lock that each is under.
func locked(t *testing.T, server *rig.MinIOServer, bucket string) map[string]string {
	t.Helper()
	client := server.Client(t)
	modes := map[string]string{}
	for o := range client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if !strings.HasSuffix(o.Key, ".parquet") {
			continue
		}
		info, err := client.StatObject(t.Context(), bucket, o.Key, minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		modes[o.Key] = info.Metadata.Get("X-Amz-Object-Lock-Mode")
	}
	return modes
}

// refuseRemoval tries to delete the version of a locked file.
func refuseRemoval(t *testing.T, server *rig.MinIOServer, keys map[string]string) {
	t.Helper()
	client := server.Client(t)
	for key := range keys {
		info, err := client.StatObject(t.Context(), "qanat-landing", key, minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = client.RemoveObject(context.WithoutCancel(t.Context()), "qanat-landing", key, minio.RemoveObjectOptions{VersionID: info.VersionID})
		if err == nil {
			t.Errorf("version %s of %s could be deleted", info.VersionID, key)
		}
	}
}

func TestExternalNATSCarriesTheSameRows(t *testing.T) {
	t.Parallel()
	embedded, external, server := shop(t), shop(t), rig.NATS(t)
	use(t, external, server.Block(), server.Env())
	for _, p := range []*rig.Project{embedded, external} {
		wide(t, p)
		p.Must("run", "shop")
		p.Must("run", "wide")
	}
	sameRows(t, embedded, external, append(shopDatasets, "landing.wide.numbers", "landing.wide.texts", "processing.wide.texts")...)
	got := external.Query("select count(*) as n, max(strlen(body)) as longest from processing.wide.texts")
	if text := fmt.Sprintf("%.0f %.0f", got[0]["n"], got[0]["longest"]); text != "3 3000000" {
		t.Errorf("texts: %s, expected 3 of at most 3000000 bytes", text)
	}
	messages, bytes := server.Received(t)
	if limit := server.MaxPayload(t); limit != 1<<20 || bytes < 2*int64(limit) || messages < 20 {
		t.Errorf("the server has received %d bytes in %d messages of at most %d: too few to say anything", bytes, messages, limit)
	}
	if logs, err := filepath.Glob(filepath.Join(external.Dir, ".qanat", "nats", "*")); err != nil || len(logs) > 0 {
		t.Errorf("with an external server there is one in the project folder: %v %v", logs, err)
	}
}

// wide adds a pipeline whose batches are larger than what a NATS server takes by default, one of them by a single row.
func wide(t *testing.T, p *rig.Project) {
	t.Helper()
	lines := fmt.Sprintf("{\"id\": 1, \"body\": %q}\n{\"id\": 2, \"body\": \"short\"}\n{\"id\": 3, \"body\": %q}\n",
		strings.Repeat("qanat ", 500_000), strings.Repeat("x", 1_200_000))
	const pipeline = `kind: pipeline
name: wide
source: {plugin: file, config: {streams: [{name: texts, path: data/texts.jsonl}, {name: numbers, path: data/numbers.csv}]}}
landing: {dataset: "landing.wide.{stream}"}
flows:
- {name: texts, from: [landing.wide.texts], to: processing.wide.texts}
`
	var numbers strings.Builder
	numbers.WriteString("id,name\n")
	for i := range 60_000 {
		fmt.Fprintf(&numbers, "%d,%032x\n", i, i*i)
	}
	for name, text := range map[string]string{
		"data/texts.jsonl": lines, "data/numbers.csv": numbers.String(), "pipelines/wide.yaml": pipeline,
	} {
		if err := os.WriteFile(filepath.Join(p.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
