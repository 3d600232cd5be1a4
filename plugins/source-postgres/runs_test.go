package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// units keeps what was emitted as the runtime does: rows count once a checkpoint follows them.
type units struct {
	plugintest.Recorder
	t testing.TB

	mu        sync.Mutex
	committed []sdk.Batch
	position  sdk.Position
	points    []sdk.Position
	hook      func(u *units, points int) // runs in the read at each checkpoint
}

func newUnits(t testing.TB) *units {
	u := &units{t: t}
	u.OnCheckpoint = func(pos sdk.Position) error {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.committed, u.position = slices.Clip(u.Batches), slices.Clone(pos)
		u.points = append(u.points, u.position)
		if u.hook != nil {
			u.hook(u, len(u.points))
		}
		return nil
	}
	t.Cleanup(u.Release)
	return u
}

// at is the last position.
func (u *units) at() sdk.Position {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.position
}

// count is how many rows of a stream are committed.
func (u *units) count(stream string) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	var rows int64
	for _, b := range u.committed {
		if b.Stream == stream {
			rows += b.Record.NumRows()
		}
	}
	return rows
}

// changes are the committed rows of a stream.
func (u *units) changes(stream string) []row {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []row
	for _, b := range u.committed {
		if b.Stream == stream {
			out = append(out, rowsOf(u.t, b.Record)...)
		}
	}
	return out
}

// running is a read that goes on.
type running struct {
	*units
	source *Source
	stop   chan struct{}
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
	once   sync.Once
}

// follow begins a read that follows.
func (s *site) follow(t testing.TB, c Config, at sdk.Position, acked sdk.Position, hooks ...func(*units, int)) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{units: newUnits(t), source: s.source(t, c), stop: make(chan struct{}), cancel: cancel, ended: make(chan struct{})}
	for _, hook := range hooks {
		r.hook = hook
	}
	if acked != nil {
		if err := r.source.Ack(ctx, acked); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		defer close(r.ended)
		r.err = r.source.Read(ctx, sdk.ReadRequest{Position: at, Follow: true, Stop: r.stop}, r.units)
	}()
	t.Cleanup(r.kill)
	return r
}

// kill ends the read as the end of its process would.
func (r *running) kill() {
	r.cancel()
	<-r.ended
}

// end stops the read in order.
func (r *running) end(t testing.TB) {
	t.Helper()
	r.once.Do(func() { close(r.stop) })
	select {
	case <-r.ended:
	case <-time.After(patience):
		t.Fatal("the read did not end after stop")
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
}

// until waits for so many committed rows of a stream.
func (r *running) until(t testing.TB, stream string, n int) []row {
	t.Helper()
	eventually(t, fmt.Sprintf("%d rows of %s came", n, stream), func() bool {
		select {
		case <-r.ended:
			t.Fatalf("the read ended: %v", r.err)
		default:
		}
		return r.count(stream) >= int64(n)
	})
	return r.changes(stream)
}

// fold is what a table is after changes: rows by their key as text. It fails the test where changes can't be applied.
func fold(t testing.TB, into map[string]row, rows []row, key ...string) map[string]row {
	t.Helper()
	if into == nil {
		into = map[string]row{}
	}
	name := func(r any) string {
		var parts []string
		for _, k := range key {
			parts = append(parts, fmt.Sprint(r.(row)[k]))
		}
		return strings.Join(parts, "|")
	}
	for _, r := range rows {
		own := maps.Clone(r)
		for _, c := range change.Names() {
			delete(own, c)
		}
		switch fmt.Sprint(r[change.ColumnOp]) {
		case "4":
			clear(into)
			continue
		case "3":
			delete(into, name(r))
			continue
		}
		was := into[name(r)]
		if before, ok := r[change.ColumnBefore].(row); ok && name(before) != name(r) {
			was = into[name(before)]
			delete(into, name(before))
		}
		if unchanged, ok := r[change.ColumnUnchanged].([]any); ok {
			for _, c := range unchanged {
				if was == nil {
					t.Fatalf("%v has unchanged columns, and there was no such row", r)
				}
				own[c.(string)] = was[c.(string)]
			}
		}
		into[name(r)] = own
	}
	return into
}

// table is a table's rows by key, as a full read has them.
func (s *site) table(t testing.TB, name string, key ...string) map[string]row {
	t.Helper()
	r := s.read(t, Config{Tables: []string{name}}, nil)
	defer r.Release()
	rows := streamRows(t, r, name)
	for _, one := range rows {
		one[change.ColumnOp] = 0
	}
	return fold(t, nil, rows, key...)
}

func ops(rows []row) string {
	var out strings.Builder
	for _, r := range rows {
		fmt.Fprint(&out, r[change.ColumnOp])
	}
	return out.String()
}
