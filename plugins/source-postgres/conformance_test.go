package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/sdk/conformance"
)

// built is the plugin's binary.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "source-postgres-"); built.err != nil {
			return
		}
		build := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "build", "-ldflags=-s -w", "-o", built.dir+"/", ".")
		if said, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w: %s", err, said)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "source-postgres")
}

func conforms(t *testing.T, settings conformance.Settings, config map[string]any, skipped ...string) {
	t.Helper()
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	settings.Binary, settings.Config, settings.Patience, settings.MaxRows = binary(t), raw, 3, 120_000
	report, err := conformance.Run(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		t.Logf("%s %v", r.ID, r.Duration)
		switch {
		case r.Status == conformance.Failed:
			t.Errorf("%s: %s\n%v", r.ID, r.Detail, r.Notes)
		case r.Status == conformance.Skipped && !slices.Contains(skipped, r.ID):
			t.Errorf("%s was skipped: %s", r.ID, r.Detail)
		}
	}
}

// waits runs the check of a consumer that does not consume, which needs much to read. The others read it all again and again.
func (s *site) waits(t *testing.T, config map[string]any) {
	t.Helper()
	s.exec(t, "create table wide (id int primary key, at timestamptz default '2024-01-01', v text)",
		"insert into wide (id, v) select i, repeat('w', 50000) from generate_series(1, 1200) i", "analyze wide")
	config["tables"] = []string{"wide"}
	conforms(t, conformance.Settings{Run: regexp.MustCompile("^source[.]slow$")}, config)
}

func TestFullConforms(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table a (id int primary key, v text, at timestamptz)", "create table b (v text, d date)",
		"insert into a select i, repeat('v', 500) || i, case when i % 900 = 0 then 'infinity' else now() end from generate_series(1, 6000) i",
		"insert into b select repeat('w', 800) || i, current_date from generate_series(1, 4000) i", "analyze")
	config := map[string]any{"dsn": s.dsn, "chunk_rows": 500}
	conforms(t, conformance.Settings{}, config, "source.ack", "source.slow", "source.provision")
	s.waits(t, config)
}

// On servers of their own: reading beside the stream waits for all transactions that are open on a server.
func TestCDCConforms(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, pgtest.Own(t), "create table a (id int primary key, v text, at timestamptz)", "create table b (id uuid primary key, v text)",
		"insert into a select i, repeat('v', 1000) || i, case when i % 900 = 0 then 'infinity' else now() end from generate_series(1, 4000) i",
		"insert into b select md5(i::text)::uuid, repeat('w', 800) from generate_series(1, 2000) i", "create publication others for table a")
	config := map[string]any{"dsn": s.dsn, "mode": "cdc", "chunk_rows": 1500}
	conforms(t, conformance.Settings{Probe: s.probe(t), Run: regexp.MustCompile("^(describe|config|source)")}, config, "source.slow")
	if left := one[string](t, s, "select string_agg(pubname, ',') from pg_publication where not pubname like 'qanat%'"); left != "others" {
		t.Errorf("of the publications of others %s is left", left)
	}
	s.waits(t, config)
}

func TestCDCLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, pgtest.Own(t), "create table a (id int primary key, v text)", "insert into a select i, repeat('v', 1000) || i from generate_series(1, 500) i")
	conforms(t, conformance.Settings{Run: regexp.MustCompile("^(end|leak|stdout|secrets)")}, map[string]any{"dsn": s.dsn, "mode": "cdc"})
}

// probe prints what the plugin changes in the database.
func (s *site) probe(t *testing.T) string {
	t.Helper()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Fatal(err)
	}
	return psql + " '" + s.dsn + `' -Atc "select array(select pubname || p.tablename from pg_publication_tables p order by 1), array(select slot_name from pg_replication_slots where slot_name not like 'qanat%')"`
}
