package flow

import (
	"context"
	"errors"
	"maps"

	"golang.org/x/sync/errgroup"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/sdk"
)

// session is one life of a flow: from taking it over to its end or its first failure. Whatever fails, the next session begins by
// taking over again, so that there is one way to recover.
type session struct {
	settings *Settings
	runtime  *Runtime
	log      *broker.Log
	at       *standing
	commit   *committer
	produce  *producer
	stopping <-chan struct{}
}

// runSession returns nil when the input has ended and everything is committed.
func runSession(ctx context.Context, s *Settings, r *Runtime, claim tenure.Claim, stopping <-chan struct{}) error {
	killpoint.Here("before-log")
	log, err := r.Broker.Log(ctx, s.Name, broker.LogSettings{MaxBytes: s.LogBytes})
	if err != nil {
		return err
	}
	killpoint.Here("after-log")
	run := &session{settings: s, runtime: r, log: log, stopping: stopping}
	if run.at, err = takeOver(ctx, s, r, log, claim); err != nil {
		return err
	}
	defer run.at.writer.Close()
	if err := run.prepare(ctx); err != nil {
		return errors.Join(err, run.close(ctx))
	}
	err = run.run(ctx)
	if closeErr := run.close(ctx); closeErr != nil { // what is committed is committed
		r.Log.Warn("close a flow's plugins", "flow", s.Name, "error", closeErr)
	}
	return err
}

// prepare makes the target this session's and settles what earlier runners left.
func (s *session) prepare(ctx context.Context) error {
	if err := s.carryOut(ctx); err != nil {
		return err
	}
	state, err := s.log.State(ctx)
	if err != nil {
		return err
	}
	target, err := s.newTarget(ctx)
	if err != nil {
		return err
	}
	s.commit = &committer{
		settings: s.settings, runtime: s.runtime, log: s.log, epoch: s.at.epoch, target: target,
		rejects: newQuarantineWriter(s.settings, s.runtime), frames: newFrames(s.runtime),
		logBytes: state.MaxBytes, committed: s.at.last.Seq, ack: func(sdk.Position) error { return nil },
	}
	s.commit.reset()
	whole, err := s.at.complete(ctx, s.log)
	if err != nil {
		return err
	}
	var first *closeFrame
	if len(s.at.chain) > 0 {
		first = &s.at.chain[0].closeFrame
	}
	// A unit of another definition is not committed any more, unless it is there already, or people decided about it: it is made
	// again by today's.
	usable := whole && (first == nil || first.Fingerprint == s.settings.made() || s.at.decided != nil)
	if err := s.settle(ctx, first, usable); err != nil {
		return err
	}
	if err := s.commitDecided(ctx); err != nil {
		return err
	}
	killpoint.Here("after-prepare")
	return nil
}

func (s *session) newTarget(ctx context.Context) (target, error) {
	if s.settings.Target.Sink != nil {
		return newSinkTarget(ctx, s.settings, s.runtime)
	}
	return newDatasetTarget(s.settings, s.runtime), nil
}

// settle fences the target and quarantine, and finishes or forgets the first unit of the chain.
func (s *session) settle(ctx context.Context, first *closeFrame, usable bool) error {
	keep := first
	if !usable {
		there, err := s.heldByAll(ctx, first)
		if err != nil {
			return err
		}
		if there { // only the ledger row is missing, and for that the close frame is enough
			if err := s.enterFirst(ctx); err != nil {
				return err
			}
			return s.forgetOther(ctx)
		}
		keep = nil
		if err := s.forget(ctx); err != nil {
			return err
		}
	}
	there, err := s.commit.target.prepare(ctx, s.at.epoch, s.at.last.Seq, keep)
	if err != nil {
		return err
	}
	if sink, ok := s.commit.target.(*sinkTarget); ok {
		switch {
		case sink.adopted != nil:
			keep = &closeFrame{Seq: s.at.last.Seq + 1} // its rejected rows were committed before the sink's mark
		case !there:
			keep = nil // the sink is to write the unit again, and may refuse other rows
		}
	}
	if _, err := s.commit.rejects.prepare(ctx, s.at.epoch, s.at.last.Seq, keep); err != nil {
		return err
	}
	return s.adopt(ctx)
}

// forget drops a chain whose first unit can't be committed any more, and with it what was built on that: all of it is read again.
func (s *session) forget(ctx context.Context) error {
	s.at.chain = nil
	killpoint.Here("before-forget")
	if err := s.runtime.Ledger.Unhold(ctx, s.settings.Name, s.at.epoch); err != nil {
		return err
	}
	err := s.log.Purge(ctx, s.at.live)
	killpoint.Here("after-forget")
	return err
}

// forgetOther drops the rest of the chain if it was made by another definition.
func (s *session) forgetOther(ctx context.Context) error {
	if len(s.at.chain) == 0 || s.at.chain[0].Fingerprint == s.settings.made() {
		return nil
	}
	s.at.chain = nil
	killpoint.Here("before-forget-rest")
	err := s.log.Purge(ctx, s.at.live)
	killpoint.Here("after-forget-rest")
	return err
}

