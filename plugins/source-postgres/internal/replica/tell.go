package replica

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// asks is whether a status wants an answer.
type asks byte

const (
	justTells asks = 0
	wantsLife asks = 1
)

// tell sends the status: at once when the position moved, a moment after the server asked, and from time to time. It asks for
// a sign of life when there was none, and gives the connection up if none comes.
func (s *Stream) tell() {
	timer := time.NewTimer(s.every)
	defer timer.Stop()
	for {
		wants := justTells
		select {
		case <-s.stop:
			return
		case <-s.asked:
			timer.Reset(answerPause)
			continue
		case <-s.told:
		case <-timer.C:
			silence := s.silence()
			if silence > s.settings.DeadAfter {
				s.giveUp(fault(ConnectionLost, s.settings.Slot, "the server has been silent for %s", silence.Round(time.Millisecond)))
				return
			}
			if silence >= s.every/2 {
				wants = wantsLife
			}
		}
		if err := s.send(wants); err != nil {
			s.giveUp(err)
			return
		}
		timer.Reset(s.every)
	}
}

// silence is how long Receive has been waiting. While it is not called the server can't be heard, so it is not silent.
func (s *Stream) silence() time.Duration {
	since := s.waiting.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

func (s *Stream) giveUp(cause error) {
	s.mu.Lock()
	s.cause = cause
	s.mu.Unlock()
	_ = s.conn.Close()
}

// send is the only place that names positions to the server.
func (s *Stream) send(wants asks) error {
	s.mu.Lock()
	written, confirmed := s.progress.whole, s.progress.confirmed
	s.mu.Unlock()
	b := make([]byte, 0, 39)
	b = append(b, 'd', 0, 0, 0, 38, 'r')
	b = binary.BigEndian.AppendUint64(b, uint64(max(written, confirmed)))
	b = binary.BigEndian.AppendUint64(b, uint64(confirmed))                    // flushed
	b = binary.BigEndian.AppendUint64(b, uint64(confirmed))                    // applied
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMicro()-epoch)) //nolint:gosec // two's complement on the wire
	b = append(b, byte(wants))
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.settings.DeadAfter)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// leave ends the copying in order. The server may be sending a large transaction meanwhile, which is read away as long as there is
// time; if there is none, it learns of the end when it next writes.
func (s *Stream) leave(ctx context.Context) {
	deadline := time.Now().Add(closeLimit)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if s.send(justTells) != nil || s.conn.SetDeadline(deadline) != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })()
	s.frontend.Send(&pgproto3.CopyDone{})
	if s.frontend.Flush() != nil {
		return
	}
	for {
		m, err := s.frontend.Receive()
		if err != nil {
			return
		}
		if _, done := m.(*pgproto3.ReadyForQuery); done {
			break
		}
	}
	s.frontend.Send(&pgproto3.Terminate{})
	_ = s.frontend.Flush()
}
