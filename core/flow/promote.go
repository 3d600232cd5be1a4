package flow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// ErrHeldLost says that a held unit is gone with the log. Its input will be read again.
var ErrHeldLost = errors.New("the held unit is not in the flow's log any more: the next run makes it again")

// Promote puts a decision about a held unit on record and carries it out under an epoch of its own, as any session of the flow would
// that finds it. A crash at any point leaves it to the next call, or the next run. It returns the unit's ledger row.
func Promote(ctx context.Context, s *Settings, r *Runtime, held ledger.HeldUnit, d ledger.Decision) (ledger.Unit, error) {
	killpoint.Here("before-decision")
	held, err := r.Ledger.Decide(ctx, held, d)
	if err != nil {
		return ledger.Unit{}, err
	}
	killpoint.Here("after-decision")
	t := r.tenure(s.Name, make(chan struct{}))
	defer t.Release(ctx)
	err = t.Session(ctx, func(ctx context.Context, claim tenure.Claim) error { return promoteSession(ctx, s, r, claim) })
	if err != nil {
		return ledger.Unit{}, fmt.Errorf("flow %q: %w", s.Name, err)
	}
	units, err := r.Ledger.Units(ctx, s.Name, held.Seq-1, 1)
	if err != nil {
		return ledger.Unit{}, err
	}
	if len(units) == 0 || units[0].Decision == nil || !held.Is(units[0].Seq, units[0].Opened) {
		return ledger.Unit{}, fmt.Errorf("flow %q: unit %d: %w", s.Name, held.Seq, ErrHeldLost)
	}
	return units[0], nil
}

// promoteSession is a session that carries out a decision and nothing else.
func promoteSession(ctx context.Context, s *Settings, r *Runtime, claim tenure.Claim) error {
	log, err := r.Broker.Log(ctx, s.Name, broker.LogSettings{MaxBytes: s.LogBytes})
	if err != nil {
		return err
	}
	run := &session{settings: s, runtime: r, log: log}
	if run.at, err = takeOver(ctx, s, r, log, claim); err != nil {
		return err
	}
	defer run.at.writer.Close()
	if run.at.decided == nil { // another session did it, or the unit is lost
		return nil
	}
	if run.at.decided.Place == ledger.OnBranch {
		return run.carryOut(ctx)
	}
	return errors.Join(run.prepare(ctx), run.close(ctx))
}

// awaited finds out whether the flow waits for a decision about a held unit, which ends the session with a *HeldError, or has one
// to carry out.
func (s *standing) awaited(ctx context.Context, settings *Settings, r *Runtime) error {
	h, found, err := r.Ledger.Held(ctx, settings.Name)
	if err != nil {
		return err
	}
	switch {
	case s.last.Verdict == ledger.Held:
		found = found && h.Is(s.last.Seq, s.last.Opened)
		if !found || h.Decision == nil {
			return &HeldError{Flow: settings.Name, Seq: s.last.Seq, Checks: s.last.Checks}
		}
	case !found || settings.Target.Sink == nil || len(s.chain) == 0 || !h.Is(s.chain[0].Seq, s.chain[0].Opened):
		return nil
	case h.Decision == nil && s.chain[0].Fingerprint == settings.made():
		return &HeldError{Flow: settings.Name, Seq: h.Seq, Checks: h.Checks}
	case h.Decision == nil: // made by another definition: today's makes it again, and judges it again
		return nil
	}
	s.decided = &h
	return nil
}

// carryOut does what was decided about a unit on branches, or about reading a unit again. A unit that is to go from the log into
// its sink, or to be dropped from there, is committed as any other; see commitDecided.
func (s *session) carryOut(ctx context.Context) error {
	h := s.at.decided
	switch {
	case h == nil:
		return nil
	case h.Place == ledger.OnBranch:
		return s.resolve(ctx, h.Decision)
	case h.Decision.What == ledger.Again:
		return s.voidFirst(ctx, h.Decision)
	}
	return nil
}

// resolve carries out a decision about a unit on branches. Until the ledger's row has changed, in the end, readers see nothing of it
// in any dataset.
func (s *session) resolve(ctx context.Context, d *ledger.Decision) error {
	u := s.at.last
	u.Decision, u.Datasets, u.Stages = d, maps.Clone(u.Datasets), slices.Clone(u.Stages)
	for _, name := range slices.Sorted(maps.Keys(u.Datasets)) {
		killpoint.Here("before-settle-dataset")
		if err := s.resolveDataset(ctx, &u, name); err != nil {
			return err
		}
		killpoint.Here("after-settle-dataset")
	}
	switch d.What {
	case ledger.Release:
		u.Verdict = ledger.Committed
	case ledger.Drop:
		u.Verdict = ledger.Dropped
		if n := len(u.Stages); n > 0 {
			u.Stages[n-1].Dropped, u.Stages[n-1].Out = u.Stages[n-1].Out, 0
		}
	case ledger.Again:
		before, err := s.before(ctx, u.Seq)
		if err != nil {
			return err
		}
		u.Verdict, u.Position, u.LogEnd = ledger.Void, before, s.at.live
	}
	killpoint.Here("before-resolve")
	if err := s.runtime.Ledger.Resolve(ctx, s.at.epoch, u); err != nil {
		return err
	}
	killpoint.Here("after-resolve")
	s.at.last, s.at.decided = u, nil
	if u.Verdict == ledger.Void {
		return s.forgetChain(ctx)
	}
	return nil
}

