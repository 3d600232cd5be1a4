package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// Swap puts the rows of the shadow in the place of those that they were made for, in all datasets of the flow at once: as a unit of
// the flow, whose ledger row is the moment. It waits for a runner that has the flow. What that one has added since is made again,
// too, if the end of the range is open. It returns the unit. Should it die, the flow's next session takes back what was not
// finished, and the replay can be repeated.
func (p *Replay) Swap(ctx context.Context, stopping <-chan struct{}) (ledger.Unit, error) {
	var unit ledger.Unit
	s := p.request.Flow
	if s.Target.Sink != nil || s.Datasets.Pinned {
		return unit, fmt.Errorf("flow %q does not write datasets unit by unit: there is nothing to swap", s.Name)
	}
	err := sessions(ctx, s.Name, p.runtime, stopping, func(ctx context.Context, claim tenure.Claim) (err error) {
		unit, err = p.swapSession(ctx, claim, stopping)
		return err
	})
	if err == nil && unit.Seq == 0 {
		err = ErrStopped
	}
	state, note := progress.Done, ""
	if err != nil {
		state, note = progress.Failed, err.Error()
		err = fmt.Errorf("flow %q: %w", s.Name, err)
	}
	p.runtime.Progress.Update(s.Name, func(st *progress.Status) { st.State, st.Note, st.Ended = state, note, time.Now() })
	return unit, err
}

// swapSession is a session of the flow that swaps instead of producing.
func (p *Replay) swapSession(ctx context.Context, claim tenure.Claim, stopping <-chan struct{}) (unit ledger.Unit, err error) {
	s, r := p.request.Flow, p.runtime
	log, err := r.Broker.Log(ctx, s.Name, broker.LogSettings{MaxBytes: s.LogBytes})
	if err != nil {
		return unit, err
	}
	run := &session{settings: s, runtime: r, log: log, stopping: stopping}
	if run.at, err = takeOver(ctx, s, r, log, claim); err != nil {
		return unit, err
	}
	defer run.at.writer.Close()
	if err = run.prepare(ctx); err == nil {
		err = run.commitChain(ctx)
	}
	if err == nil {
		unit, err = p.swap(ctx, run, stopping)
	}
	return unit, errors.Join(err, run.close(ctx))
}

// swap is done by the owner of the flow, when everything that the flow's log held is committed.
func (p *Replay) swap(ctx context.Context, run *session, stopping <-chan struct{}) (ledger.Unit, error) {
	r, s := p.runtime, p.request.Flow
	r.Progress.Update(s.Name, func(st *progress.Status) { st.State, st.Note, st.Seq = progress.Running, "", run.commit.committed })
	if err := p.catchUp(ctx, run.commit.committed, stopping); err != nil {
		return ledger.Unit{}, err
	}
	plan, err := PlanReplay(ctx, s, r, ReplayRange{Units: p.Shadow.Units})
	if err != nil {
		return ledger.Unit{}, err
	}
	units, err := p.redone(ctx, plan)
	if err != nil {
		return ledger.Unit{}, err
	}
	w := &swapping{replay: p, epoch: run.at.epoch, seq: run.commit.committed + 1, committed: run.commit.committed, units: units}
	outputs, err := w.datasets(ctx)
	if err != nil {
		return ledger.Unit{}, err
	}
	entry := ledger.Unit{
		Flow: s.Name, Seq: w.seq, Epoch: w.epoch, Verdict: ledger.Committed, Position: run.at.position(), LogEnd: run.at.live,
		Datasets: outputs, Stages: []ledger.Stage{}, Revisions: s.Revisions, Opened: p.Shadow.Begun, Committed: time.Now(),
	}
	if entry.Replay, err = w.record(ctx, plan); err != nil {
		return ledger.Unit{}, err
	}
	killpoint.Here("before-swap-ledger")
	if err := r.Ledger.AppendReplay(ctx, entry, w.entries(), p.Shadow); err != nil {
		return ledger.Unit{}, err
	}
	killpoint.Here("after-swap-ledger")
	p.Shadow.Swapped = entry.Seq
	r.Progress.Update(s.Name, func(st *progress.Status) {
		st.Seq, st.Units = entry.Seq, st.Units+1
		for name, rows := range entry.Replay.Rows {
			if name != s.Quarantine.String() {
				st.Written += rows.After
			}
		}
	})
	return entry, nil
}

// catchUp makes the units again that the flow has committed since the replay began.
func (p *Replay) catchUp(ctx context.Context, committed int64, stopping <-chan struct{}) error {
	if !p.Shadow.Open || committed <= p.Shadow.Units.Last {
		return nil
	}
	p.Shadow.Units.Last = committed
	p.settings.Replay.Units = p.Shadow.Units
	if err := p.runtime.Ledger.SaveShadow(ctx, p.Shadow); err != nil {
		return err
	}
	return p.Build(ctx, stopping)
}

