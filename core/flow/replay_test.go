package flow_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/registry"
)

// replayVariable makes the child replay its clean flow by the second definition instead of running the flows.
const replayVariable = "QANAT_FLOW_TEST_REPLAY"

const (
	replayRows  = 6000
	replayUnits = 6
	oldVersion  = 1
	newVersion  = 2
)

var cleanQuarantine = zone.Name{Zone: zone.Quarantine, Namespace: "test", Dataset: "clean"}

// bounds are the highest ids that the versions of the clean flow let pass; what is above goes to quarantine.
var bounds = map[int]int{oldVersion: 4499, newVersion: 5499}

func (p *parts) landingUnits() *flow.Settings {
	s := p.landing()
	s.Source.Instance.Config = fmt.Appendf(nil, `{"stream":"events","seed":7,"rows":%d,"checkpoint_rows":1000,"batch_rows":250}`, p.rows)
	s.Commit = flow.Thresholds{Rows: p.rowsPerUnit()}
	return s
}

func (p *parts) rowsPerUnit() int64 { return replayRows / replayUnits }

// version is a definition of the clean flow: it writes its number into each row, and has a bound of its own.
func (p *parts) version(n int) *flow.Settings {
	s := p.clean()
	s.Fingerprint = fmt.Sprint("version ", n)
	s.Transforms[0].Instance.Config = fmt.Appendf(nil, `{"steps":[{"drop":["name"]},{"add":{"version":%d}}]}`, n)
	s.Checks = []flow.CheckStep{{OnFail: flow.OnFailQuarantine, Step: flow.Step{Name: "check:schema", Instance: pluginhost.Instance{
		Kind: registry.Check, Plugin: "schema", Config: fmt.Appendf(nil, `{"rules":[{"column":"id","max":%d}]}`, bounds[n]),
	}}}}
	s.Commit = flow.Thresholds{Rows: p.rowsPerUnit()}
	return s
}

