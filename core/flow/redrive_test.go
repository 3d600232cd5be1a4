package flow_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/zone"
)

// ctx is for calls without a test at hand.
func (*parts) ctx() context.Context { return context.Background() }

// loseLog deletes a flow's log, as if its server had lost its disk.
func (p *parts) loseLog(t *testing.T, name string) {
	t.Helper()
	log, err := p.runtime.Broker.Log(t.Context(), name, broker.LogSettings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (p *parts) quarantineOf(s *flow.Settings) *quarantine.Quarantine {
	return &quarantine.Quarantine{Zones: p.runtime.Zones, Ledger: p.runtime.Ledger, Flow: s.Name, Dataset: s.Quarantine}
}

// redrive releases rows of a flow's quarantine by a runner of its own.
func (p *parts) redrive(ctx context.Context, s *flow.Settings, r *flow.RedriveSettings) (progress.Status, error) {
	runtime := *p.runtime
	runtime.Owner, runtime.Progress = tenure.NewOwner(), progress.New(s.Name)
	with := *s
	with.Redrive = r
	err := flow.Run(ctx, &with, &runtime, make(chan struct{}))
	return runtime.Progress.Of(s.Name), err
}

var everything = quarantine.Selection{All: true}

// outcomes of all rows in a flow's quarantine.
func (p *parts) outcomes(t *testing.T, s *flow.Settings) map[ledger.Outcome]int64 {
	t.Helper()
	counts := map[ledger.Outcome]int64{}
	ids := map[string]bool{}
	for row, err := range p.quarantineOf(s).Rows(t.Context(), quarantine.Choose(everything, nil)) {
		if err != nil {
			t.Fatal(err)
		}
		counts[row.Outcome]++
		ids[row.ID.String()] = true
	}
	total := counts[""] + counts[ledger.Released] + counts[ledger.DroppedRow]
	open, err := p.quarantineOf(s).Open(t.Context())
	if err != nil || open != counts[""] {
		t.Errorf("%d rows are open, counted %d; %v", open, counts[""], err)
	}
	if int64(len(ids)) != total {
		t.Errorf("%d ids for %d rows", len(ids), total)
	}
	return counts
}

// Most rows are set aside, and come back in several units; of two who release them at once each row comes back once.
func TestRowsAreReleasedOnceInAsManyUnitsAsTheThresholdsSay(t *testing.T) {
	t.Parallel()
	const rows, good = 20_000, 19_980
	for _, kind := range []string{"dataset", "sink"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			p := mend(t, rows)
			mustRun(t, p, p.judged(100, flow.OnFailQuarantine)[kind])
			p.checkTarget(t, kind, 100)
			s := p.judged(rows, flow.OnFailQuarantine)[kind]
			if diff := cmp.Diff(map[ledger.Outcome]int64{"": good - 100}, p.outcomes(t, s)); diff != "" {
				t.Fatal(diff)
			}
			var group sync.WaitGroup
			var released, settled int64
			var mutex sync.Mutex
			for range 2 {
				group.Go(func() {
					r := &flow.RedriveSettings{Select: everything, By: "me", Reason: "mended"}
					status, err := p.redrive(t.Context(), s, r)
					if err != nil && !errors.Is(err, ledger.ErrFenced) {
						t.Error(err)
					}
					mutex.Lock()
					defer mutex.Unlock()
					released += status.Released
					settled += r.Result.Settled
				})
			}
			group.Wait()
			if released != good-100 {
				t.Errorf("%d rows were released, %d of them found released before; expected %d", released, settled, good-100)
			}
			p.checkTarget(t, kind, good)
			if diff := cmp.Diff(map[ledger.Outcome]int64{ledger.Released: good - 100}, p.outcomes(t, s)); diff != "" {
				t.Error(diff)
			}
			last, _, err := p.runtime.Ledger.Last(t.Context(), s.Name)
			if err != nil || last.Seq < 4 || last.Redriven == nil || last.Redriven.Reason != "mended" {
				t.Errorf("the last unit is %+v, %v", last, err)
			}
			mustRun(t, p, s) // the flow goes on where its input ended
			p.checkTarget(t, kind, good)
		})
	}
}

