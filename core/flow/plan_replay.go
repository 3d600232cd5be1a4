package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

// ReplayRange says which units of a flow to make again. The zero value stands for all of them; else one of its fields is set.
type ReplayRange struct {
	Units        ledger.Span    // of the flow; Last 0 leaves the end open
	Since, Until time.Time      // when the input was committed: not before Since, and before Until
	Snapshots    [2]int64       // of an input, from one to the other, both included
	Inputs       []ledger.Input // units of the input
}

func (r *ReplayRange) all() bool {
	return r.Units == ledger.Span{} && r.Since.IsZero() && r.Until.IsZero() && r.Snapshots == [2]int64{} && len(r.Inputs) == 0
}

// open says whether what comes behind belongs to the range, too.
func (r *ReplayRange) open() bool {
	return r.Units.Last == 0 && r.Until.IsZero() && r.Snapshots == [2]int64{} && len(r.Inputs) == 0
}

// ReplayPlan is what a replay would make again.
type ReplayPlan struct {
	Flow   string         `json:"flow"`
	Pinned bool           `json:"pinned,omitempty"` // everything is made again in one unit
	Units  ledger.Span    `json:"units"`            // the range, widened to whole units
	Open   bool           `json:"open,omitempty"`
	Again  []ledger.Span  `json:"again"`  // units that are made again
	Inputs []ledger.Input `json:"inputs"` // what is read again
	// Gone are units that released quarantined rows of units that are made again: their rows are made again with those.
	Gone []int64          `json:"gone,omitempty"`
	Kept []KeptUnit       `json:"kept,omitempty"`
	Rows map[string]int64 `json:"rows"` // by dataset: what is there of these units now
	// Decided are quarantined rows of these units that people have dropped: they are judged again.
	Decided int64 `json:"decided,omitempty"`
}

// KeptUnit is a unit in the range whose rows stay as they are.
type KeptUnit struct {
	Seq int64  `json:"seq"`
	Why string `json:"why"`
}

// Why units stay as they are.
const (
	keptDropped  = "people dropped it"
	keptNoInput  = "it read no input"
	keptReleased = "it released quarantined rows of other units"
)

// ErrNothingToReplay says that no unit is in the range.
var ErrNothingToReplay = errors.New("there is nothing to replay")

// PlanReplay works out what a replay would make again. It changes nothing.
func PlanReplay(ctx context.Context, s *Settings, r *Runtime, want ReplayRange) (*ReplayPlan, error) {
	if s.Datasets == nil {
		return nil, fmt.Errorf("flow %q reads from a source: landing is raw, and nothing but the source could fill it again; "+
			"replay the flows behind it", s.Name)
	}
	inputs, err := wantedInputs(ctx, s, r, want)
	if err != nil {
		return nil, err
	}
	p := &planning{
		book: r.Ledger, flow: s.Name,
		plan: &ReplayPlan{Flow: s.Name, Pinned: s.Datasets.Pinned, Open: want.open(), Rows: map[string]int64{}},
	}
	if s.Datasets.Pinned {
		return p.pinned(ctx, want, inputs)
	}
	if err := p.choose(ctx, want, inputs); err != nil {
		return nil, fmt.Errorf("flow %q: %w", s.Name, err)
	}
	return p.plan, nil
}

// planning works out a plan.
type planning struct {
	book  *ledger.Ledger
	flow  string
	plan  *ReplayPlan
	again []int64
}

// pinned plans a flow whose every unit is made of all that there is.
func (p *planning) pinned(ctx context.Context, want ReplayRange, inputs []ledger.Input) (*ReplayPlan, error) {
	if want.Units != (ledger.Span{}) {
		return nil, fmt.Errorf("flow %q writes its target as a whole, so there are no units to choose from: leave the range out, "+
			"or choose a range of its input for a dataset of its own", p.flow)
	}
	last, found, err := p.book.Last(ctx, p.flow)
	if err != nil {
		return nil, err
	}
	p.plan.Inputs = inputs
	if found {
		p.plan.Units = ledger.Span{First: last.Seq, Last: last.Seq}
		for dataset, out := range last.Datasets {
			p.plan.Rows[dataset] = out.Rows
		}
	}
	return p.plan, nil
}

