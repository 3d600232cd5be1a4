package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/core/killpoint"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// target is where a flow's units become visible: datasets or a sink.
type target interface {
	// prepare makes the target ours: older epochs are fenced out, and what a unit above committed left behind is taken back unless
	// it is the unit complete, which will be finished. It reports whether that unit is already there.
	prepare(ctx context.Context, epoch uint64, committed int64, complete *closeFrame) (there bool, err error)
	// schema begins a version of a stream in the open unit.
	schema(ctx context.Context, seq int64, c sdk.SchemaChange) error
	// write stages rows of the open unit, whose ownership passes, and returns those that the target refuses.
	write(ctx context.Context, b sdk.Batch) ([]quarantine.Rejected, error)
	// seal ends the open unit: nothing is written to it any more. It returns rows that only now turn out to be refused.
	seal(ctx context.Context, u *unit) ([]quarantine.Rejected, error)
	// commit makes the open unit visible, or holds it.
	commit(ctx context.Context, u *unit) (map[string]ledger.Output, []quarantine.Rejected, error)
	// found returns what a unit that is already there left behind, and what the target refused of it when it was committed.
	found(ctx context.Context, u *unit) (map[string]ledger.Output, []quarantine.Rejected, error)
	// divert gives back the rows staged in the open unit and forgets them.
	divert(ctx context.Context, each func(sdk.Batch) error) error
	// abort drops what is staged.
	abort(ctx context.Context)
	close() error
}

// unit is a closed unit on its way into the target.
type unit struct {
	closeFrame
	flow    string
	epoch   uint64
	decided *ledger.Decision // about a unit that was to be held
}

func (u *unit) mark() zone.Mark { return zone.Mark{Flow: u.flow, Epoch: u.epoch, Seq: u.Seq} }

// committer is the committing half of a flow: from the log to the target, the ledger, and the source's Ack.
type committer struct {
	settings *Settings
	runtime  *Runtime
	log      *broker.Log
	epoch    uint64
	target   target
	rejects  *quarantineWriter
	ack      func(sdk.Position) error

	frames    *frames
	rows      map[string]int64 // read from the log in the open unit
	rejected  int64            // rejections read from the log in the open unit
	refused   int64            // rows that the target refused
	consumed  int64            // bytes read from the log since it was last purged
	logBytes  int64
	committed int64 // the last seq in the ledger
	relieved  bool  // frames of the open unit were purged before its end
	keep      bool  // frames must stay: the unit was made before, and nobody needs the room
	// decided is the unit in the log that people decided about, while it is committed.
	decided *ledger.HeldUnit
}

// unitAt is a closed unit in the log.
type unitAt struct {
	closeFrame
	last uint64 // log sequence of the close frame
}

// commitOne stages and commits a unit that lies complete in the log.
func (c *committer) commitOne(ctx context.Context, u unitAt) error {
	r, err := c.log.Read(ctx, u.First)
	if err != nil {
		return err
	}
	defer r.Close()
	c.keep = true
	defer func() { c.keep = false }()
	for {
		m, err := r.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if err := c.frame(ctx, m); err != nil || m.Last >= u.last {
			return err
		}
	}
}

// follow commits unit after unit until the producing half says that it has ended.
func (c *committer) follow(ctx context.Context, r *broker.Reader) error {
	for {
		m, err := r.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if m.Header[keyKind] == frameEnd && m.Epoch == c.epoch {
			return nil
		}
		if err := c.frame(ctx, m); err != nil {
			return err
		}
	}
}

func (c *committer) frame(ctx context.Context, m broker.Message) error {
	if m.Torn {
		return fmt.Errorf("log sequence %d: %w", m.First, errTorn)
	}
	switch kind := m.Header[keyKind]; kind {
	case frameTakeover, frameEnd:
		if m.Epoch > c.epoch {
			return fmt.Errorf("log sequence %d: epoch %d took over: %w", m.First, m.Epoch, ledger.ErrFenced)
		}
		return nil
	case frameSchema:
		change, err := c.frames.schema(m)
		if err != nil || c.dropping() {
			return err
		}
		return c.target.schema(ctx, c.committed+1, change)
	case frameBatch:
		return c.batch(ctx, m)
	case frameQuarantine:
		return c.reject(ctx, m)
	case frameClose:
		return c.close(ctx, m)
	}
	return fmt.Errorf("log sequence %d: unknown frame %q", m.First, m.Header[keyKind])
}