func TestRowsThatAreRejectedAgainAreRowsOfTheNewUnit(t *testing.T) {
	t.Parallel()
	p := mend(t, 2000)
	s := p.judged(1900, flow.OnFailQuarantine)["dataset"]
	mustRun(t, p, s)
	s = p.judged(1950, flow.OnFailQuarantine)["dataset"]
	status, err := p.redrive(t.Context(), s, &flow.RedriveSettings{Select: everything})
	if err != nil {
		t.Fatal(err)
	}
	if status.Released != 99 || status.Written != 50 || status.Quarantined != 49 { // of 2000 the generator rejects 999 and 1999
		t.Errorf("%+v", status)
	}
	if diff := cmp.Diff(map[ledger.Outcome]int64{"": 49, ledger.Released: 99}, p.outcomes(t, s)); diff != "" {
		t.Error(diff)
	}
	p.checkTarget(t, "dataset", 1949)
	totals, err := p.runtime.Ledger.Totals(t.Context(), s.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range totals { // the transform lets them pass, the checks judge them
		want := int64(1998 + 99)
		if stage.Name == "target" || stage.Name == "log" || stage.Name == "commit" {
			want = 1899 + 50
		}
		if stage.In != want {
			t.Errorf("stage %q took in %d rows, expected %d", stage.Name, stage.In, want)
		}
	}
}

// Rows come in at the transform that could not read them, once it can.
func TestRowsComeInAtTheStageThatRejectedThem(t *testing.T) {
	t.Parallel()
	p := mend(t, 2000)
	s := p.clean()
	s.Transforms = append(s.Transforms, s.Transforms[0]) // the second of that name is the one that fails
	s.Transforms[1].Instance.Config = []byte(`{"steps":[{"copy":{"n":"region"}},{"cast":{"n":"int64"}}]}`)
	mustRun(t, p, s)
	p.checkTarget(t, "dataset", 0)
	counts, err := p.quarantineOf(s).Count(t.Context(), everything)
	if err != nil || len(counts) != 1 || counts[0].Step != "transform:fields#2" || counts[0].Open != 1998 {
		t.Fatalf("%+v, %v", counts, err)
	}
	s.Transforms[1].Instance.Config = []byte(`{"steps":[{"copy":{"n":"id"}}]}`)
	if _, err := p.redrive(t.Context(), s, &flow.RedriveSettings{Select: everything}); err != nil {
		t.Fatal(err)
	}
	p.checkTarget(t, "dataset", 1998)
	s.Transforms = s.Transforms[:1]
	mustRun(t, p, s)
}

// write makes a file of corrected rows.
func write(t *testing.T, text string) *quarantine.Corrections {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := quarantine.OpenCorrections(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRowsThatASourceCouldNotReadComeInCorrected(t *testing.T) {
	t.Parallel()
	p := mend(t, 4000)
	s := p.landing()
	r := &flow.RedriveSettings{Select: everything}
	status, err := p.redrive(t.Context(), s, r)
	if err != nil || status.Released != 0 || len(r.Result.Stuck) != 1 {
		t.Errorf("rows that the source could not read were released: %+v, %+v, %v", status, r.Result, err)
	}
	good := `{"id":%d,"ts":"2024-01-01T00:00:00Z","amount":1.5,"region":"north","name":"n"}`
	r = &flow.RedriveSettings{By: "me", From: write(t,
		`{"id":"1-1","stream":"events","row":`+fmt.Sprintf(good, 999)+`}`+"\n"+
			`{"id":"1-2","row":{"id":"no number"}}`+"\n"+
			`{"_id":"1-3",`+strings.TrimPrefix(fmt.Sprintf(good, 2999), "{")+"\n"+
			`{"id":"7-1","row":`+fmt.Sprintf(good, 1)+`}`)}
	status, err = p.redrive(t.Context(), s, r)
	if err != nil {
		t.Fatal(err)
	}
	if status.Released != 3 || status.Written != 2 || status.Quarantined != 1 {
		t.Errorf("%+v", status)
	}
	if diff := cmp.Diff(flow.Redrive{Sent: 3, Stuck: map[string]int64{}, Unknown: []string{"7-1"}}, r.Result); diff != "" {
		t.Error(diff)
	}
	checkIDs(t, p, landed, 3998)
	for row, err := range p.quarantineOf(s).Rows(t.Context(), quarantine.Choose(quarantine.Selection{Unit: 2}, nil)) {
		if err != nil || row.Code != "does_not_fit" || string(row.Raw) != `{"id":"no number"}` || row.Stage != "target" {
			t.Errorf("%+v %s, %v", row, row.Raw, err)
		}
	}
	mustRun(t, p, s)
	checkIDs(t, p, landed, 3998)
}

func TestDroppedRowsAreNotReleasedAndStayForTheRecord(t *testing.T) {
	t.Parallel()
	p := mend(t, 2000)
	s := p.judged(1990, flow.OnFailQuarantine)["dataset"]
	mustRun(t, p, s)
	three := flow.DropRequest{By: "me", Reason: "tests", Select: quarantine.Selection{IDs: []quarantine.RowID{{Unit: 1, N: 2}, {Unit: 1, N: 3}, {Unit: 1, N: 77}}}}
	for i, want := range []flow.DropRows{{Dropped: 2, Unknown: []string{"1-77"}}, {Settled: 2, Unknown: []string{"1-77"}}} {
		got, err := flow.DropQuarantined(t.Context(), s, p.runtime, three)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%d: %s %v", i, diff, err)
		}
	}
	s = p.judged(2000, flow.OnFailQuarantine)["dataset"]
	r := &flow.RedriveSettings{Select: everything}
	status, err := p.redrive(t.Context(), s, r)
	if err != nil || status.Released != 7 || r.Result.Settled != 2 {
		t.Errorf("%+v %+v %v", status, r.Result, err)
	}
	if diff := cmp.Diff(map[ledger.Outcome]int64{ledger.DroppedRow: 2, ledger.Released: 7}, p.outcomes(t, s)); diff != "" {
		t.Error(diff)
	}
	p.checkTarget(t, "dataset", 1996)
}

func TestAFlowThatOverwritesTakesNoRows(t *testing.T) {
	t.Parallel()
	p := mend(t, 1000)
	s := p.clean()
	s.Target.Mode = zone.Overwrite
	if _, err := p.redrive(t.Context(), s, &flow.RedriveSettings{Select: everything}); !errors.Is(err, flow.ErrOverwritten) {
		t.Error(err)
	}
}

// A unit of released rows that a check holds takes them along: dropped with it, or open again.
func TestRowsInAHeldUnitFollowItsDecision(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"dataset", "sink"} {
		for what, want := range map[ledger.Choice]map[ledger.Outcome]int64{
			ledger.Release: {ledger.Released: 9}, ledger.Drop: {ledger.DroppedRow: 9}, ledger.Again: {"": 9},
		} {
			t.Run(kind+" "+string(what), func(t *testing.T) {
				t.Parallel()
				p := mend(t, 2000)
				mustRun(t, p, p.judged(1990, flow.OnFailQuarantine)[kind])
				s := p.judged(1990, flow.OnFailBlock)[kind]
				_, err := p.redrive(t.Context(), s, &flow.RedriveSettings{Select: everything})
				if _, ok := errors.AsType[*flow.HeldError](err); !ok {
					t.Fatalf("the unit was not held: %v", err)
				}
				if _, err := decide(p, s, what); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, p.outcomes(t, s)); diff != "" {
					t.Error(diff)
				}
				mustRun(t, p, s)
				p.checkTarget(t, kind, map[ledger.Choice]int{ledger.Release: 1998, ledger.Drop: 1989, ledger.Again: 1989}[what])
			})
		}
	}
}