func (p *parts) mustRun(t *testing.T, settings ...*flow.Settings) {
	t.Helper()
	for _, s := range settings {
		if err := flow.Run(t.Context(), s, p.runtime, make(chan struct{})); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *parts) replay(ctx context.Context, want flow.ReplayRange) (ledger.Unit, error) {
	return p.replayBy(ctx, newVersion, want)
}

func (p *parts) replayBy(ctx context.Context, version int, want flow.ReplayRange) (ledger.Unit, error) {
	q := flow.ReplayRequest{
		Flow: p.version(version), By: "test",
		Readers: []flow.DatasetReader{{Flow: "test.export", Datasets: []zone.Name{processed}}, {Flow: "test.copy", Datasets: []zone.Name{processed}}},
	}
	return flow.ReplayLive(ctx, p.runtime, q, want, make(chan struct{}))
}

// processedUnits is a project whose clean flow has made six units by its first definition, with a sink behind it.
func processedUnits(t *testing.T) *parts {
	t.Helper()
	p := openParts(t, t.TempDir())
	t.Cleanup(func() {
		if err := p.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p.mustRun(t, p.landingUnits(), p.version(oldVersion), p.export())
	return p
}

func openParts(t *testing.T, dir string) *parts {
	t.Helper()
	p, err := open(t.Context(), dir, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	p.rows = replayRows
	return p
}

// visible counts the rows of a dataset that readers see, by unit and version; version 0 stands for quarantine.
func (p *parts) visible(t *testing.T, name zone.Name) map[string]int {
	t.Helper()
	view, err := p.runtime.Ledger.View(t.Context(), name.String())
	if err != nil {
		t.Fatal(err)
	}
	dataset, err := p.runtime.Zones.Dataset(t.Context(), name)
	if errors.Is(err, zone.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	columns := []string{zone.ColumnSeq, zone.ColumnFlow}
	if name.Zone != zone.Quarantine {
		columns = append(columns, "version")
	}
	request := zone.ScanRequest{Snapshot: view.Snapshot, Snapshots: view.Snapshots, Columns: columns}
	for flow, seq := range view.Seqs {
		request.Units = append(request.Units, zone.UnitRange{Flow: flow, Upto: seq})
	}
	_, batches, err := dataset.Scan(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		at := func(column string) int { return b.Schema().FieldIndices(column)[0] }
		for i := range int(b.NumRows()) {
			version := int64(0)
			if name.Zone != zone.Quarantine {
				version = b.Column(at("version")).(*array.Int64).Value(i)
			}
			flow := b.Column(at(zone.ColumnFlow)).(*array.String).Value(i)
			rows[fmt.Sprintf("%s %d v%d", flow, b.Column(at(zone.ColumnSeq)).(*array.Int64).Value(i), version)]++
		}
		b.Release()
	}
	return rows
}

// expected is what the clean flow's target and quarantine hold when some units are of the new version and the others of the old one.
func expected(again func(unit int) bool) (target, quarantine map[string]int) {
	target, quarantine = map[string]int{}, map[string]int{}
	for id := range replayRows {
		unit, version := id/(replayRows/replayUnits)+1, oldVersion
		if again(unit) {
			version = newVersion
		}
		if id > bounds[version] {
			quarantine[fmt.Sprintf("test.clean %d v0", unit)]++
			continue
		}
		target[fmt.Sprintf("test.clean %d v%d", unit, version)]++
	}
	return target, quarantine
}

func (p *parts) check(t *testing.T, again func(unit int) bool) {
	t.Helper()
	target, quarantine := expected(again)
	if diff := cmp.Diff(target, p.visible(t, processed)); diff != "" {
		t.Errorf("target (- expected, + there):\n%s", diff)
	}
	if diff := cmp.Diff(quarantine, p.visible(t, cleanQuarantine)); diff != "" {
		t.Errorf("quarantine (- expected, + there):\n%s", diff)
	}
	p.checkAccounts(t)
}

// checkAccounts holds the totals, and the sum of all units, against what is there.
func (p *parts) checkAccounts(t *testing.T) {
	t.Helper()
	target, quarantine := p.visible(t, processed), p.visible(t, cleanQuarantine)
	passed, rejected := int64(0), int64(0)
	for _, n := range target {
		passed += int64(n)
	}
	for _, n := range quarantine {
		rejected += int64(n)
	}
	totals, err := p.runtime.Ledger.Totals(t.Context(), "test.clean")
	if err != nil {
		t.Fatal(err)
	}
	units, err := p.runtime.Ledger.Units(t.Context(), "test.clean", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for name, stages := range map[string][]ledger.Stage{"totals": totals, "units": ledger.SumStages(units)} {
		first, last, sum := stages[0], stages[len(stages)-1], int64(0)
		for _, s := range stages {
			sum += s.Rejected
		}
		if first.In != passed+rejected || last.Out != passed || sum != rejected {
			t.Errorf("%s: %d in, %d out, %d rejected; there are %d and %d rows", name, first.In, last.Out, sum, passed, rejected)
		}
	}
}

// nothingLeft makes sure that a replay leaves nothing beside what it replaced.
func (p *parts) nothingLeft(t *testing.T) {
	t.Helper()
	names, err := p.runtime.Zones.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if flow.IsBeside(name) {
			t.Errorf("dataset %q is left", name)
		}
	}
	shadows, err := p.runtime.Ledger.Shadows(t.Context(), "")
	if err != nil || len(shadows) > 0 {
		t.Errorf("shadows left: %v, %v", shadows, err)
	}
	logs, err := p.runtime.Broker.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs {
		if ledger.IsShadow(name) {
			t.Errorf("log %q is left", name)
		}
	}
}

func all(int) bool  { return true }
func none(int) bool { return false }

func TestReplayMakesEveryUnitAgainByTodaysDefinition(t *testing.T) {
	t.Parallel()
	p := processedUnits(t)
	p.check(t, none)
	p.commitBeside(t, 1)
	exported := p.visibleSeqs(t)
	unit, err := p.replay(t.Context(), flow.ReplayRange{})
	if err != nil {
		t.Fatal(err)
	}
	target, quarantine := expected(all)
	target["test.other 1 v9"] = 5
	if diff := cmp.Diff(target, p.visible(t, processed)); diff != "" {
		t.Errorf("target (- expected, + there):\n%s", diff)
	}
	if diff := cmp.Diff(quarantine, p.visible(t, cleanQuarantine)); diff != "" {
		t.Errorf("quarantine (- expected, + there):\n%s", diff)
	}
	p.nothingLeft(t)
	if unit.Seq != replayUnits+1 || unit.Replay == nil || unit.Replay.Rows[processed.String()] != (ledger.Delta{Before: 4500, After: 5500}) {
		t.Errorf("the unit is %+v with %+v", unit, unit.Replay)
	}
	if diff := cmp.Diff(exported, p.visibleSeqs(t), cmp.Comparer(func(a, b int64) bool { return a == b })); diff == "" {
		t.Error("the flow's position in the view did not move")
	}
	stale, err := p.runtime.Ledger.Stale(t.Context())
	want := []ledger.Stale{{Flow: "test.export", Unit: unit.Seq, Input: ledger.Input{
		Dataset: processed.String(), Flow: "test.clean", Span: ledger.Span{First: 1, Last: 6},
	}}}
	if diff := cmp.Diff(want, stale); err != nil || diff != "" {
		t.Errorf("stale: %v\n%s", err, diff)
	}
}

func (p *parts) visibleSeqs(t *testing.T) map[string]int64 {
	t.Helper()
	view, err := p.runtime.Ledger.View(t.Context(), processed.String())
	if err != nil {
		t.Fatal(err)
	}
	return view.Seqs
}

// commitBeside commits a unit of five rows of another flow to the target, with its ledger row.
func (p *parts) commitBeside(t *testing.T, seq int64) {
	t.Helper()
	ctx, book := t.Context(), p.runtime.Ledger
	if err := book.AddWriter(ctx, ledger.Writer{Dataset: processed.String(), Flow: "test.other", Mode: "append"}); err != nil {
		t.Fatal(err)
	}
	epoch, err := book.TakeOver(ctx, "test.other", p.runtime.Owner, 0, ledger.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	dataset, err := p.runtime.Zones.Dataset(ctx, processed)
	if err != nil {
		t.Fatal(err)
	}
	stage, err := dataset.Stage(ctx, zone.StageOptions{Flow: "test.other", Seq: seq})
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, dataset.Schema())
	defer b.Release()
	for i, f := range dataset.Schema().Fields() {
		for range 5 {
			if f.Name != "version" {
				b.Field(i).AppendEmptyValue()
				continue
			}
			b.Field(i).(*array.Int64Builder).Append(9)
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	if err := stage.Write(ctx, batch, ""); err != nil {
		t.Fatal(err)
	}
	files, err := stage.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := dataset.Commit(ctx, zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "test.other", Epoch: epoch, Seq: seq}})
	if err != nil {
		t.Fatal(err)
	}
	err = book.Append(ctx, ledger.Unit{
		Flow: "test.other", Seq: seq, Epoch: epoch, Verdict: ledger.Committed, Committed: time.Now(),
		Datasets: map[string]ledger.Output{processed.String(): {Snapshot: snapshot.ID, Rows: 5}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReplayOfARangeChangesNothingElse(t *testing.T) {
	t.Parallel()
	p := processedUnits(t)
	units, err := p.runtime.Ledger.Units(t.Context(), "test.landing", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		want        flow.ReplayRange
		first, last int
	}{
		"units":             {flow.ReplayRange{Units: ledger.Span{First: 2, Last: 3}}, 2, 3},
		"from a unit on":    {flow.ReplayRange{Units: ledger.Span{First: 5}}, 5, 6},
		"times":             {flow.ReplayRange{Since: units[1].Committed, Until: units[3].Committed}, 2, 3},
		"since":             {flow.ReplayRange{Since: units[4].Committed}, 5, 6},
		"snapshots":         {flow.ReplayRange{Snapshots: [2]int64{units[2].Datasets[landed.String()].Snapshot, units[4].Datasets[landed.String()].Snapshot}}, 3, 5},
		"units of an input": {flow.ReplayRange{Inputs: []ledger.Input{{Dataset: landed.String(), Flow: "test.landing", Span: ledger.Span{First: 4, Last: 4}}}}, 4, 4},
	} {
		plan, err := flow.PlanReplay(t.Context(), p.version(newVersion), p.runtime, c.want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := []ledger.Span{{First: int64(c.first), Last: int64(c.last)}}; cmp.Diff(want, plan.Again) != "" {
			t.Errorf("%s: %v is made again, want %v", name, plan.Again, want)
		}
	}
	if _, err := p.replay(t.Context(), flow.ReplayRange{Units: ledger.Span{First: 2, Last: 3}}); err != nil {
		t.Fatal(err)
	}
	again := func(unit int) bool { return unit == 2 || unit == 3 }
	p.check(t, again)
	p.nothingLeft(t)
	// Another replay takes the first one's place in the accounts, and the flow goes on behind both.
	if _, err := p.replay(t.Context(), flow.ReplayRange{Units: ledger.Span{First: 3, Last: 5}}); err != nil {
		t.Fatal(err)
	}
	p.check(t, func(unit int) bool { return unit >= 2 && unit <= 5 })
	p.mustRun(t, p.version(newVersion))
	p.check(t, func(unit int) bool { return unit >= 2 && unit <= 5 })
}

// Rows that were released from quarantine are made again with the units that they came from; else they would be there twice.
func TestReplayTakesReleasedRowsAlong(t *testing.T) {
	t.Parallel()
	p := processedUnits(t)
	redriven := p.version(newVersion)
	redriven.Redrive = &flow.RedriveSettings{By: "test"}
	p.mustRun(t, redriven)
	released := p.visible(t, processed)
	if n := released["test.clean 7 v1"]; n != 1000 {
		t.Fatalf("%d rows were released, want 1000: %v", n, released)
	}
	_, err := flow.PlanReplay(t.Context(), p.version(newVersion), p.runtime, flow.ReplayRange{Units: ledger.Span{First: 5, Last: 5}})
	if err == nil || !strings.Contains(err.Error(), "replay units 5..6") {
		t.Errorf("%v, want a refusal that says which units go together", err)
	}
	plan, err := flow.PlanReplay(t.Context(), p.version(newVersion), p.runtime, flow.ReplayRange{Units: ledger.Span{First: 1, Last: 4}})
	if err != nil || len(plan.Gone) > 0 {
		t.Errorf("units without quarantined rows: %+v, %v", plan, err)
	}
	unit, err := p.replay(t.Context(), flow.ReplayRange{Units: ledger.Span{First: 5, Last: 6}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ledger.Span{{First: 5, Last: 8}}, unit.Replay.Units); diff != "" {
		t.Errorf("replaced units:\n%s", diff)
	}
	p.check(t, func(unit int) bool { return unit >= 5 })
	// What is in quarantine now is open again, and can be released again.
	p.mustRun(t, redriven)
	if n := redriven.Redrive.Result.Sent; n != 500 {
		t.Errorf("%d rows went into the flow again, want the 500 that the new definition rejects", n)
	}
}

// pairs is a flow over two datasets that writes two.
func (p *parts) pairs(version int) *flow.Settings {
	s := p.version(version)
	s.Datasets.Names = []zone.Name{landed, otherOf(landed)}
	s.Target.Dataset = func(stream string) (zone.Name, error) {
		name := processed
		name.Dataset = stream
		return name, nil
	}
	return s
}

func otherOf(name zone.Name) zone.Name {
	name.Dataset = "others"
	return name
}

func (p *parts) landingPairs() *flow.Settings {
	s := p.landing()
	s.Source.Instance.Config = fmt.Appendf(nil, `{"streams":["events","others"],"seed":7,"rows":%d,"checkpoint_rows":2000,"batch_rows":250}`, p.rows)
	s.Target.Dataset = func(stream string) (zone.Name, error) {
		name := landed
		name.Dataset = stream
		return name, nil
	}
	s.Commit = flow.Thresholds{Rows: 2 * p.rowsPerUnit()}
	return s
}

// A flow over two datasets is swapped in both at once: who looks while only one of them has the new rows sees the old ones.
func TestReplayOfTwoDatasetsIsSeenInBothOrNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := openParts(t, dir)
	p.mustRun(t, p.landingPairs(), p.pairs(oldVersion))
	both := func(version int) {
		t.Helper()
		for _, name := range []zone.Name{processed, otherOf(processed)} {
			rows := p.visible(t, name)
			total := 0
			for key, n := range rows {
				if strings.HasSuffix(key, fmt.Sprint("v", version)) {
					total += n
				}
			}
			if want := bounds[version] + 1; total != want || len(rows) != (want+999)/1000 {
				t.Errorf("%s: %d rows of version %d, want %d: %v", name, total, version, want, rows)
			}
		}
	}
	both(oldVersion)
	if err := p.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, point := range []string{"after-rebuild:2", "after-rebuild:3", "before-swap-ledger"} {
		var exit *exec.ExitError
		if err := runReplayChild(t, dir, fmt.Sprint(newVersion, pairsMark), point); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("%s: the child was not killed: %v", point, err)
		}
		p = openParts(t, dir)
		both(oldVersion)
		if err := p.close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := runReplayChild(t, dir, fmt.Sprint(newVersion, pairsMark), ""); err != nil {
		t.Fatal(err)
	}
	p = openParts(t, dir)
	both(newVersion)
	p.nothingLeft(t)
	if err := p.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestReplayRefusesWhatCanNotBeMadeAgain(t *testing.T) {
	t.Parallel()
	p := processedUnits(t)
	for want, c := range map[string]struct {
		settings *flow.Settings
		want     flow.ReplayRange
	}{
		"reads from a source":          {p.landingUnits(), flow.ReplayRange{}},
		"the last one is 6":            {p.version(newVersion), flow.ReplayRange{Units: ledger.Span{First: 9, Last: 9}}},
		"nothing was committed":        {p.version(newVersion), flow.ReplayRange{Since: time.Now().Add(time.Hour)}},
		"made both snapshots 1 and 2":  {p.version(newVersion), flow.ReplayRange{Snapshots: [2]int64{1, 2}}},
		"no unit yet":                  {&flow.Settings{Name: "test.none", Datasets: &flow.DatasetSettings{}}, flow.ReplayRange{}},
		"writes its target as a whole": {&flow.Settings{Name: "test.x", Datasets: &flow.DatasetSettings{Pinned: true}}, flow.ReplayRange{Units: ledger.Span{First: 1}}},
		"no unit has read any of that": {p.version(newVersion), flow.ReplayRange{Inputs: []ledger.Input{{Dataset: "a.b.c", Flow: "f", Span: ledger.Span{First: 1, Last: 1}}}}},
	} {
		if _, err := flow.PlanReplay(t.Context(), c.settings, p.runtime, c.want); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// While a runner has the flow, the swap waits. What it adds meanwhile, by the old definition, is made again, too.
func TestSwapWaitsForTheRunnerAndTakesInWhatItAdds(t *testing.T) {
	t.Parallel()
	p := processedUnits(t)
	other := *p.runtime
	other.Owner, other.Progress = "elsewhere/1/x-1-y", progress.New("test.clean")
	if _, err := p.runtime.Ledger.TakeOver(t.Context(), "test.clean", other.Owner, 0, ledger.Owner{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := p.replay(t.Context(), flow.ReplayRange{})
		done <- err
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(p.runtime.Progress.Of("test.clean").Note, "it is run by elsewhere") {
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-t.Context().Done():
			t.Fatal("it does not wait")
		case <-tick.C:
		}
	}
	p.check(t, none)
	p.rows += int(p.rowsPerUnit()) // one more unit lands, and the runner, which is still of the old definition, processes it
	more := p.landingUnits()
	more.Source.Instance.Config = fmt.Appendf(nil, `{"stream":"events","seed":7,"rows":%d,"checkpoint_rows":1000,"batch_rows":250}`, p.rows)
	if err := flow.Run(t.Context(), more, &other, make(chan struct{})); err != nil {
		t.Fatal(err)
	}
	if err := flow.Run(t.Context(), p.version(oldVersion), &other, make(chan struct{})); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	target, quarantine := expected(all)
	quarantine["test.clean 7 v0"] = int(p.rowsPerUnit())
	if diff := cmp.Diff(target, p.visible(t, processed)); diff != "" {
		t.Errorf("target (- expected, + there):\n%s", diff)
	}
	if diff := cmp.Diff(quarantine, p.visible(t, cleanQuarantine)); diff != "" {
		t.Errorf("quarantine (- expected, + there):\n%s", diff)
	}
	units, err := p.runtime.Ledger.Units(t.Context(), "test.clean", 6, 10)
	if err != nil || len(units) != 2 || units[0].Replayed != 8 {
		t.Errorf("units behind the sixth are %+v, %v", units, err)
	}
	p.checkAccounts(t)
}

func TestReplayIntoLeavesTheTargetAlone(t *testing.T) {
	t.Parallel()
	p := processedUnits(t)
	into := zone.Name{Zone: zone.Processing, Namespace: "test", Dataset: "events_try"}
	build := func(want flow.ReplayRange) *flow.Replay {
		t.Helper()
		plan, err := flow.PlanReplay(t.Context(), p.version(newVersion), p.runtime, want)
		if err != nil {
			t.Fatal(err)
		}
		r, err := flow.OpenReplay(t.Context(), p.runtime, flow.ReplayRequest{
			Flow: p.version(newVersion), Purpose: ledger.ForInto, Plan: plan, Into: flow.Into{Name: into.String(), Dataset: fixed(into)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Build(t.Context(), make(chan struct{})), r.Finish(t.Context())); err != nil {
			t.Fatal(err)
		}
		return r
	}
	count := func() (n int) {
		for _, rows := range p.visible(t, into) {
			n += rows
		}
		return n
	}
	first := build(flow.ReplayRange{})
	if n := count(); n != 5500 {
		t.Errorf("%d rows, want 5500", n)
	}
	p.check(t, none)
	if again := build(flow.ReplayRange{}); !again.Resumed || again.Shadow.Flow != first.Shadow.Flow {
		t.Error("the same was built a second time")
	}
	part := build(flow.ReplayRange{Units: ledger.Span{First: 2, Last: 2}})
	if n := count(); part.Resumed || n != 1000 {
		t.Errorf("%d rows after a replay of one unit, want 1000", n)
	}
	if err := part.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.nothingLeft(t)
	if rows := p.visible(t, into); rows != nil {
		t.Errorf("it is still there: %v", rows)
	}
	p.check(t, none)
}

// What today's checks block can't take the place of what is there. The pipeline corrected, the same replay begins anew.
func TestABlockedReplayLeavesTheTargetAsItWas(t *testing.T) {
	t.Parallel()
	p := processedUnits(t)
	blocking := p.version(newVersion)
	blocking.Checks[0].OnFail = flow.OnFailBlock
	_, err := flow.ReplayLive(t.Context(), p.runtime, flow.ReplayRequest{Flow: blocking}, flow.ReplayRange{}, make(chan struct{}))
	var held *flow.ReplayHeldError
	if !errors.As(err, &held) || held.Unit != 6 || held.Flow != "test.clean" {
		t.Fatalf("%v, want unit 6 to be blocked", err)
	}
	p.check(t, none)
	if _, err := p.replay(t.Context(), flow.ReplayRange{}); err != nil {
		t.Fatal(err)
	}
	p.check(t, all)
	p.nothingLeft(t)
}

func TestReplayIntoADatasetOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	p := processedUnits(t)
	plan, err := flow.PlanReplay(t.Context(), p.version(newVersion), p.runtime, flow.ReplayRange{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = flow.OpenReplay(t.Context(), p.runtime, flow.ReplayRequest{
		Flow: p.version(newVersion), Purpose: ledger.ForInto, Plan: plan, Into: flow.Into{Name: processed.String(), Dataset: fixed(processed)},
	})
	if err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("%v, want a refusal", err)
	}
	p.nothingLeft(t)
}

func replayChild(dir string) int {
	p, err := open(context.Background(), dir, memory.DefaultAllocator)
	if err != nil {
		fmt.Fprintln(os.Stderr, "open:", err)
		return 1
	}
	p.rows = replayRows
	number, pairs := strings.CutSuffix(os.Getenv(replayVariable), pairsMark)
	version, err := strconv.Atoi(number)
	switch {
	case err != nil:
	case pairs:
		q := flow.ReplayRequest{Flow: p.pairs(version)}
		_, err = flow.ReplayLive(context.Background(), p.runtime, q, flow.ReplayRange{}, make(chan struct{}))
	default:
		_, err = p.replayBy(context.Background(), version, flow.ReplayRange{})
	}
	if closeErr := p.close(context.Background()); err == nil {
		err = closeErr
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		return 1
	}
	return 0
}

// pairsMark behind a version means the flow over two datasets.
const pairsMark = "-pairs"

func runReplayChild(t *testing.T, dir, version, killAt string) error {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"="+dir, replayVariable+"="+version, "QANAT_FLOW_TEST_PLUGINS="+plugins,
		"QANAT_KILL_AT="+killAt)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err = cmd.Run(); err != nil {
		t.Logf("%s: %v\n%s", killAt, err, output.String())
	}
	return err
}

// A replay may die at any of these points. Until its ledger row is there, readers see the old rows, from then on the new ones; a run
// of the flow, or the same replay again, goes on from there.
func TestKilledReplaysAreFinishedByTheSameCommand(t *testing.T) {
	t.Parallel()
	for name, points := range map[string][]string{
		"building": {"before-shadow", "after-shadow", "before-seed", "after-seed", "before-ledger:3", "after-ledger:3", "after-stage-again:2"},
		"swapping": {
			"before-swap-evolve", "before-rebuild:1", "after-rebuild:1", "after-rebuild:2", "before-swap-ledger", "inside-replay-ledger",
		},
		"clearing up": {
			"after-swap-ledger", "before-dropping", "after-dropping", "before-drop-name", "after-drop-name", "before-drop-log",
			"before-forget-shadow", "after-forget-shadow",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := openParts(t, dir)
			p.mustRun(t, p.landingUnits(), p.version(oldVersion))
			if err := p.close(t.Context()); err != nil {
				t.Fatal(err)
			}
			from, to := oldVersion, newVersion
			for i, point := range points {
				killReplay(t, dir, point, from, to, name == "clearing up", i%2 == 0)
				from, to = to, from
			}
		})
	}
}

func killReplay(t *testing.T, dir, point string, from, to int, swapped, runBetween bool) {
	t.Helper()
	var exit *exec.ExitError
	if err := runReplayChild(t, dir, fmt.Sprint(to), point); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("%s: the child was not killed: %v", point, err)
	}
	p, err := open(t.Context(), dir, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	p.rows = replayRows
	by := map[int]func(int) bool{oldVersion: none, newVersion: all}
	state := by[from]
	if swapped {
		state = by[to]
	}
	p.check(t, state)
	if runBetween {
		p.mustRun(t, p.version(to))
		p.check(t, state)
	}
	if _, err := p.replayBy(t.Context(), to, flow.ReplayRange{}); err != nil {
		t.Fatalf("%s: %v", point, err)
	}
	p.check(t, by[to])
	p.nothingLeft(t)
	if t.Failed() {
		t.Fatalf("after %s", point)
	}
}
