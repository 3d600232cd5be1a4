package cdc_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/qanat-data/qanat/e2e/rig"
)

// workload is pgbench's, which moves money between accounts, tellers and branches and keeps a history: at every commit the four sums
// are equal.
type workload struct {
	t       *testing.T
	server  *rig.PostgresServer
	scale   int
	clients int
	rate    int // transactions a second, 0 as many as there can be
	over    context.CancelFunc
	ended   chan struct{}
}

func newWorkload(t *testing.T, server *rig.PostgresServer, scale, clients, rate int) *workload {
	t.Helper()
	server.Must(t, "pgbench", "postgres", "-i", "-q", "-s", strconv.Itoa(scale))
	return &workload{t: t, server: server, scale: scale, clients: clients, rate: rate}
}

// start lets the clients work until stop is called; they are started again when the server has ended their sessions.
func (w *workload) start() {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.over, w.ended = cancel, make(chan struct{})
	w.t.Cleanup(w.stop)
	go func() {
		defer close(w.ended)
		for ctx.Err() == nil {
			args := []string{"-n", "-c", strconv.Itoa(w.clients), "-j", "1", "-T", "3600"}
			if w.rate > 0 {
				args = append(args, "-R", strconv.Itoa(w.rate))
			}
			_ = w.server.Tool(ctx, "pgbench", "postgres", args...).Run() // a server that was killed, or the end
		}
	}()
}

// stop ends the clients and waits for them.
func (w *workload) stop() {
	w.over()
	<-w.ended
}
