package follow

import (
	"context"
	"fmt"
	"time"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
)

// pulse is what is known of how far the server is ahead.
type pulse struct {
	end       pgoutput.LSN // of the server's log
	sent      time.Time    // of the last frame, by the server's clock
	committed time.Time    // of the last transaction
	retained  int64        // log that the server keeps for the slot

	reported time.Time
	looked   time.Time
	beaten   time.Time
	warned   bool
}

func (p *pulse) commit(tx pgoutput.Transaction) { p.committed = tx.Committed }

// lag is how far what was emitted is behind the server.
func (p *pulse) lag(at pgoutput.LSN) (int64, time.Duration) {
	if p.end <= at {
		return 0, 0
	}
	behind := int64(p.end - at) //nolint:gosec // a log of 8 EiB is not written
	if p.committed.IsZero() || p.sent.Before(p.committed) {
		return behind, 0
	}
	return behind, p.sent.Sub(p.committed)
}

// beat does what is done from time to time: it reports, looks after the slot, and writes the heartbeat.
func (f *Follower) beat(ctx context.Context, stream *replica.Stream, now time.Time) error {
	p := &f.pulse
	p.end = max(p.end, stream.Lag().Server)
	if p.beaten.IsZero() {
		p.beaten = now
	}
	if f.Heartbeat > 0 && now.Sub(p.beaten) >= f.Heartbeat {
		p.beaten = now
		if _, err := f.mark(ctx, "heartbeat"); err != nil {
			return err
		}
	}
	if now.Sub(p.looked) >= f.Pace.Look {
		p.looked = now
		if err := f.look(ctx); err != nil {
			return err
		}
	}
	if now.Sub(p.reported) >= f.Pace.Report {
		p.reported = now
		f.report()
	}
	return nil
}

func (f *Follower) report() {
	bytes, seconds := f.pulse.lag(f.at)
	message := fmt.Sprintf("lag %d bytes, %.1f s; the server keeps %d bytes of log for the slot", bytes, seconds.Seconds(), f.pulse.retained)
	if f.pulse.warned {
		message += fmt.Sprintf(", more than the %d of wal_limit", f.Limit.Bytes)
	}
	for _, t := range f.order {
		f.Out.Progress(sdk.Progress{Stream: t.Stream, Rows: t.rows, Message: message})
	}
}

// look asks how much log the server keeps for the slot.
func (f *Follower) look(ctx context.Context) error {
	conn, err := f.conn(ctx)
	if err != nil {
		return err
	}
	slot, err := replica.LookUpSlot(ctx, conn, f.Position.Slot)
	if err != nil {
		return err
	}
	f.pulse.retained, f.pulse.end = slot.Retained, max(f.pulse.end, slot.Current)
	f.Position.Restart = slot.RestartLSN
	if f.Limit.Bytes == 0 || slot.Retained <= f.Limit.Bytes {
		f.pulse.warned = false
		return nil
	}
	if f.Limit.Drop {
		return &limitError{kept: slot.Retained, limit: f.Limit.Bytes}
	}
	if !f.pulse.warned {
		f.Log.Warn("the server keeps more log for the slot than wal_limit allows", "slot", slot.Name, "bytes", slot.Retained, "limit", f.Limit.Bytes,
			"hint", "units are not committed, or transactions are open for long")
	}
	f.pulse.warned = true
	return nil
}

// limitError says that the slot is to be given up.
type limitError struct{ kept, limit int64 }

func (e *limitError) Error() string {
	return fmt.Sprintf("the server keeps %d bytes of log for the slot, more than the %d of wal_limit", e.kept, e.limit)
}

// giveUp drops the slot, which nobody uses any more.
func (f *Follower) giveUp(ctx context.Context, why error) error {
	conn, err := f.conn(ctx)
	if err == nil {
		err = replica.DropSlot(ctx, conn, f.Position.Slot)
	}
	if err != nil {
		return fmt.Errorf("%w; dropping replication slot %q failed: %w", why, f.Position.Slot, err)
	}
	return sdk.Fatal(fmt.Errorf("%w: replication slot %q was dropped, as wal_limit says; start the pipeline from the beginning to read the tables again", why, f.Position.Slot))
}
