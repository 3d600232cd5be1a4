package instance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// greeting is what a guest that was let in hears.
	greeting = "qanat 1\n"
	// greetingTimeout bounds the first words of both sides.
	greetingTimeout = 5 * time.Second
	maxHello        = 32
)

// host is the owner's control endpoint. A guest holds a connection to it for as
// long as it works: the kernel tells both sides when the other one dies.
type host struct {
	listener net.Listener
	logger   hclog.Logger
	work     sync.WaitGroup
	changed  chan struct{} // capacity 1: a guest has come or gone

	mu     sync.Mutex
	guests map[net.Conn]int // pid; 0 until it was told
	shut   bool
}

func listen(ctx context.Context, path string, logger hclog.Logger) (*host, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control endpoint: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control endpoint: %w", err), l.Close())
	}
	h := &host{listener: l, logger: logger, guests: map[net.Conn]int{}, changed: make(chan struct{}, 1)}
	h.work.Go(h.accept)
	return h, nil
}

func (h *host) accept() {
	for {
		conn, err := h.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			h.logger.Warn("control endpoint", "error", err)
			_ = pause(context.Background()) // such as no descriptors: it passes
			continue
		}
		if h.enter(conn) {
			h.work.Go(func() { h.serve(conn) })
		}
	}
}

// enter counts a guest in, unless the owner is leaving.
func (h *host) enter(conn net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut {
		_ = conn.Close() // the guest sees the end and tries again
		return false
	}
	h.guests[conn] = 0
	return true
}

// serve greets a guest and waits until it is gone.
func (h *host) serve(conn net.Conn) {
	defer h.leave(conn)
	if err := h.greet(conn); err != nil {
		h.logger.Debug("a guest was not understood", "error", err)
		return
	}
	_, _ = io.Copy(io.Discard, conn) // any end is the end
}

func (h *host) greet(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(io.LimitReader(conn, maxHello), maxHello).ReadString('\n')
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.guests[conn] = pid
	h.mu.Unlock()
	if _, err := io.WriteString(conn, greeting); err != nil {
		return err
	}
	h.logger.Debug("a guest has joined", "pid", pid)
	return conn.SetDeadline(time.Time{})
}

func (h *host) leave(conn net.Conn) {
	_ = conn.Close() // nothing was buffered
	h.mu.Lock()
	delete(h.guests, conn)
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// drain waits until no guest is left, and from then on lets nobody in.
func (h *host) drain(ctx context.Context) error {
	told := 0
	for {
		pids := h.shutIfEmpty()
		if pids == nil {
			return nil
		}
		if len(pids) != told {
			told = len(pids)
			h.logger.Info("waiting for other qanat commands that use this process's servers", "pids", pids)
		}
		select {
		case <-h.changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: processes %v: %w", ErrGuestsLeft, pids, context.Cause(ctx))
		}
	}
}

// shutIfEmpty returns the guests that are left, or nil after it has shut the door.
func (h *host) shutIfEmpty() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.guests) > 0 {
		return slices.Sorted(maps.Values(h.guests))
	}
	h.shut = true
	return nil
}

// close sends away who is left and waits for the goroutines.
func (h *host) close() error {
	h.mu.Lock()
	h.shut = true
	err := h.listener.Close()
	for conn := range h.guests {
		_ = conn.Close() // the guest hears of it
	}
	h.mu.Unlock()
	h.work.Wait()
	return err
}
