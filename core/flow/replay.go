package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// ReplayRequest says what to make again, and what for.
type ReplayRequest struct {
	Flow    *Settings
	Purpose ledger.Purpose
	Into    Into // for ledger.ForInto
	Plan    *ReplayPlan
	Readers []DatasetReader // flows that read what the flow writes, unit by unit
	By      string
}

// DatasetReader is a flow that reads datasets.
type DatasetReader struct {
	Flow     string
	Datasets []zone.Name
}

// Replay makes units of a flow again beside its target. It is for one goroutine. Whoever dies anywhere opens it again, with the same
// request, and goes on.
type Replay struct {
	Shadow ledger.Shadow
	// Resumed says that an earlier replay had begun to make the same.
	Resumed bool

	request  ReplayRequest
	runtime  *Runtime
	settings *Settings // of the shadow
}

// Replaying keeps other replays of a flow away while do runs.
func Replaying(ctx context.Context, flow string, r *Runtime, stopping <-chan struct{}, do func(context.Context) error) error {
	began := false
	t := r.tenure(flow+"~", stopping)
	defer t.Release(ctx)
	err := t.Session(ctx, func(ctx context.Context, claim tenure.Claim) error {
		if _, err := claim(ctx, 0); err != nil {
			return err
		}
		began = true
		return do(ctx)
	})
	if err == nil && !began {
		return ErrStopped
	}
	return err
}

// ErrStopped says that what was asked to stop had not come to its end.
var ErrStopped = errors.New("it was asked to stop before it had come to its end; repeat it to go on")

// swapped finds a replay of a flow that has put its rows in place but has not cleared up behind itself.
func swapped(ctx context.Context, r *Runtime, flow string) (ledger.Shadow, bool, error) {
	shadows, err := r.Ledger.Shadows(ctx, flow)
	i := slices.IndexFunc(shadows, func(s ledger.Shadow) bool { return s.Swapped > 0 })
	if err != nil || i < 0 {
		return ledger.Shadow{}, false, err
	}
	return shadows[i], true, nil
}

// OpenReplay finds the shadow that an earlier replay has left, if it was made for the same, of the same units and by the same
// definition; else it drops that and begins a new one.
func OpenReplay(ctx context.Context, r *Runtime, q ReplayRequest) (*Replay, error) {
	shadows, err := r.Ledger.Shadows(ctx, q.Flow.Name)
	if err != nil {
		return nil, err
	}
	for _, shadow := range shadows {
		if shadow.Purpose != q.Purpose || shadow.Into != q.Into.Name {
			continue
		}
		usable, err := q.continues(ctx, r, shadow)
		if err != nil {
			return nil, err
		}
		if usable {
			shadow.Units.Last, shadow.Done = max(shadow.Units.Last, q.Plan.Units.Last), false
			return q.open(ctx, r, shadow, true)
		}
		if err := DropShadow(ctx, r, shadow); err != nil {
			return nil, err
		}
	}
	if err := q.free(ctx, r); err != nil {
		return nil, err
	}
	shadow, err := newShadow(ctx, q.Flow, r, q.Plan, q.Purpose, q.Into, q.By)
	if err != nil {
		return nil, err
	}
	return q.open(ctx, r, shadow, false)
}

// continues says whether a shadow is what the request would begin. One that a check holds is not: what the check goes by may have
// changed without a change of the definition.
func (q *ReplayRequest) continues(ctx context.Context, r *Runtime, shadow ledger.Shadow) (bool, error) {
	same := q.same(shadow) && len(shadow.Dropping) == 0
	last, found, err := r.Ledger.Last(ctx, shadow.Flow)
	return same && (!found || last.Verdict != ledger.Held), err
}

// same says whether a shadow is of the units that the request asks for, by the same definition.
func (q *ReplayRequest) same(shadow ledger.Shadow) bool {
	switch {
	case shadow.Made != q.Flow.made():
		return false
	case q.Plan.Pinned:
		return slices.Equal(shadow.Inputs, q.Plan.Inputs)
	}
	return shadow.Units.First == q.Plan.Units.First && shadow.Open == q.Plan.Open && (shadow.Open || shadow.Units.Last == q.Plan.Units.Last)
}

