package broker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

const (
	// room is what must be free before a server is started again.
	room                = 4 << 20
	mendFirst, mendLast = 100 * time.Millisecond, 2 * time.Second
	roomFile            = ".room"
)

// storing says what keeps the server from storing; nil if nothing does. A nil server has no faults.
func (s *Server) storing() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

func (s *Server) failed(line string) {
	s.mu.Lock()
	s.fault = errors.New(line)
	s.mu.Unlock()
	select {
	case s.broken <- struct{}{}:
	default:
	}
}

// mend starts the server again after it could not store something, once there is room. Its clients connect again by themselves.
func (s *Server) mend(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-s.broken:
		case <-ctx.Done():
			return
		}
		retry := backoff{first: mendFirst, last: mendLast}
		for !s.again(ctx) {
			retry.pause(ctx, nil)
			if ctx.Err() != nil {
				return
			}
		}
	}
}

func (s *Server) again(ctx context.Context) bool {
	err := roomIn(s.settings.Dir)
	if err == nil {
		s.down()
		s.heard()
		err = s.start(ctx)
	}
	if err == nil {
		orNull(s.settings.Logger).Info("the embedded broker stores again", "folder", s.settings.Dir)
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
	return false
}

// heard forgets what was said before.
func (s *Server) heard() {
	select {
	case <-s.broken:
	default:
	}
}

// roomIn tries whether a folder takes what a server will write first.
func roomIn(dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, roomFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the server's own folder
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, room))
	return errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
}
