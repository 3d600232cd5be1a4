package e2e_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

const prunedRows = 20_000

// pruned is a sick project whose source forgets what was acknowledged.
func pruned(t *testing.T) *sick {
	t.Helper()
	s := &sick{Project: rig.New(t, "pruned"), t: t, rows: prunedRows}
	s.Limit = 2 * time.Minute
	s.Env = append(s.Env, "QANAT_TEST_PLUGINS="+rig.TestPlugins(t), "SEGMENTS="+rig.Segments(t, prunedRows, 700), "RATE=5000")
	return s
}

// checkPruned counts what is there: each row once, in both datasets.
func (s *sick) checkPruned() {
	s.t.Helper()
	want := fmt.Sprintf("%d,%d,0,%d,%d", s.rows, s.rows, s.rows-1, s.rows)
	for _, dataset := range []string{"landing.pruned.rows", "processing.pruned.rows"} {
		out := s.Must("query", "-o", "csv",
			"select count(*) as n, count(distinct id) as ids, min(id) as first, max(id) as last, count(*) filter (value = 'v' || id) as right from "+dataset)
		if _, got, _ := strings.Cut(strings.TrimSpace(out), "\n"); got != want {
			s.t.Errorf("%s (count, ids, first, last, right values): %s, expected %s", dataset, got, want)
		}
	}
}

func (s *sick) logs() string { return filepath.Join(s.Dir, ".qanat", "nats") }

// blocks are the files that hold messages, of those that are not empty.
func (s *sick) blocks() []string {
	s.t.Helper()
	var blocks []string
	err := filepath.WalkDir(s.logs(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".blk" {
			return err
		}
		if info, err := entry.Info(); err == nil && info.Size() > 0 {
			blocks = append(blocks, path)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return blocks
}

// TestPowerLossTakesNothingThatWasAcknowledged lets the power fail: the process dies, and of the logs, which are synced from time to
// time only, is there what was there earlier. Ledger and tables, which are synced with every commit, are as they were.
func TestPowerLossTakesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(20260329, 8))
	cut := random.Float64()
	for name, lose := range map[string]func(s *sick, earlier string){
		"the logs are as they were earlier": func(s *sick, earlier string) {
			s.replaceLogs(earlier)
		},
		"the logs are gone": func(s *sick, _ string) {
			if err := os.RemoveAll(s.logs()); err != nil {
				s.t.Fatal(err)
			}
		},
		"the newest blocks are cut off": func(s *sick, _ string) {
			s.cutBlocks(cut)
		},
		"what was there earlier is cut off, too": func(s *sick, earlier string) {
			s.replaceLogs(earlier)
			s.cutBlocks(cut)
		},
		"the blocks are empty": func(s *sick, _ string) {
			s.cutBlocks(0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pruned(t)
			running := s.Start("run", "rows")
			s.landing(running, 2)
			earlier := filepath.Join(t.TempDir(), "earlier")
			s.copyLogs(earlier)
			s.landing(running, 7)
			running.Signal(syscall.SIGKILL)
			running.Wait()
			if acked, err := os.ReadFile(filepath.Join(s.segments(), "acked")); err != nil {
				t.Fatalf("nothing was acknowledged yet, so this says nothing: %s, %v", acked, err)
			}
			lose(s, earlier)
			s.succeeds(s.Start("run", "rows"))
			s.checkPruned()
		})
	}
}

func (s *sick) segments() string {
	s.t.Helper()
	for _, variable := range s.Env {
		if dir, ok := strings.CutPrefix(variable, "SEGMENTS="); ok {
			return dir
		}
	}
	s.t.Fatal("no folder of segments")
	return ""
}

// copyLogs copies the logs of a run that goes on, as they happen to be. What vanishes on the way is left out.
func (s *sick) copyLogs(to string) {
	s.t.Helper()
	err := filepath.WalkDir(s.logs(), func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(s.logs(), path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, below), 0o700)
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, below), content, 0o600)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sick) replaceLogs(earlier string) {
	s.t.Helper()
	if err := os.RemoveAll(s.logs()); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(earlier, s.logs()); err != nil {
		s.t.Fatal(err)
	}
}

// cutBlocks leaves a share of each block.
func (s *sick) cutBlocks(share float64) {
	s.t.Helper()
	for _, block := range s.blocks() {
		info, err := os.Stat(block)
		if err != nil {
			s.t.Fatal(err)
		}
		left := int64(share * float64(info.Size()))
		s.t.Logf("%s: %d of %d bytes are left", filepath.Base(filepath.Dir(filepath.Dir(block))), left, info.Size())
		if err := os.Truncate(block, left); err != nil {
			s.t.Fatal(err)
		}
	}
}
