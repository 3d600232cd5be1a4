package mutants

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/qanat-data/qanat/e2e/rig"
)

// edit replaces text of a file, which must be there exactly once.
type edit struct{ file, old, new string }

// mutant is a bug, the test that is to find it, and what that is to say.
type mutant struct {
	name      string
	edits     []edit
	test      string
	complaint string // a pattern; empty if the tests are to pass all the same
}

// deaf makes a runner that is woken up go on without noticing by its heart beat that it was taken over, as it may happen to any: the
// beat comes in time or too late.
var deaf = edit{file: "core/flow/tenure/tenure.go", old: "\t\t\tlose(t.lost(ctx))\n", new: ""}

var noFence = edit{
	file: "core/flow/target_dataset.go",
	old:  "\tif _, err := d.Fence(ctx, flow, epoch); err != nil {\n\t\treturn 0, err\n\t}\n",
}

// keepHalf makes a unit that only a dataset or its changes hold stay there.
var keepHalf = edit{
	file: "core/flow/target_keyed.go",
	old:  "\tif t.prepared[name] != t.prepared[noted] {\n", new: "\tif false {\n",
}

// rowsFirst commits rows with a key before their changes. Each of the two is found or taken back by itself.
var rowsFirst = []edit{{
	file: "core/flow/keyed/stream.go",
	old:  "\tseen, err := s.changes.Commit(ctx, noted)\n\tif err != nil {\n\t\treturn Committed{}, err\n\t}\n\tkillpoint.Here(\"after-changes\")\n",
	new:  "\tvar seen zone.Snapshot\n",
}, {
	file: "core/flow/keyed/stream.go",
	old:  "\tmade, err := s.dataset.Commit(ctx, request)\n",
	new: "\tmade, err := s.dataset.Commit(ctx, request)\n\tkillpoint.Here(\"after-changes\")\n" +
		"\tif err == nil {\n\t\tseen, err = s.changes.Commit(ctx, noted)\n\t}\n",
}}

var mutants = []mutant{{
	name: "acknowledge before the commit",
	edits: []edit{{
		file: "core/flow/commit.go",
		old:  "\tkillpoint.Here(\"before-commit\")\n",
		new:  "\t_ = c.ack(frame.Position)\n\tkillpoint.Here(\"before-commit\")\n",
	}},
	test: "TestKilledRunsEndAsUndisturbedOnes/several$", complaint: "acknowledged early",
}, {
	name: "skip the fence", edits: []edit{deaf, noFence},
	test: "TestZombieBetweenCheckAndCommitIsFencedByTheDataset", complaint: "has changed something",
}, {
	name: "no heart beat, which nothing is to rely on", edits: []edit{deaf},
	test: "TestZombieBetweenCheckAndCommitIsFencedByTheDataset",
}, {
	name: "drop the reject",
	edits: []edit{{
		file: "core/flow/commit.go",
		old:  "\tc.rejected += int64(len(rows))\n\tif err := c.rejects.write(ctx, c.committed+1, rows); err != nil {\n\t\treturn err\n\t}\n",
		new:  "\tc.rejected += int64(len(rows))\n",
	}, { // the runtime's own check would find it first
		file: "core/flow/commit.go",
		old:  "\tif rows < u.Rejected {\n", new: "\tif rows < 0 {\n",
	}, {
		file: "core/flow/commit.go",
		old:  "\tc.refused = rows - u.Rejected\n", new: "",
	}},
	test: "TestKilledRunsEndAsUndisturbedOnes/spine$", complaint: "rejects are missing",
}, {
	name: "commit what is there already",
	edits: []edit{{
		file: "core/zone/commit.go",
		old:  "\tcase ok && have.Seq >= m.Seq:\n", new: "\tcase ok && have.Seq > m.Seq:\n",
	}, {
		file: "core/flow/target_dataset.go",
		old:  "\tif out.holds >= out.seq || b.Record.NumRows() == 0 {\n", new: "\tif b.Record.NumRows() == 0 {\n",
	}},
	test:      "TestKilledRunsEndAsUndisturbedOnes/several$", // The runtime's own accounting may come first.
	complaint: "the end differs from that of an undisturbed run|rows are in quarantine, rejected were at least",
}, {
	name: "commit rows before the changes, which nothing is to rely on", edits: rowsFirst,
	test: "TestUnitsThatOnlySomeDatasetsHoldAreMadeAnew",
}, {
	name: "keep the half of a unit that one of two datasets holds", edits: []edit{keepHalf}, // its times are taken for those of units before
	test: "TestUnitsThatOnlySomeDatasetsHoldAreMadeAnew/aged$", complaint: "versions are not in the changes",
}, {
	name: "commit rows before the changes, and keep half of a unit", edits: append([]edit{keepHalf}, rowsFirst...),
	test: "TestUnitsThatOnlySomeDatasetsHoldAreMadeAnew/posted$", complaint: "the books don't agree after unit",
}, {
	name: "take a unit for whole by its changes alone",
	edits: []edit{{
		file: "core/flow/target_dataset.go",
		old:  "\t\tif err != nil || t.prepared[name] != u.Seq {\n", new: "\t\tif err != nil {\n",
	}},
	test: "TestUnitsThatOnlySomeDatasetsHoldAreMadeAnew", complaint: "not all of them are there or staged",
}, {
	name: "skip the fence of rows with a key", edits: []edit{deaf, noFence},
	test: "TestZombieThatCommitsRowsWithAKeyChangesNothing", complaint: "has changed something|the books don't agree",
}}