// resolveDataset settles one dataset of a held unit, fencing older runners out of it first.
func (s *session) resolveDataset(ctx context.Context, u *ledger.Unit, text string) error {
	name, err := zone.ParseName(text)
	if err != nil {
		return err
	}
	dataset, err := s.runtime.Zones.Dataset(ctx, name)
	if errors.Is(err, zone.ErrNotFound) && u.Decision.What != ledger.Release {
		delete(u.Datasets, text)
		return nil
	}
	if err != nil {
		return err
	}
	head, err := dataset.Fence(ctx, u.Flow, s.at.epoch)
	if err != nil {
		return err
	}
	mark := zone.Mark{Flow: u.Flow, Epoch: s.at.epoch, Seq: u.Seq}
	aside := name == s.settings.Quarantine
	switch {
	case aside && u.Decision.What != ledger.Again: // the unit's rejected rows are there, and become visible with its row
	case u.Decision.What == ledger.Release:
		head, err = dataset.Release(ctx, heldBranch(u.Flow), mark)
		if errors.Is(err, zone.ErrNotFound) {
			return sdk.Fatal(fmt.Errorf("%w: the rows of unit %d are gone from it; the unit can be dropped, or read again", err, u.Seq))
		}
	case aside:
		delete(u.Datasets, text)
		_, err = dataset.Undo(ctx, u.Flow, s.at.epoch, u.Seq-1)
		return err
	default:
		delete(u.Datasets, text)
		return dataset.DropBranch(ctx, heldBranch(u.Flow), mark)
	}
	out := u.Datasets[text]
	out.Snapshot = head.ID
	u.Datasets[text] = out
	return err
}

// before is the position that a unit was read from.
func (s *session) before(ctx context.Context, seq int64) (sdk.Position, error) {
	if seq <= 1 {
		return nil, nil
	}
	units, err := s.runtime.Ledger.Units(ctx, s.settings.Name, seq-2, 1)
	if err != nil || len(units) == 0 {
		return nil, err
	}
	return units[0].Position, nil
}

// voidFirst gives up a unit in the log, whose input is to be read again, and all that was made after it.
func (s *session) voidFirst(ctx context.Context, d *ledger.Decision) error {
	first := s.at.chain[0]
	u := ledger.Unit{
		Flow: s.settings.Name, Seq: first.Seq, Epoch: s.at.epoch, Verdict: ledger.Void, Position: s.at.last.Position, LogEnd: s.at.live,
		Stages: first.Stages, Checks: first.Checks, Decision: d, Opened: first.Opened, Committed: time.Now(),
	}
	killpoint.Here("before-void-unit")
	if err := s.runtime.Ledger.Append(ctx, u); err != nil {
		return err
	}
	killpoint.Here("after-void-unit")
	s.at.last, s.at.decided = u, nil
	return s.forgetChain(ctx)
}

// forgetChain drops what the log holds: it was read from behind a unit that is read again. Should it stay there, the void unit's row
// tells by its log sequence that it does not count.
func (s *session) forgetChain(ctx context.Context) error {
	s.at.chain = nil
	return s.log.Purge(ctx, s.at.live)
}

// commitDecided commits the unit in the log that a decision was made about: into the sink, or as dropped.
func (s *session) commitDecided(ctx context.Context) error {
	h := s.at.decided
	if h == nil || len(s.at.chain) == 0 || !h.Is(s.at.chain[0].Seq, s.at.chain[0].Opened) {
		return nil
	}
	first := s.at.chain[0]
	s.commit.decided = h
	err := s.commit.commitOne(ctx, first)
	s.commit.decided = nil
	if err != nil {
		return err
	}
	s.at.last = ledger.Unit{Flow: s.settings.Name, Seq: first.Seq, Position: first.Position, LogEnd: first.last}
	s.at.chain, s.at.decided = s.at.chain[1:], nil
	return s.forgetOther(ctx)
}

// decide makes of a unit that was to be held what people decided about it.
func (u *unit) decide(h *ledger.HeldUnit) {
	if h == nil || !h.Is(u.Seq, u.Opened) {
		return
	}
	u.decided = h.Decision
	switch h.Decision.What {
	case ledger.Release:
		u.Decision = promote
	case ledger.Drop:
		u.Decision = drop
	case ledger.Again:
	}
}

// dropping says whether the rows that are read go nowhere.
func (c *committer) dropping() bool {
	return c.decided != nil && c.decided.Decision.What == ledger.Drop
}

// holdInLog pauses the flow before a unit that its sink must not get yet: a sink has no branches, so the unit stays in the log.
func (c *committer) holdInLog(ctx context.Context, u *unit) error {
	if c.relieved {
		return sdk.Fatal(fmt.Errorf("a check blocks unit %d, but it is larger than the log can keep until people decide: "+
			"use a smaller commit or a larger log", u.Seq))
	}
	h := ledger.HeldUnit{
		Flow: u.flow, Seq: u.Seq, Opened: u.Opened, Since: time.Now(), Place: ledger.InLog, Rows: -c.refused, Checks: u.Checks,
	}
	for _, rows := range u.Rows {
		h.Rows += rows
	}
	killpoint.Here("before-hold")
	if err := c.runtime.Ledger.Hold(ctx, c.epoch, h); err != nil {
		return err
	}
	killpoint.Here("after-hold")
	return &HeldError{Flow: u.flow, Seq: u.Seq, Checks: u.Checks}
}