// swapping is one attempt to swap, under an epoch of the flow.
type swapping struct {
	replay    *Replay
	epoch     uint64
	seq       int64 // of the unit that swaps
	committed int64
	units     []redone
}

// datasets swaps the rows of every dataset that the flow or its shadow writes: quarantine first, as a unit does.
func (w *swapping) datasets(ctx context.Context) (map[string]ledger.Output, error) {
	p := w.replay
	own, err := p.runtime.Ledger.DatasetsOf(ctx, p.request.Flow.Name)
	if err != nil {
		return nil, err
	}
	besides, err := p.runtime.Ledger.DatasetsOf(ctx, p.Shadow.Flow)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, name := range own {
		all[name] = true
	}
	for _, name := range besides {
		all[strings.TrimSuffix(name, besideMark+"replay")] = true
	}
	aside := p.request.Flow.Quarantine.String()
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if (a == aside) != (b == aside) {
			return map[bool]int{true: -1, false: 1}[a == aside]
		}
		return strings.Compare(a, b)
	})
	outputs := map[string]ledger.Output{}
	for _, text := range names {
		name, err := zone.ParseName(text)
		if err != nil {
			return nil, err
		}
		if err := w.dataset(ctx, name, outputs); err != nil {
			return nil, err
		}
	}
	return outputs, nil
}

// dataset swaps the rows of one dataset.
func (w *swapping) dataset(ctx context.Context, name zone.Name, outputs map[string]ledger.Output) error {
	r, flow := w.replay.runtime, w.replay.request.Flow.Name
	beside, err := r.Zones.Dataset(ctx, Beside(name, ledger.ForSwap))
	if err != nil && !errors.Is(err, zone.ErrNotFound) {
		return err
	}
	target, err := w.target(ctx, name, beside)
	if err != nil || target == nil {
		return err
	}
	files, err := w.stage(ctx, target, beside)
	if err != nil {
		return err
	}
	killpoint.Here("before-rebuild")
	snapshot, err := target.Rebuild(ctx, zone.RebuildRequest{
		Mark: zone.Mark{Flow: flow, Epoch: w.epoch, Seq: w.seq}, Units: w.ranges(), Files: files,
		CheckOwner: func(ctx context.Context) error { return r.Ledger.Check(ctx, flow, w.epoch) },
	})
	if err != nil {
		return err
	}
	killpoint.Here("after-rebuild")
	outputs[name.String()] = ledger.Output{UUID: target.UUID(), Snapshot: snapshot.ID, Bytes: files.Bytes}
	return nil
}