// Every mutant's place is still there. With QANAT_SLOW=1 each is built, and found by its test.
func TestBugsThatArePutInOnPurposeAreFound(t *testing.T) {
	t.Parallel()
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			overlay := m.overlay(t)
			if os.Getenv("QANAT_SLOW") == "" {
				return
			}
			said, err := m.hunt(t, overlay)
			if m.complaint == "" {
				if err != nil {
					t.Fatalf("%s has failed:\n%s", m.test, said)
				}
				return
			}
			if err == nil {
				t.Fatalf("%s has not found it:\n%s", m.test, said)
			}
			complaint := regexp.MustCompile(m.complaint)
			if !complaint.MatchString(said) {
				t.Fatalf("%s has failed, but not with words on %q:\n%s", m.test, m.complaint, said)
			}
			for line := range strings.Lines(said) {
				if complaint.MatchString(line) {
					t.Logf("found by %s: %s", m.test, strings.TrimSpace(line))
				}
			}
		})
	}
}

// overlay writes the mutated files and tells the go command of them (go help build, -overlay).
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	texts := map[string]string{}
	for _, e := range m.edits {
		path := filepath.Join(rig.Root(), e.file)
		if texts[path] == "" {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(text)
		}
		if n := strings.Count(texts[path], e.old); n != 1 {
			t.Fatalf("%s has the place of the bug %q %d times, expected once: %q", e.file, m.name, n, e.old)
		}
		texts[path] = strings.Replace(texts[path], e.old, e.new, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// hunt builds the mutant beside the plugins as they are, and runs the test against it.
func (m mutant) hunt(t *testing.T, overlay string) (said string, err error) {
	t.Helper()
	dir := t.TempDir()
	for link, to := range map[string]string{
		"plugins": filepath.Join(filepath.Dir(rig.Qanat(t)), "plugins"), "testplugins": rig.TestPlugins(t),
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-tags=duckdb_arrow", "-overlay", overlay, "-o", filepath.Join(dir, "qanat"), "./cmd/qanat")
	build.Dir = rig.Root()
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the bug %q does not compile: %v\n%s", m.name, err, said)
	}
	test := exec.Command("go", "test", "-count=1", "-run", m.test, "./e2e/crash")
	test.Dir = rig.Root()
	test.Env = append(os.Environ(), "QANAT_BIN="+dir, "QANAT_SLOW=1", "QANAT_CRASH_REPORT=")
	out, err := test.CombinedOutput()
	return string(out), err
}