func (c *committer) batch(ctx context.Context, m broker.Message) error {
	b, err := c.frames.batch(m)
	if err != nil {
		return err
	}
	c.rows[b.Stream] += b.Record.NumRows()
	if c.dropping() {
		b.Record.Release()
		return nil
	}
	refused, err := c.target.write(ctx, b)
	if err != nil {
		return err
	}
	c.refused += int64(len(refused))
	if err := c.rejects.write(ctx, c.committed+1, refused); err != nil {
		return err
	}
	return c.relieve(ctx, m)
}

func (c *committer) reject(ctx context.Context, m broker.Message) error {
	var rows []quarantine.Rejected
	if err := json.Unmarshal(m.Body, &rows); err != nil {
		return fmt.Errorf("log sequence %d: quarantine frame: %w", m.First, err)
	}
	c.rejected += int64(len(rows))
	if err := c.rejects.write(ctx, c.committed+1, rows); err != nil {
		return err
	}
	return c.relieve(ctx, m)
}

// frameOverhead is about what a frame takes in the log beside its body.
const frameOverhead = 1 << 10

// relieve purges staged frames of a unit that is large compared to the log. Should this runner die, the unit is read again.
func (c *committer) relieve(ctx context.Context, m broker.Message) error {
	c.consumed += int64(len(m.Body)) + frameOverhead
	if c.consumed < c.logBytes/4 || c.keep {
		return nil
	}
	c.consumed, c.relieved = 0, true
	killpoint.Here("before-relief")
	if err := c.runtime.Ledger.Check(ctx, c.settings.Name, c.epoch); err != nil { // the frames may be another runner's by now
		return err
	}
	err := c.log.Purge(ctx, m.Last)
	killpoint.Here("after-relief")
	return err
}

// close commits the unit that the frame closes.
func (c *committer) close(ctx context.Context, m broker.Message) error {
	frame, err := parseClose(m)
	if err != nil {
		return err
	}
	if err := c.verify(frame); err != nil {
		return sdk.Fatal(err)
	}
	u := &unit{closeFrame: frame, flow: c.settings.Name, epoch: c.epoch}
	u.decide(c.decided)
	killpoint.Here("before-commit")
	if err := c.settle(ctx, u, m.Last); err != nil {
		return err
	}
	c.reset()
	killpoint.Here("before-purge")
	err = c.log.Purge(ctx, m.Last)
	killpoint.Here("after-purge")
	return err
}

// verify holds what was read from the log against what the producer says it wrote.
func (c *committer) verify(frame closeFrame) error {
	if frame.Seq != c.committed+1 {
		return fmt.Errorf("the log closes unit %d, the ledger ends with unit %d", frame.Seq, c.committed)
	}
	for stream, rows := range frame.Rows {
		if c.rows[stream] != rows {
			return fmt.Errorf("unit %d: stream %q has %d rows in the log, written were %d", frame.Seq, stream, c.rows[stream], rows)
		}
	}
	if c.rejected != frame.Rejected {
		return fmt.Errorf("unit %d: %d rejected rows in the log, written were %d", frame.Seq, c.rejected, frame.Rejected)
	}
	return nil
}

// settle makes a unit visible and writes its ledger row: quarantine first, then the target, then the row.
func (c *committer) settle(ctx context.Context, u *unit, logEnd uint64) error {
	verdict := ledger.Committed
	switch u.Decision {
	case setAside:
		verdict = ledger.Quarantined
		killpoint.Here("before-divert")
		if err := c.divert(ctx, u, logEnd); err != nil {
			return err
		}
		killpoint.Here("after-divert")
	case hold:
		verdict = ledger.Held
		if c.settings.Target.Sink != nil {
			return c.holdInLog(ctx, u)
		}
	case drop:
		verdict = ledger.Dropped
	case promote:
	}
	refused, err := c.target.seal(ctx, u)
	if err != nil {
		return err
	}
	if err := c.rejects.write(ctx, u.Seq, refused); err != nil {
		return err
	}
	outputs := map[string]ledger.Output{}
	killpoint.Here("before-quarantine")
	if err := c.setAside(ctx, u, outputs); err != nil {
		return err
	}
	killpoint.Here("after-quarantine")
	written, late, err := c.target.commit(ctx, u)
	if err != nil {
		return err
	}
	killpoint.Here("after-target")
	if err := c.rejectLate(ctx, u, late, outputs); err != nil {
		return err
	}
	maps.Copy(outputs, written)
	return c.enter(ctx, u, verdict, outputs, logEnd)
}

