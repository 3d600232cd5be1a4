package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance"
)

// digest prints all tables, and what is in them but for the ledger.
const digest = `select c.relname, case when c.relname <> '_qanat_ledger' then md5(query_to_xml(format('select * from %s t order by t::text', c.oid::regclass), true, false, '')::text) end
from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace order by 1`

func TestSinkConforms(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "sink-postgres")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, c := range []struct {
		mode sdk.WriteMode
		key  []string
		only *regexp.Regexp // what depends on the mode, once the rest has been seen
	}{
		{sdk.Append, nil, nil}, {sdk.Upsert, []string{"id"}, regexp.MustCompile(`^sink[.](open|dry_run|staged|repeat|kill|fence[.].*|rejects|schema_change|shapes)$`)},
		{sdk.Overwrite, nil, regexp.MustCompile(`^sink[.](dry_run|staged|repeat|kill|fence[.]commit|shapes)$`)},
	} {
		t.Run(string(c.mode), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			raw, err := json.Marshal(map[string]any{"dsn": s.dsn})
			if err != nil {
				t.Fatal(err)
			}
			report, err := conformance.Run(t.Context(), conformance.Settings{
				Binary: binary, Config: raw, Mode: c.mode, Key: c.key, Patience: 3, Run: c.only, Probe: fmt.Sprintf("psql '%s' -qAtc %s", s.dsn, quoteShell(digest)),
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				t.Logf("%s %v %v", r.ID, r.Duration, r.Notes)
				switch {
				case r.Status == conformance.Failed:
					t.Errorf("%s: %s\n%v", r.ID, r.Detail, r.Notes)
				case r.Status == conformance.Skipped && !slices.Contains([]string{"sink.rejects"}, r.ID):
					t.Errorf("%s was skipped: %s", r.ID, r.Detail)
				}
			}
		})
	}
}

func quoteShell(text string) string {
	out := "'"
	for _, c := range text {
		if c == '\'' {
			out += `'\''`
			continue
		}
		out += string(c)
	}
	return out + "'"
}
