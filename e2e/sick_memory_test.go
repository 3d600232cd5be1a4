package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hungry is a pipeline with a transform that needs some hundred MiB.
const hungry = `kind: pipeline
name: hungry
source:
  plugin: generator
  config: {stream: events, seed: 7, rows: 20000}
landing:
  dataset: landing.hungry.{stream}
flows:
- name: sums
  from: [landing.hungry.events]
  transforms:
  - plugin: sql
    limits: {memory: LIMIT}
    config:
      collect: true
      memory_limit: 2GiB
      query: "select count(*) as n, max(length(all_of_it)) as longest from (select string_agg(repeat(name, 600), '') as all_of_it from input)"
  to: curated.hungry.sums
  write: {mode: overwrite}
`

func TestAPluginThatTakesTooMuchMemoryFailsItsFlowUntilItMay(t *testing.T) {
	t.Parallel()
	s := newSick(t, 1, 0)
	limit := func(memory string) {
		text := []byte(strings.ReplaceAll(hungry, "LIMIT", memory))
		if err := os.WriteFile(filepath.Join(s.Dir, "pipelines/hungry.yaml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	limit("160MiB")
	s.fails(s.Start("run", "hungry"), failed, `transform plugin "sql" was killed`, "its limit is 160 MiB")
	limit("4GiB")
	s.succeeds(s.Start("run", "hungry"))
	if got := s.Query("select n from curated.hungry.sums"); len(got) != 1 || got[0]["n"] != float64(1) {
		t.Errorf("sums: %v, expected one row", got)
	}
	if got := s.Query("select count(*) as n from landing.hungry.events"); got[0]["n"] != float64(20000) {
		t.Errorf("landed: %v, expected 20000", got)
	}
}