// setAside commits the unit's rejected rows. What is there counts: a sink that holds the unit already does not say again what it
// refused when it was written.
func (c *committer) setAside(ctx context.Context, u *unit, outputs map[string]ledger.Output) error {
	rows, err := c.rejects.commit(ctx, u.mark(), outputs)
	if err != nil {
		return err
	}
	if rows < u.Rejected {
		return sdk.Fatal(fmt.Errorf("unit %d: %d rows are in quarantine, rejected were at least %d", u.Seq, rows, u.Rejected))
	}
	c.refused = rows - u.Rejected
	return nil
}

// rejectLate keeps rows that a sink refused only when it committed. They are a unit of their own in quarantine, because the
// unit's other rejects are there already.
func (c *committer) rejectLate(ctx context.Context, u *unit, late []quarantine.Rejected, outputs map[string]ledger.Output) error {
	mark := u.mark()
	mark.Flow += lateSuffix
	if len(late) == 0 && !c.rejects.has(mark) {
		return nil
	}
	if err := c.rejects.writeLate(ctx, u.Seq, late); err != nil {
		return err
	}
	killpoint.Here("before-late")
	rows, err := c.rejects.commit(ctx, mark, outputs)
	killpoint.Here("after-late")
	c.refused += rows
	return err
}

// enter writes the ledger row: from here on the unit is committed, and only now the source is told.
func (c *committer) enter(ctx context.Context, u *unit, verdict ledger.Verdict, outputs map[string]ledger.Output, logEnd uint64) error {
	entry := ledger.Unit{
		Flow: c.settings.Name, Seq: u.Seq, Epoch: c.epoch, Verdict: verdict, Position: u.Position, LogEnd: logEnd,
		Datasets: outputs, Stages: append(u.Stages, c.account(u)), Checks: u.Checks,
		Revisions: c.settings.Revisions, Decision: u.decided, Redriven: u.Redriven.entry(), Opened: u.Opened, Committed: time.Now(),
	}
	if err := accounts(entry.Stages); err != nil {
		return sdk.Fatal(fmt.Errorf("unit %d: %w", u.Seq, err))
	}
	killpoint.Here("before-ledger")
	if err := c.runtime.Ledger.Append(ctx, entry); err != nil {
		return err
	}
	c.committed = u.Seq
	killpoint.Here("after-ledger")
	c.report(entry)
	if verdict == ledger.Held {
		return &HeldError{Flow: entry.Flow, Seq: entry.Seq, Checks: entry.Checks}
	}
	killpoint.Here("before-ack")
	if err := c.ack(u.Position); err != nil {
		c.runtime.Log.Warn("acknowledge", "flow", entry.Flow, "seq", entry.Seq, "error", err)
	}
	killpoint.Here("after-ack")
	return nil
}

const commitStage = "commit"

// account is the committer's own stage: what it read from the log, and what became of it. Of a unit that only the sink's mark tells
// of, no more is known than what the sink refused.
func (c *committer) account(u *unit) ledger.Stage {
	s := ledger.Stage{Name: commitStage, Maps: true, Rejected: c.refused}
	for _, rows := range u.Rows {
		s.In += rows
	}
	s.In = max(s.In, s.Rejected)
	s.Out = s.In - s.Rejected
	if u.Decision == drop {
		s.Out, s.Dropped = 0, s.Out
	}
	return s
}

func (c *committer) report(u ledger.Unit) {
	c.runtime.Progress.Update(u.Flow, func(s *progress.Status) {
		s.Seq, s.Units = u.Seq, s.Units+1
		if len(u.Stages) > 0 {
			s.Read += u.Stages[0].In
		}
		if u.Redriven != nil {
			s.Released += u.Redriven.Rows
		}
		if u.Verdict != ledger.Held && len(u.Stages) > 0 {
			s.Written += u.Stages[len(u.Stages)-1].Out
		}
		for _, stage := range u.Stages {
			s.Quarantined += stage.Rejected
			s.Filtered += stage.Filtered
			s.Warned += stage.Warned
		}
		snapshots := progress.Snapshots{}
		for dataset, out := range u.Datasets {
			s.Bytes += out.Bytes
			snapshots[dataset] = out.Snapshot
		}
		for dataset, id := range s.Snapshots {
			if _, newer := snapshots[dataset]; !newer {
				snapshots[dataset] = id
			}
		}
		s.Snapshots = snapshots
	})
}

func (c *committer) reset() {
	c.frames.close()
	c.rows = map[string]int64{}
	c.rejected, c.refused, c.consumed, c.relieved = 0, 0, 0, false
}