// target opens a dataset of the flow, with the columns that the new rows need. One that the flow has not written yet is made, if
// there is one beside it. It is nil if there is neither.
func (w *swapping) target(ctx context.Context, name zone.Name, beside *zone.Dataset) (*zone.Dataset, error) {
	r, flow := w.replay.runtime, w.replay.request.Flow.Name
	target, err := r.Zones.Dataset(ctx, name)
	switch {
	case err == nil && beside == nil:
		return target, nil
	case err == nil:
		killpoint.Here("before-swap-evolve")
		target, _, err = target.Evolve(ctx, beside.Schema())
		return target, err
	case !errors.Is(err, zone.ErrNotFound) || beside == nil:
		return nil, ignore(err, zone.ErrNotFound)
	}
	if err := r.Ledger.AddWriter(ctx, ledger.Writer{Dataset: name.String(), Flow: flow, Mode: "append"}); err != nil {
		return nil, err
	}
	killpoint.Here("before-swap-create")
	if target, err = r.Zones.Create(ctx, name, beside.Schema(), zone.CreateOptions{}); err != nil {
		return nil, err
	}
	_, err = takeDataset(ctx, target, flow, w.epoch, w.committed, 0)
	return target, err
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// ranges are the units whose rows are replaced.
func (w *swapping) ranges() []zone.UnitRange {
	seqs := make([]int64, len(w.units))
	for i, u := range w.units {
		seqs[i] = u.seq
	}
	var ranges []zone.UnitRange
	for _, span := range ledger.Spans(seqs) {
		ranges = append(ranges, zone.UnitRange{After: span.First - 1, Upto: span.Last})
	}
	return ranges
}

// stage copies the shadow's rows to files of the target, each unit's under the number of the unit in whose place it comes.
func (w *swapping) stage(ctx context.Context, target, beside *zone.Dataset) (files zone.Files, err error) {
	if beside == nil {
		return files, nil
	}
	for _, u := range w.units {
		if u.shadow.Seq == 0 || u.shadow.Datasets[beside.Name().String()].Rows == 0 {
			continue
		}
		unit, err := w.stageUnit(ctx, target, beside, u)
		if err != nil {
			return files, errors.Join(err, target.Discard(context.WithoutCancel(ctx), files))
		}
		files = files.With(unit)
		killpoint.Here("after-stage-again")
	}
	return files, nil
}

func (w *swapping) stageUnit(ctx context.Context, target, beside *zone.Dataset, u redone) (zone.Files, error) {
	p := w.replay
	_, batches, err := beside.Scan(ctx, zone.ScanRequest{
		Units: []zone.UnitRange{{Flow: p.Shadow.Flow, After: u.shadow.Seq - 1, Upto: u.shadow.Seq}},
	})
	if err != nil {
		return zone.Files{}, err
	}
	stage, err := target.Stage(ctx, zone.StageOptions{Flow: p.request.Flow.Name, Seq: u.seq, IngestedAt: u.shadow.Opened})
	if err != nil {
		return zone.Files{}, err
	}
	for batch, err := range batches {
		if err == nil {
			err = w.write(ctx, stage, target, batch, u.seq)
		}
		if err != nil {
			return zone.Files{}, errors.Join(err, stage.Abort(context.WithoutCancel(ctx)))
		}
	}
	files, err := stage.Finish(ctx)
	if want := u.shadow.Datasets[beside.Name().String()].Rows; err == nil && files.Rows != want {
		err = sdk.Fatal(fmt.Errorf("dataset %q: unit %d of the shadow has %d rows there, its ledger says %d", beside.Name(), u.shadow.Seq, files.Rows, want))
		return zone.Files{}, errors.Join(err, target.Discard(context.WithoutCancel(ctx), files))
	}
	return files, err
}

// write stages rows for a unit; the ownership of the batch passes.
func (w *swapping) write(ctx context.Context, stage *zone.Stage, target *zone.Dataset, batch arrow.RecordBatch, seq int64) error {
	p := w.replay
	if target.Name() == p.request.Flow.Quarantine {
		batch = quarantine.Renumber(batch, seq, p.runtime.Alloc)
	}
	defer batch.Release()
	p.runtime.Progress.Note(p.request.Flow.Name, func(s *progress.Status) { s.Reading += batch.NumRows() })
	return stage.Write(ctx, batch, "")
}

// entries are the units as they are in the ledger from now on.
func (w *swapping) entries() []ledger.Unit {
	p := w.replay
	entries := make([]ledger.Unit, len(w.units))
	for i, u := range w.units {
		again := ledger.Unit{
			Seq: u.seq, Verdict: ledger.Committed, Stages: []ledger.Stage{}, Checks: u.shadow.Checks, Revisions: p.request.Flow.Revisions,
			Datasets: map[string]ledger.Output{},
		}
		if u.shadow.Seq > 0 {
			again.Verdict, again.Stages = u.shadow.Verdict, u.shadow.Stages
		}
		for name, out := range u.shadow.Datasets {
			again.Datasets[strings.TrimSuffix(name, besideMark+"replay")] = ledger.Output{Rows: out.Rows, Bytes: out.Bytes}
		}
		entries[i] = again
	}
	return entries
}

// record says in the ledger what was made again.
func (w *swapping) record(ctx context.Context, plan *ReplayPlan) (*ledger.Replay, error) {
	p := w.replay
	var before []ledger.Unit
	entries := w.entries()
	record := &ledger.Replay{
		Shadow: p.Shadow.Flow, Inputs: plan.Inputs, Made: p.Shadow.Made, By: p.request.By, Rows: map[string]ledger.Delta{},
	}
	for _, r := range w.ranges() {
		record.Units = append(record.Units, ledger.Span{First: r.After + 1, Last: r.Upto})
	}
	for i, u := range w.units {
		before = append(before, u.before)
		for name, out := range u.before.Datasets {
			d := record.Rows[name]
			d.Before += out.Rows
			record.Rows[name] = d
		}
		for name, out := range entries[i].Datasets {
			d := record.Rows[name]
			d.After += out.Rows
			record.Rows[name] = d
		}
	}
	record.Before, record.After = ledger.SumStages(before), ledger.SumStages(entries)
	var err error
	record.Affects, err = w.affects(ctx, record.Units)
	return record, err
}

// affects are the flows that have read the rows that are replaced.
func (w *swapping) affects(ctx context.Context, units []ledger.Span) ([]ledger.Stale, error) {
	p := w.replay
	var stale []ledger.Stale
	for _, reader := range p.request.Readers {
		last, found, err := p.runtime.Ledger.Last(ctx, reader.Flow)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		at, known, err := positionOf(last)
		if err != nil {
			return nil, err
		}
		for _, dataset := range reader.Datasets {
			read := at[dataset.String()][p.request.Flow.Name]
			if !known {
				read = w.seq
			}
			for _, span := range units {
				if span.Last = min(span.Last, read); span.First > read {
					continue
				}
				in := ledger.Input{Dataset: dataset.String(), Flow: p.request.Flow.Name, Span: span}
				stale = append(stale, ledger.Stale{Flow: reader.Flow, Input: in, Unit: w.seq})
			}
		}
	}
	return stale, nil
}
