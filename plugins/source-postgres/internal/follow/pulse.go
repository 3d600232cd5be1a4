package follow

import (
	"context"
	"fmt"
	"time"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
)

// pulse is what is known of how far the server is ahead, and when what was done last that is done from time to time. All times of the server
// are by its clock.
type pulse struct {
	end   pgoutput.LSN // of the server's log
	sent  time.Time    // the last frame
	since time.Time    // when what has been emitted was all there was

	reported time.Time
	beaten   time.Time
}

func (p *pulse) commit(tx pgoutput.Transaction) { p.since = later(p.since, tx.Committed) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// beat does what is done from time to time: it reports, and writes the heartbeat.
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
	if now.Sub(p.reported) >= f.Pace.Report {
		p.reported = now
		f.report()
	}
	return nil
}

func (f *Follower) report() {
	state := f.Watch.State()
	lag := f.lag(state)
	for _, t := range f.order {
		f.Out.Progress(sdk.Progress{Stream: t.Stream, Rows: t.rows, Message: f.Watch.Say(lag), Lag: lag})
	}
}

// lag is how far what was emitted is behind the server.
func (f *Follower) lag(s State) *sdk.Lag {
	p := &f.pulse
	if s.Now.IsZero() {
		return nil
	}
	s.Current, s.Now = max(s.Current, p.end), later(s.Now, p.sent)
	if f.at >= s.Current || p.since.IsZero() {
		p.since = s.Now
	}
	return s.Lag(f.at, p.since)
}

// Say words a lag for people.
func (w *Watch) Say(lag *sdk.Lag) string {
	if lag == nil {
		return ""
	}
	text := fmt.Sprintf("lag %d bytes, %.1f s; the server keeps %d bytes of log for the slot", lag.Bytes, lag.Behind.Seconds(), lag.Retained)
	if w.State().Over {
		text += fmt.Sprintf(", more than the %d of wal_limit", w.Limit.Bytes)
	}
	return text
}