// heldByAll asks, taking the flow over on the way, whether target and quarantine hold a unit whose frames are gone.
func (s *session) heldByAll(ctx context.Context, first *closeFrame) (bool, error) {
	there, err := s.commit.rejects.prepare(ctx, s.at.epoch, s.at.last.Seq, first)
	if err != nil || !there {
		return false, err
	}
	return s.commit.target.prepare(ctx, s.at.epoch, s.at.last.Seq, first)
}

// enterFirst writes the ledger row of the first unit of the chain, which is in the target already.
func (s *session) enterFirst(ctx context.Context) error {
	first := s.at.chain[0]
	killpoint.Here("before-enter-first")
	u := &unit{closeFrame: first.closeFrame, flow: s.settings.Name, epoch: s.at.epoch}
	u.decide(s.at.decided)
	if err := s.enterFound(ctx, u, first.last); err != nil {
		return err
	}
	s.at.last, s.at.chain = ledger.Unit{Flow: u.flow, Seq: u.Seq, Position: u.Position, LogEnd: first.last}, s.at.chain[1:]
	return nil
}

// enterFound writes the ledger row of a unit that is in the target already, by what it left there.
func (s *session) enterFound(ctx context.Context, u *unit, logEnd uint64) error {
	defer s.commit.reset()
	outputs := map[string]ledger.Output{}
	if err := s.commit.setAside(ctx, u, outputs); err != nil {
		return err
	}
	written, late, err := s.commit.target.found(ctx, u)
	if err != nil {
		return err
	}
	if err := s.commit.rejectLate(ctx, u, late, outputs); err != nil {
		return err
	}
	maps.Copy(outputs, written)
	return s.commit.enter(ctx, u, ledger.Committed, outputs, logEnd)
}

// adopt writes the ledger row of a unit that a sink holds but that log and ledger have lost. The sink's mark has its position.
func (s *session) adopt(ctx context.Context) error {
	sink, ok := s.commit.target.(*sinkTarget)
	if !ok || sink.adopted == nil {
		return nil
	}
	u := &unit{flow: s.settings.Name, epoch: s.at.epoch}
	u.Seq, u.Position = s.at.last.Seq+1, sink.adopted.Position
	u.Stages = []ledger.Stage{}
	s.runtime.Log.Warn("the sink holds a unit that the log has lost: its mark is taken over, its row counts are unknown",
		"flow", u.flow, "seq", u.Seq)
	killpoint.Here("before-adopt")
	if err := s.enterFound(ctx, u, s.at.live); err != nil {
		return err
	}
	killpoint.Here("after-adopt")
	s.at.last = ledger.Unit{Flow: u.flow, Seq: u.Seq, Position: u.Position, LogEnd: s.at.live}
	sink.adopted = nil
	return nil
}

// commitChain commits what the log holds.
func (s *session) commitChain(ctx context.Context) error {
	for _, u := range s.at.chain {
		if err := s.commit.commitOne(ctx, u); err != nil {
			return s.forgetDamaged(ctx, err)
		}
	}
	// What lies before our takeover frame is committed or void now; it must not take the room of what we write.
	killpoint.Here("before-void")
	err := s.log.Purge(ctx, s.at.live)
	killpoint.Here("after-void")
	return err
}

// run commits what the log holds, then produces and commits side by side.
func (s *session) run(ctx context.Context) error {
	if err := s.commitChain(ctx); err != nil {
		return err
	}
	produce, err := newProducer(ctx, s.settings, s.runtime, s.at.position(), s.at.position())
	if err != nil {
		return err
	}
	s.produce = produce
	s.commit.ack = produce.reader.ack
	s.runtime.Progress.Update(s.settings.Name, func(st *progress.Status) { st.State, st.Note, st.Seq = progress.Running, "", s.commit.committed })

	r, err := s.log.Read(ctx, s.at.live+1)
	if err != nil {
		return err
	}
	defer r.Close()
	ended := make(chan struct{})
	var failure error
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		defer close(ended)
		failure, err = s.produceAll(ctx)
		return err
	})
	group.Go(func() error {
		select {
		case <-s.stopping:
			produce.stop()
		case <-ended:
		}
		return nil
	})
	group.Go(func() error { return s.commit.follow(ctx, r) })
	return errors.Join(group.Wait(), failure)
}

// produceAll runs the producing half to its end, and says so in the log. Its failure is kept apart: the committer goes on until
// it has committed the units that were closed before.
func (s *session) produceAll(ctx context.Context) (failure, err error) {
	failure = s.produce.run(ctx, s.at.writer, s.at.next(), s.at.position())
	if ctx.Err() != nil {
		return nil, errors.Join(failure, context.Cause(ctx))
	}
	frame, err := controlFrame(frameEnd, map[string]bool{"failed": failure != nil})
	if err != nil {
		return failure, err
	}
	killpoint.Here("before-end-frame")
	if _, err := s.at.writer.Publish(ctx, frame); err != nil {
		return failure, err
	}
	_, err = s.at.writer.Flush(ctx)
	killpoint.Here("after-end-frame")
	return failure, err
}

// close ends plugins and drops what is staged.
func (s *session) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if s.produce != nil {
		s.produce.close()
	}
	if s.commit == nil {
		return nil
	}
	s.commit.frames.close()
	s.commit.rejects.abort(ctx)
	s.commit.target.abort(ctx)
	return s.commit.target.close()
}