// choose finds the units that the range touches.
func (p *planning) choose(ctx context.Context, want ReplayRange, inputs []ledger.Input) error {
	plan, lost, last := p.plan, int64(0), int64(0)
	err := past(ctx, p.book, p.flow, 0, func(u pastUnit) (bool, error) {
		if u.Verdict == ledger.Held { // it is the last one, and not there yet
			return false, nil
		}
		last = u.Seq
		if !u.known {
			lost = u.Seq
		}
		in := want.all() || want.Units.Has(u.Seq) || (want.Units.First > 0 && want.Units.Last == 0 && u.Seq >= want.Units.First) ||
			touch(u.inputs, inputs)
		if !in {
			return true, nil
		}
		if plan.Units.First == 0 {
			plan.Units.First = u.Seq
		}
		plan.Units.Last = u.Seq
		return true, nil
	})
	switch {
	case err != nil:
		return err
	case last == 0:
		return fmt.Errorf("%w: it has no unit yet", ErrNothingToReplay)
	case want.Units.Last > last || want.Units.First > last:
		return fmt.Errorf("%w of these units: the last one is %d", ErrNothingToReplay, last)
	case plan.Units.First == 0:
		return fmt.Errorf("%w: no unit has read any of that", ErrNothingToReplay)
	case plan.Units.First <= lost && lost < last:
		return fmt.Errorf("what unit %d read is not known any more: the ledger keeps long positions for the newest units only; "+
			"the first unit that can be replayed is %d", max(plan.Units.First, 1), lost+1)
	case plan.Units.First <= lost:
		return errors.New("what its units read is not known any more: the ledger keeps long positions for the newest units only")
	}
	return p.take(ctx)
}

