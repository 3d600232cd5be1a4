package e2e_test

import (
	"strings"
	"testing"

	"github.com/qanat-data/qanat/e2e/rig"
)

type upkeepChange struct{ Before, After int64 }

type upkeepAmount struct{ Count, Bytes int64 }

type upkeepReport struct {
	Datasets []struct {
		Dataset                              string
		Files, Snapshots                     upkeepChange
		Compacted, Removed, Waiting, Orphans upkeepAmount
		Kept                                 []string
	}
}

func rowsOf(p *rig.Project) (landing, processing any) {
	rows := p.Query("select (select count(*) from landing.shop.orders) as a, (select count(distinct id) from processing.shop.orders) as b")
	return rows[0]["a"], rows[0]["b"]
}

// A run looks after what it writes when that is due; the command does the rest, and dies without harm.
func TestUpkeepByARunAndByHand(t *testing.T) {
	t.Parallel()
	p := rig.New(t, "upkeep")
	p.Must("run", "orders")
	landing, processing := rowsOf(p)
	if landing != processing {
		t.Fatalf("%v rows landed, %v were processed", landing, processing)
	}
	var dry, report, again upkeepReport
	p.JSON(&dry, "upkeep", "--dry-run", "-o", "json")
	for _, d := range dry.Datasets {
		if d.Dataset == "landing.shop.orders" && (d.Files.Before < 30 || d.Files.After > 4) {
			t.Errorf("landing was to be left to the command: %+v", d)
		}
		if d.Dataset == "processing.shop.orders" && d.Files.Before > 20 {
			t.Errorf("the run did not look after processing: %+v", d)
		}
	}
	for _, point := range []string{"before-compact-commit", "after-trash-list", "after-expire", "after-repin"} {
		if r := p.With("QANAT_KILL_AT="+point).Run("upkeep", "landing.*.*"); r.Code != -1 && r.Code != 0 {
			t.Errorf("%s: exit code %d\n%s", point, r.Code, r.Err)
		}
	}
	p.JSON(&report, "upkeep", "-o", "json")
	p.JSON(&again, "upkeep", "-o", "json")
	for _, d := range again.Datasets {
		if d.Files.Before != d.Files.After || d.Files.After > 4 || d.Files.After == 0 {
			t.Errorf("there was something left to do: %+v", d)
		}
	}
	if out := p.Must("upkeep", "processing.*.*"); !strings.Contains(out, "processing.shop.orders") || strings.Contains(out, "landing") {
		t.Errorf("the report of one dataset:\n%s", out)
	}
	if r := p.Run("upkeep", "nowhere.x.y"); r.Code != 2 || !strings.Contains(r.Err, "nowhere") {
		t.Errorf("a bad pattern: exit code %d\n%s", r.Code, r.Err)
	}
	p.Must("run", "orders")
	if a, b := rowsOf(p); a != landing || b != processing {
		t.Errorf("%v rows landed and %v processed, before %v and %v", a, b, landing, processing)
	}
}
