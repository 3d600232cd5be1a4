package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

const (
	// epoch is 2000-01-01, from which PostgreSQL counts microseconds, as Unix microseconds.
	epoch = 946_684_800_000_000
	// closeLimit bounds how long Close waits until the server has let the slot go.
	closeLimit = 5 * time.Second
	// A server that shuts down waits until everything is confirmed, asking without a pause. An answer waits a moment, and
	// after so many the stream ends: what is in flight is confirmed after the server's restart.
	answerPause  = 20 * time.Millisecond
	answersAtEnd = 50
)

// Frame is what the server sent.
type Frame struct {
	Data []byte       // a message of pgoutput, valid until the next Receive; nil in a sign of life
	End  pgoutput.LSN // how far the server has read its log; in a sign of life only
	Sent time.Time    // by the server's clock
}

// Stream is a running replication. One goroutine calls Receive and Close; Confirm and Lag may be called by any.
//
// A goroutine of its own tells the server how far its client is, so a caller that is slow, or waits, keeps the stream alive.
type Stream struct {
	conn     net.Conn
	frontend *pgproto3.Frontend
	settings Settings
	every    time.Duration

	mu       sync.Mutex
	progress progress
	cause    error // why the teller closed the connection

	waiting atomic.Int64 // since when Receive waits for the server, in Unix nanoseconds, or zero
	told    chan struct{}
	asked   chan struct{}
	stop    chan struct{}
	group   sync.WaitGroup
	closing sync.Once
	ended   bool // by the server or an error
	answers asking
}

// asking counts how often the server asked for an answer at the same place without a pause.
type asking struct {
	at    pgoutput.LSN
	last  time.Time
	count int
}

func newStream(raw *pgconn.HijackedConn, settings Settings, every time.Duration) *Stream {
	if settings.DeadAfter <= 0 {
		settings.DeadAfter = 60 * time.Second
	}
	s := &Stream{
		conn: raw.Conn, frontend: raw.Frontend, settings: settings, every: min(every, settings.DeadAfter/2),
		progress: progress{whole: settings.From},
		told:     make(chan struct{}, 1), asked: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	s.group.Go(s.tell)
	return s
}

// Receive waits for the next frame. When the context ends, it returns its error, and may be called again.
func (s *Stream) Receive(ctx context.Context) (Frame, error) {
	if err := ctx.Err(); err != nil {
		return Frame{}, err
	}
	if s.ended {
		return Frame{}, s.fail(ctx, net.ErrClosed)
	}
	interrupted := make(chan struct{})
	interrupt := context.AfterFunc(ctx, func() {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	s.waiting.Store(time.Now().UnixNano())
	f, err := s.receive()
	s.waiting.Store(0)
	if !interrupt() {
		<-interrupted
		_ = s.conn.SetReadDeadline(time.Time{})
	}
	if err == nil {
		return f, nil
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && ctx.Err() != nil {
		return Frame{}, ctx.Err()
	}
	s.ended = true
	return Frame{}, s.fail(context.WithoutCancel(ctx), err)
}

// fail names what ended the stream; the teller knows better than the connection that it closed.
func (s *Stream) fail(ctx context.Context, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		err = s.cause
	}
	if p, ok := errors.AsType[*pgconn.PgError](err); ok && p.Code == "42704" { // the slot is there, for it is in use
		return &Error{Kind: PublicationMissing, Slot: s.settings.Slot, text: "a publication is missing at the stream's position", err: err}
	}
	return judge(ctx, err, s.settings.Slot, fmt.Sprintf("stream from replication slot %q", s.settings.Slot))
}

func (s *Stream) receive() (Frame, error) {
	for {
		m, err := s.frontend.Receive()
		if err != nil {
			return Frame{}, err
		}
		switch m := m.(type) {
		case *pgproto3.CopyData:
			return s.frame(m.Data)
		case *pgproto3.ErrorResponse:
			return Frame{}, pgconn.ErrorResponseToPgError(m)
		case *pgproto3.CopyDone, *pgproto3.CommandComplete, *pgproto3.ReadyForQuery:
			return Frame{}, fault(ShuttingDown, s.settings.Slot, "the server ended the stream from replication slot %q", s.settings.Slot)
		}
	}
}

func (s *Stream) frame(b []byte) (Frame, error) {
	switch {
	case len(b) >= 25 && b[0] == 'w':
		f := Frame{Data: b[25:], Sent: timeOf(b[17:])}
		s.answers.count = 0
		s.mu.Lock()
		s.progress.data(f.Data)
		s.mu.Unlock()
		return f, nil
	case len(b) == 18 && b[0] == 'k':
		f := Frame{End: pgoutput.LSN(binary.BigEndian.Uint64(b[1:])), Sent: timeOf(b[9:])}
		s.mu.Lock()
		s.progress.keepalive(f.End)
		s.mu.Unlock()
		if b[17] != 0 {
			return f, s.answer(f.End)
		}
		return f, nil
	}
	return Frame{}, fmt.Errorf("a replication frame of kind %q has %d bytes", b[:min(1, len(b))], len(b))
}

func timeOf(b []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(b)) + epoch).UTC() //nolint:gosec // two's complement on the wire
}

func (s *Stream) answer(at pgoutput.LSN) error {
	now := time.Now()
	if s.answers.at != at || now.Sub(s.answers.last) > time.Second {
		s.answers = asking{at: at}
	}
	s.answers.last = now
	s.answers.count++
	if s.answers.count > answersAtEnd {
		return fault(ShuttingDown, s.settings.Slot, "the server shuts down, and waits for changes that are in flight")
	}
	poke(s.asked)
	return nil
}

// Confirm names the position up to which everything is safe: the end of a transaction that was received whole. The server forgets what
// is before it. A position before an earlier one changes nothing; one that was not handed out yet is refused.
//
// Nothing else moves the server's position, not even past log without changes: whoever wants that stores the position behind it first,
// and then confirms it. So no stored position is ever behind the slot's, which Start would have to refuse.
func (s *Stream) Confirm(lsn pgoutput.LSN) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved, err := s.progress.confirm(lsn)
	if moved {
		poke(s.told)
	}
	return err
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Lag is how far the stream is. A server that has much to send says only how far it has read; LookUpSlot gives its whole log.
type Lag struct {
	Confirmed pgoutput.LSN // the latest that the server was told, or will be at once; zero if none was named
	Received  pgoutput.LSN // transactions that end up to here were received
	Server    pgoutput.LSN // how far the server has read its log
	Bytes     int64        // from the confirmed position, or where the stream started, to Server
}

// Lag is known without asking the server.
func (s *Stream) Lag() Lag {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := max(s.progress.end, s.progress.whole)
	return Lag{
		Confirmed: s.progress.confirmed, Received: s.progress.whole, Server: end,
		Bytes: behind(max(s.progress.confirmed, s.settings.From), end),
	}
}

// Close tells the server the confirmed position and ends the stream; it waits a few seconds until the server has let the slot go, so
// that it can be used again. It must not run beside Receive.
func (s *Stream) Close(ctx context.Context) error {
	var err error
	s.closing.Do(func() {
		close(s.stop)
		s.group.Wait()
		if !s.ended {
			s.ended = true
			s.leave(ctx)
		}
		err = s.conn.Close()
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
	})
	return err
}
