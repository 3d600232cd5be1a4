package flow

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/quarantine"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
)

// event is one thing that a reader gives: exactly one field is set.
type event struct {
	schema     *sdk.SchemaChange
	batch      *sdk.Batch // the receiver owns the record
	rejects    []sdk.Rejection
	redrive    *redrive
	checkpoint sdk.Position
	progress   *sdk.Progress
}

// reader is where a flow's rows come from: a source plugin or datasets.
type reader interface {
	// read emits until the end of input or until it is stopped; every row is covered by a later checkpoint.
	read(ctx context.Context, emit func(event) error) error
	// ack tells the origin that everything up to pos is durable.
	ack(pos sdk.Position) error
	// stop asks read to come to an end soon. It is called at most once.
	stop()
	close() error
}

// idleEvery is how often a source's position that has moved on without rows becomes a unit. Only then the source may let go of what is
// before it, a replication slot of the log of other tables for instance.
const idleEvery = 10 * time.Second

// intake is the first stage: it cuts what a reader gives into units. A unit is closed when a checkpoint comes or, if there is nothing to
// come for a while, by the clock.
type intake struct {
	flow       string
	step       Step // of a source plugin; zero for datasets
	thresholds Thresholds
	idle       time.Duration // 0 leaves a position that moves without rows alone until the end
	progress   *progress.Progress

	mu         sync.Mutex   // what follows is the reader's and the clock's
	at         sdk.Position // the last checkpoint
	closed     sdk.Position // the position of the last closed unit
	lastClosed time.Time
	uncovered  bool // rows came since the last checkpoint
	opened     time.Time
	bytes      int64
	counts     ledger.Stage
	redriven   *redriven // quarantined rows in the open unit
	// by and reason say who wanted quarantined rows to come in again.
	by, reason string
}

const sourceStage, readStage = "source", "read"

func newIntake(s *Settings, p *progress.Progress, at sdk.Position) *intake {
	in := &intake{flow: s.Name, thresholds: s.Commit, progress: p, at: at, closed: at, lastClosed: time.Now()}
	if s.Source != nil {
		in.step, in.idle = s.Source.Step, idleEvery
	}
	if s.Redrive != nil {
		in.by, in.reason = s.Redrive.By, s.Redrive.Reason
	}
	in.open()
	return in
}

func (n *intake) open() {
	name := readStage
	if n.step.Name != "" {
		name = sourceStage
	}
	n.opened, n.bytes, n.counts = time.Time{}, 0, ledger.Stage{Name: name, Maps: true}
	n.redriven = nil
}

func (n *intake) run(ctx context.Context, r reader, out chan<- item) error {
	emit := func(e event) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.event(ctx, e, out)
	}
	stop := n.watch(ctx, out)
	err := r.read(ctx, emit)
	stop()
	if err != nil {
		return err
	}
	if n.uncovered {
		return sdk.Fatal(errors.New("the source ended without a checkpoint behind its last rows, so it could not go on from there"))
	}
	if n.counts.In > 0 || !bytes.Equal(n.at, n.closed) {
		return n.close(ctx, out)
	}
	return nil
}

// watch closes units by the clock until the returned function is called.
func (n *intake) watch(ctx context.Context, out chan<- item) (stop func()) {
	ended := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		ticks := time.NewTicker(n.tick())
		defer ticks.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticks.C:
			}
			if err := n.lapse(ctx, out); err != nil {
				return // ctx has ended, and the reader hears of it, too
			}
		}
	})
	return func() {
		close(ended)
		done.Wait()
	}
}

// tick is how often the clock is looked at: often enough to close units within an eighth of their time.
func (n *intake) tick() time.Duration {
	every := time.Second
	if n.thresholds.Every > 0 {
		every = min(every, n.thresholds.Every/8)
	}
	if n.idle > 0 {
		every = min(every, n.idle/8)
	}
	return max(every, time.Millisecond)
}

// lapse closes the unit whose time is over at its last checkpoint.
func (n *intake) lapse(ctx context.Context, out chan<- item) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.uncovered:
		return nil
	case n.counts.In > 0 && n.thresholds.passed(n.opened, n.counts.In, n.bytes):
	case n.counts.In == 0 && n.idle > 0 && time.Since(n.lastClosed) >= n.idle && !bytes.Equal(n.at, n.closed):
	default:
		return nil
	}
	return n.close(ctx, out)
}

func (n *intake) event(ctx context.Context, e event, out chan<- item) error {
	switch {
	case e.schema != nil:
		return send(ctx, out, item{schema: e.schema})
	case e.batch != nil:
		rows := e.batch.Record.NumRows()
		if rows == 0 {
			e.batch.Record.Release()
			return nil
		}
		n.took(rows, 0, wire.Size(e.batch.Record))
		return send(ctx, out, item{batch: e.batch})
	case len(e.rejects) > 0:
		rejects := make([]quarantine.Rejected, len(e.rejects))
		for i, r := range e.rejects {
			rejects[i] = fromPlugin(stageID{stage: sourceStage, step: sourceStage, plugin: n.step.Instance.Plugin}, r)
		}
		n.took(0, int64(len(rejects)), 0)
		return send(ctx, out, item{rejects: rejects})
	case e.redrive != nil:
		return n.redrive(ctx, e.redrive, out)
	case e.checkpoint != nil:
		n.at, n.uncovered = e.checkpoint, false
		if n.counts.In > 0 && n.thresholds.passed(n.opened, n.counts.In, n.bytes) {
			return n.close(ctx, out)
		}
	case e.progress != nil:
		n.progress.Note(n.flow, func(s *progress.Status) { s.Source = *e.progress })
	}
	return nil
}

func (n *intake) took(rows, rejects, size int64) {
	if n.opened.IsZero() {
		n.opened = time.Now()
	}
	n.counts.In += rows + rejects
	n.counts.Out += rows
	n.counts.Rejected += rejects
	n.bytes += size
	n.uncovered = true
	n.progress.Note(n.flow, func(s *progress.Status) { s.Reading += rows + rejects })
}

func (n *intake) close(ctx context.Context, out chan<- item) error {
	if n.opened.IsZero() {
		n.opened = time.Now()
	}
	c := &closing{Position: n.at, Opened: n.opened, Decision: promote, Stages: []ledger.Stage{n.counts}}
	c.Redriven = n.redriven
	n.closed, n.lastClosed = n.at, time.Now()
	n.open()
	return send(ctx, out, item{closing: c})
}
