package spec_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/spec"
)

func TestUpkeepIsThatOfTheFirstItemThatMatches(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := `kind: project
name: shop
upkeep:
- datasets: [landing.*.orders]
  compact: {off: true}
- datasets: [landing.*.*, quarantine.*.*]
  every: 7
  snapshots: {keep: 70}
  files: {grace: 2h}
`
	if err := os.WriteFile(filepath.Join(dir, "qanat.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bundle, faults := spec.Load(t.Context(), spec.Options{Dir: dir})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	plain := spec.Upkeep{
		Every: 50, Compact: spec.Compaction{Below: 64 << 20, Files: 16, Target: 256 << 20},
		Snapshots: spec.SnapshotRetention{Keep: 20, YoungerThan: spec.Duration(10 * time.Minute), Most: 50},
		Files:     spec.FileRetention{Grace: spec.Duration(time.Hour)},
		Orphans:   spec.OrphanRetention{OlderThan: spec.Duration(24 * time.Hour)},
	}
	off, often := plain, plain
	off.Compact.Off = true
	often.Every, often.Snapshots.Keep, often.Snapshots.Most, often.Files.Grace = 7, 70, 70, spec.Duration(2*time.Hour)
	for name, want := range map[string]spec.Upkeep{
		"landing.shop.orders": off, "landing.shop.items": often, "quarantine.shop.landing": often, "processing.shop.orders": plain,
	} {
		d, err := spec.ParseDataset(name)
		if err != nil {
			t.Fatal(err)
		}
		got := bundle.Project.UpkeepOf(d)
		got.Datasets = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