// free makes sure that a dataset that people name is nobody's.
func (q *ReplayRequest) free(ctx context.Context, r *Runtime) error {
	if q.Purpose != ledger.ForInto || strings.Contains(q.Into.Name, "{") {
		return nil
	}
	name, err := q.Into.Dataset("")
	if err != nil {
		return err
	}
	_, err = r.Zones.Dataset(ctx, name)
	switch {
	case errors.Is(err, zone.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("dataset %q exists, and is no replay of flow %q: name one that does not exist", name, q.Flow.Name)
}

func (q *ReplayRequest) open(ctx context.Context, r *Runtime, shadow ledger.Shadow, resumed bool) (*Replay, error) {
	if err := r.Ledger.SaveShadow(ctx, shadow); err != nil {
		return nil, err
	}
	if shadow.Purpose != ledger.ForInto {
		if err := seed(ctx, q.Flow, r, shadow); err != nil {
			return nil, err
		}
	}
	p := &Replay{Shadow: shadow, Resumed: resumed, request: *q, runtime: r}
	p.settings = shadowSettings(q.Flow, shadow, q.Into)
	return p, nil
}

// ReplayHeldError says that a check blocks a unit that was made again, so that it can't take the place of the one that is there.
type ReplayHeldError struct {
	Flow string
	Unit int64 // of the flow; 0 if everything was made again in one
	Held *HeldError
}

// Error names the unit and the checks.
func (e *ReplayHeldError) Error() string {
	unit := ""
	if e.Unit > 0 {
		unit = fmt.Sprintf(" unit %d", e.Unit)
	}
	return fmt.Sprintf("flow %q: today's checks block%s when it is made again: %v; the target is as it was: correct the pipeline and "+
		"repeat the replay, or give it up with --abandon", e.Flow, unit, e.Held)
}

// Build makes the units, as any flow makes its own. It returns ErrStopped if it was asked to stop before it was done. A unit that a
// check blocks gives a *ReplayHeldError.
func (p *Replay) Build(ctx context.Context, stopping <-chan struct{}) error {
	err := Run(ctx, p.settings, p.runtime, stopping)
	if held, ok := errors.AsType[*HeldError](err); ok {
		return p.held(ctx, held)
	}
	if err != nil {
		return err
	}
	if p.settings.Replay == nil {
		select {
		case <-stopping:
			return ErrStopped
		default:
			return nil
		}
	}
	last, _, err := p.runtime.Ledger.Last(ctx, p.Shadow.Flow)
	if err != nil {
		return err
	}
	at, err := replayedUnit(last)
	if err == nil && at < p.Shadow.Units.Last {
		err = ErrStopped
	}
	return err
}

func (p *Replay) held(ctx context.Context, held *HeldError) error {
	blocked := &ReplayHeldError{Flow: p.Shadow.Of, Held: held}
	if p.settings.Replay == nil {
		return blocked
	}
	last, _, err := p.runtime.Ledger.Last(ctx, p.Shadow.Flow)
	if err != nil {
		return err
	}
	blocked.Unit, err = replayedUnit(last)
	return errors.Join(blocked, err)
}

func replayedUnit(u ledger.Unit) (int64, error) {
	if len(u.Position) == 0 {
		return 0, nil
	}
	var at replayPosition
	if err := json.Unmarshal(u.Position, &at); err != nil {
		return 0, sdk.Fatal(fmt.Errorf("unit %d of shadow %q: its position is not a replay's: %w", u.Seq, u.Flow, err))
	}
	return at.Unit, nil
}

// Finish notes that a shadow that stays is complete.
func (p *Replay) Finish(ctx context.Context) error {
	p.Shadow.Done = true
	return p.runtime.Ledger.SaveShadow(ctx, p.Shadow)
}

// Replaced are the units whose rows the shadow's would take the place of.
func (p *Replay) Replaced() []ledger.Span {
	var seqs []int64
	for _, span := range p.request.Plan.Again {
		for seq := span.First; seq <= span.Last; seq++ {
			seqs = append(seqs, seq)
		}
	}
	seqs = append(seqs, p.request.Plan.Gone...)
	slices.Sort(seqs)
	return ledger.Spans(seqs)
}

// Drop removes the shadow with all that it has made.
func (p *Replay) Drop(ctx context.Context) error { return DropShadow(ctx, p.runtime, p.Shadow) }

// redone is a unit of the flow with the unit of the shadow that was made in its place.
type redone struct {
	seq    int64
	before ledger.Unit
	shadow ledger.Unit // zero if nothing came of it
}

// redone are the units that are made again, in order.
func (p *Replay) redone(ctx context.Context, plan *ReplayPlan) ([]redone, error) {
	made := map[int64]ledger.Unit{}
	var failure error
	err := eachUnit(ctx, p.runtime.Ledger, p.Shadow.Flow, func(u ledger.Unit) {
		unit, err := replayedUnit(u)
		failure = errors.Join(failure, err)
		made[unit] = u
	})
	if err := errors.Join(err, failure); err != nil {
		return nil, err
	}
	var units []redone
	for _, span := range plan.Again {
		for after := span.First - 1; after < span.Last; {
			page, err := p.runtime.Ledger.Units(ctx, plan.Flow, after, int(min(span.Last-after, 256)))
			if err != nil {
				return nil, err
			}
			if len(page) == 0 {
				return nil, fmt.Errorf("unit %d of flow %q is not in the ledger any more", after+1, plan.Flow)
			}
			for _, u := range page {
				units = append(units, redone{seq: u.Seq, before: u, shadow: made[u.Seq]})
				after = u.Seq
			}
		}
	}
	for _, seq := range plan.Gone {
		page, err := p.runtime.Ledger.Units(ctx, plan.Flow, seq-1, 1)
		if err != nil || len(page) == 0 {
			return nil, errors.Join(fmt.Errorf("unit %d of flow %q can't be read", seq, plan.Flow), err)
		}
		units = append(units, redone{seq: seq, before: page[0]})
	}
	slices.SortFunc(units, func(a, b redone) int { return int(a.seq - b.seq) })
	return units, nil
}

// ReplayLive makes units of a flow again and swaps them in. A replay of the same that died after it had put its rows in place is
// brought to its end instead. It returns the unit that swapped.
func ReplayLive(ctx context.Context, r *Runtime, q ReplayRequest, want ReplayRange, stopping <-chan struct{}) (unit ledger.Unit, err error) {
	q.Purpose = ledger.ForSwap
	err = Replaying(ctx, q.Flow.Name, r, stopping, func(ctx context.Context) error {
		if q.Plan, err = PlanReplay(ctx, q.Flow, r, want); err != nil {
			return err
		}
		unit, err = q.finish(ctx, r)
		if err != nil || unit.Seq > 0 {
			return err
		}
		p, err := OpenReplay(ctx, r, q)
		if err != nil {
			return err
		}
		if err := p.Build(ctx, stopping); err != nil {
			return err
		}
		if unit, err = p.Swap(ctx, stopping); err != nil {
			return err
		}
		return p.Drop(ctx)
	})
	return unit, err
}

// finish drops the shadow of a replay that has swapped. If that was what is asked for now, it returns the unit that did it.
func (q *ReplayRequest) finish(ctx context.Context, r *Runtime) (ledger.Unit, error) {
	shadow, found, err := swapped(ctx, r, q.Flow.Name)
	if err != nil || !found {
		return ledger.Unit{}, err
	}
	same := q.same(shadow)
	units, err := r.Ledger.Units(ctx, q.Flow.Name, shadow.Swapped-1, 1)
	if err != nil {
		return ledger.Unit{}, err
	}
	if err := DropShadow(ctx, r, shadow); err != nil || !same || len(units) == 0 {
		return ledger.Unit{}, err
	}
	return units[0], nil
}