// take sorts the units of the range into those that are made again and those that stay.
func (p *planning) take(ctx context.Context) error {
	plan := p.plan
	released := map[int64]bool{}
	err := past(ctx, p.book, p.flow, plan.Units.First-1, func(u pastUnit) (bool, error) {
		switch {
		case u.Verdict == ledger.Held:
			return false, nil
		case u.Redriven != nil:
			released[u.Seq] = true
		case u.Seq > plan.Units.Last:
		case u.redone():
			p.add(u)
		case u.Verdict == ledger.Dropped:
			plan.Kept = append(plan.Kept, KeptUnit{Seq: u.Seq, Why: keptDropped})
		default:
			plan.Kept = append(plan.Kept, KeptUnit{Seq: u.Seq, Why: keptNoInput})
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	plan.Again, plan.Inputs = ledger.Spans(p.again), merged(plan.Inputs)
	if len(p.again) == 0 {
		return fmt.Errorf("%w: no unit of the range has read anything", ErrNothingToReplay)
	}
	return p.release(ctx, released)
}

func (p *planning) add(u pastUnit) {
	p.again = append(p.again, u.Seq)
	p.plan.Inputs = append(p.plan.Inputs, u.inputs...)
	for dataset, out := range u.Datasets {
		p.plan.Rows[dataset] += out.Rows
	}
}

// release settles what becomes of units that released quarantined rows. Rows that the replay makes again must not stay beside it, and
// a unit can't be taken apart.
func (p *planning) release(ctx context.Context, released map[int64]bool) error {
	settled, err := p.book.Settled(ctx, p.flow)
	if err != nil {
		return err
	}
	again := map[int64]bool{}
	for _, seq := range p.again {
		again[seq] = true
	}
	sources := map[int64][]int64{}
	for _, s := range settled {
		if again[s.Unit] && s.Outcome == ledger.DroppedRow {
			p.plan.Decided += s.Rows()
		}
		if released[s.Seq] && s.Outcome == ledger.Released && !slices.Contains(sources[s.Seq], s.Unit) {
			sources[s.Seq] = append(sources[s.Seq], s.Unit)
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(sources)) { // a later one may have released what an earlier one rejected
		gone, err := p.releases(seq, sources[seq], again)
		if err != nil {
			return err
		}
		if again[seq] = gone; gone {
			p.plan.Gone = append(p.plan.Gone, seq)
		}
	}
	for _, seq := range p.plan.Gone {
		units, err := p.book.Units(ctx, p.flow, seq-1, 1)
		if err != nil {
			return err
		}
		for dataset, out := range units[0].Datasets {
			p.plan.Rows[dataset] += out.Rows
		}
	}
	slices.SortFunc(p.plan.Kept, func(a, b KeptUnit) int { return int(a.Seq - b.Seq) })
	return nil
}

// releases says whether a unit that released quarantined rows of others goes with them.
func (p *planning) releases(seq int64, of []int64, again map[int64]bool) (gone bool, err error) {
	slices.Sort(of)
	inside := 0
	for _, unit := range of {
		if again[unit] {
			inside++
		}
	}
	switch {
	case inside == len(of):
		return true, nil
	case inside > 0:
		return false, fmt.Errorf("unit %d released quarantined rows of units %d to %d, and only some of these would be made again: "+
			"replay units %d..%d", seq, of[0], of[len(of)-1], min(of[0], p.plan.Units.First), max(of[len(of)-1], p.plan.Units.Last))
	case seq <= p.plan.Units.Last:
		p.plan.Kept = append(p.plan.Kept, KeptUnit{Seq: seq, Why: keptReleased})
	}
	return false, nil
}

// wantedInputs are the units of the input that a range of times or snapshots names; none for other ranges.
func wantedInputs(ctx context.Context, s *Settings, r *Runtime, want ReplayRange) ([]ledger.Input, error) {
	since, until := want.Since, want.Until
	names := make([]string, len(s.Datasets.Names))
	for i, name := range s.Datasets.Names {
		names[i] = name.String()
	}
	switch {
	case want.Snapshots != [2]int64{}:
		dataset, from, to, err := betweenSnapshots(ctx, r.Ledger, names, want.Snapshots)
		if err != nil {
			return nil, err
		}
		names, since, until = []string{dataset}, from, to.Add(time.Microsecond) // the ledger's times are microseconds
	case since.IsZero() && until.IsZero():
		return want.Inputs, nil
	}
	inputs, err := committedBetween(ctx, r.Ledger, names, since, until)
	if err == nil && len(inputs) == 0 {
		err = fmt.Errorf("flow %q: %w: nothing was committed to its input in that time", s.Name, ErrNothingToReplay)
	}
	return inputs, err
}

// eachOutput visits the units that put rows into a dataset.
func eachOutput(ctx context.Context, book *ledger.Ledger, dataset string, each func(ledger.Unit, ledger.Output)) error {
	writers, err := book.Writers(ctx, dataset)
	if err != nil {
		return err
	}
	for _, w := range writers {
		err := eachUnit(ctx, book, w.Flow, func(u ledger.Unit) {
			if out, wrote := u.Datasets[dataset]; wrote && u.Replay == nil {
				each(u, out)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func eachUnit(ctx context.Context, book *ledger.Ledger, flow string, each func(ledger.Unit)) error {
	const page = 256
	for after := int64(0); ; {
		units, err := book.Units(ctx, flow, after, page)
		if err != nil || len(units) == 0 {
			return err
		}
		for _, u := range units {
			each(u)
			after = u.Seq
		}
	}
}

func committedBetween(ctx context.Context, book *ledger.Ledger, datasets []string, since, until time.Time) ([]ledger.Input, error) {
	var inputs []ledger.Input
	for _, dataset := range datasets {
		err := eachOutput(ctx, book, dataset, func(u ledger.Unit, _ ledger.Output) {
			if u.Committed.Before(since) || (!until.IsZero() && !u.Committed.Before(until)) {
				return
			}
			inputs = append(inputs, ledger.Input{Dataset: dataset, Flow: u.Flow, Span: ledger.Span{First: u.Seq, Last: u.Seq}})
		})
		if err != nil {
			return nil, err
		}
	}
	return merged(inputs), nil
}

// betweenSnapshots finds the input that has both snapshots, and when they were committed.
func betweenSnapshots(
	ctx context.Context, book *ledger.Ledger, datasets []string, ids [2]int64,
) (dataset string, from, to time.Time, err error) {
	for _, name := range datasets {
		var at [2]time.Time
		err := eachOutput(ctx, book, name, func(u ledger.Unit, out ledger.Output) {
			for i, id := range ids {
				if out.Snapshot == id {
					at[i] = u.Committed
				}
			}
		})
		switch {
		case err != nil:
			return "", from, to, err
		case at[0].IsZero() || at[1].IsZero():
			continue
		case at[1].Before(at[0]):
			return "", from, to, fmt.Errorf("dataset %q: snapshot %d is older than snapshot %d", name, ids[1], ids[0])
		}
		return name, at[0], at[1], nil
	}
	return "", from, to, fmt.Errorf("no input has units in the ledger that made both snapshots %d and %d; inputs are %q", ids[0], ids[1], datasets)
}
