package follow

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
)

// sessions streams until the end, over as many connections as it takes.
func (f *Follower) sessions(ctx context.Context) error {
	var since time.Time
	pause := f.Pace.FirstPause
	for {
		at, delivered := f.at, f.delivered
		err := f.session(ctx)
		limit := f.Pace.Reconnect
		switch {
		case err == nil || ctx.Err() != nil || errors.Is(err, errInside):
			return err
		case replica.KindOf(err) == replica.SlotInUse:
			limit = f.Pace.Slot
		case !server.Lost(err):
			return explain(err)
		}
		now := time.Now()
		if since.IsZero() || f.at > at || f.delivered != delivered {
			since, pause = now, f.Pace.FirstPause
		}
		if now.Sub(since) > limit {
			return server.Judge(ctx, "stream", err)
		}
		f.Log.Warn("the stream broke off and is started again", "slot", f.Position.Slot, "at", f.at, "error", err)
		f.brokeOff()
		if f.waitOrStop(ctx, pause) {
			return f.last(ctx)
		}
		pause = min(2*pause, f.Pace.LongestPause)
	}
}

// brokeOff notes how much has come of the transaction in which a connection ended: the next one sends it again from its beginning.
func (f *Follower) brokeOff() {
	if !f.inside {
		return
	}
	f.resumed.lsn, f.resumed.ordinal = f.tx.LSN, f.delivered
	f.inside = false
	f.hold = max(f.hold, f.tx.LSN+1) // no checkpoint before the rest of it has come
}

// errInside is the end of a read whose last rows no checkpoint can follow.
var errInside = sdk.Retryable(errors.New("the read was stopped inside of a transaction, or of a chunk that the stream has not passed: what came of it is read again"), 0)

// last ends a read that has no stream.
func (f *Follower) last(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case f.at < f.hold:
		return errInside
	}
	return f.checkpoint(ctx)
}

// waitOrStop says whether there is nothing left to wait for.
func (f *Follower) waitOrStop(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-f.Stop:
		return true
	case <-timer.C:
		return false
	}
}

// explain adds what to do to errors that nobody but a person can mend.
func explain(err error) error {
	const again = "changes are missing, so the tables must be read again: remove the pipeline's slot and state, and start it from the beginning"
	hints := map[replica.Kind]string{
		replica.SlotMissing:        again,
		replica.SlotLost:           again + "; max_slot_wal_keep_size bounds what the server keeps",
		replica.PositionGone:       "the slot was used by somebody else, or made anew: " + again,
		replica.OtherSystem:        "the settings lead to another server: correct them, or " + again,
		replica.OtherTimeline:      "a slot does not survive a promotion or restore: " + again,
		replica.PublicationMissing: "it must have been there at the position: " + again,
		replica.SlotForeign:        "choose another name with the setting slot",
		replica.WALLevelTooLow:     "set wal_level = logical and restart the server",
		replica.NoPermission:       "the role needs REPLICATION, and pg_hba.conf must allow it",
	}
	hint, ok := hints[replica.KindOf(err)]
	if !ok {
		return err
	}
	return sdk.Fatal(fmt.Errorf("%w; %s", err, hint))
}

// session streams over one connection.
func (f *Follower) session(ctx context.Context) error {
	conn, err := replica.Connect(ctx, f.Server.Replication())
	if err != nil {
		return err
	}
	stream, err := conn.Start(ctx, replica.Settings{
		Slot: f.Position.Slot, Publications: []string{f.Publication}, From: f.at, Expect: f.Position.Identity,
	})
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // nothing was begun
		return err
	}
	defer func() { _ = stream.Close(context.WithoutCancel(ctx)) }() // the error that counts is the read's
	defer f.Acks.leave()
	if err := f.Acks.begin(stream, f.at); err != nil {
		return err
	}
	assembler, err := pgoutput.NewAssembler(pgoutput.Settings{Folder: filepath.Join(f.Scratch, "transactions")}, f)
	if err != nil {
		return err
	}
	return errors.Join(f.loop(ctx, stream, assembler), assembler.Close())
}

// loop takes frames, and does between transactions what is due.
func (f *Follower) loop(ctx context.Context, stream *replica.Stream, assembler *pgoutput.Assembler) error {
	for {
		done, err := f.beatOf(ctx, stream, assembler)
		if err != nil || done {
			return err
		}
	}
}

// beatOf takes frames for a while.
func (f *Follower) beatOf(ctx context.Context, stream *replica.Stream, assembler *pgoutput.Assembler) (bool, error) {
	beat, cancel := context.WithTimeout(ctx, tick)
	defer cancel()
	for {
		done, err := f.between(ctx, stream)
		if err != nil || done {
			return done, err
		}
		frame, err := stream.Receive(beat)
		if err != nil {
			if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
				return false, nil
			}
			return false, err
		}
		f.pulse.sent = frame.Sent
		if frame.Data != nil {
			if err := assembler.Push(ctx, frame.Data); err != nil {
				return false, err
			}
			continue
		}
		f.pulse.end = max(f.pulse.end, frame.End)
		if !assembler.InTransaction() {
			f.pass(frame.End)
		}
	}
}

// between does what is due, and says whether the read is over.
func (f *Follower) between(ctx context.Context, stream *replica.Stream) (bool, error) {
	now := time.Now()
	if f.stopping(now) {
		switch {
		case !f.inside && f.at >= f.hold:
			return true, f.checkpoint(ctx)
		case now.Sub(f.stopped) > f.Pace.Patient:
			return true, errInside
		}
		return false, nil
	}
	if f.inside {
		return false, nil
	}
	if f.due(now) {
		if err := f.checkpoint(ctx); err != nil {
			return false, err
		}
	}
	if err := f.fillNext(ctx, now); err != nil {
		return false, err
	}
	if !f.Follow && f.at >= f.target && f.at >= f.hold && !f.filling() {
		return true, f.checkpoint(ctx)
	}
	return false, f.beat(ctx, stream, now)
}

func (f *Follower) stopping(now time.Time) bool {
	if f.stopped.IsZero() {
		select {
		case <-f.Stop:
			f.stopped = now
		default:
		}
	}
	return !f.stopped.IsZero()
}
