package main

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// teller keeps what a source tells of its progress, and may hold it at its first checkpoint.
type teller struct {
	plugintest.Recorder
	hold func(ctx context.Context)
	log  lines

	mu     sync.Mutex
	latest sdk.Progress
	most   sdk.Lag // at any time, and in any respect
	over   bool    // the limit was spoken of
}

func (p *teller) Progress(r sdk.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latest = r
	if l := r.Lag; l != nil {
		p.most = sdk.Lag{Bytes: max(p.most.Bytes, l.Bytes), Behind: max(p.most.Behind, l.Behind), Retained: max(p.most.Retained, l.Retained)}
	}
	p.over = p.over || strings.Contains(r.Message, "more than the 1048576 of wal_limit")
}

func (p *teller) told() (sdk.Progress, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest, p.over
}

func (p *teller) Checkpoint(ctx context.Context, pos sdk.Position) error {
	if hold := p.hold; hold != nil {
		p.hold = nil
		hold(ctx)
	}
	return p.Recorder.Checkpoint(ctx, pos)
}

// watched is a read of a table with a limit of the server's log, and what is logged.
func (s *site) watched(t *testing.T, then string, at sdk.Position, p *teller) (string, error) {
	t.Helper()
	config := cdc("t")
	config.WALLimit = &WALLimit{Bytes: 1 << 20, Then: then}
	source := s.source(t, config)
	source.env.Log = hclog.New(&hclog.LoggerOptions{Output: &p.log})
	t.Cleanup(p.Release)
	err := source.Read(t.Context(), sdk.ReadRequest{Position: at}, p)
	return p.log.String(), err
}

const muchLog = "insert into noise select repeat(md5(i::text), 20) from generate_series(1, 5000) i"

func (s *site) slots(t *testing.T) int {
	return one[int](t, s, "select count(*)::int from pg_replication_slots where database = current_database()")
}

func TestTheLimitOfTheLog(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v text)", "create table noise (v text)")
	at := last(t, s.read(t, cdc("t"), nil))
	s.exec(t, muchLog)
	var p teller
	log, err := s.watched(t, "pause", at, &p)
	if _, over := p.told(); err != nil || !over || strings.Count(log, "more log for the slot than wal_limit allows") != 1 {
		t.Errorf("%v, %q, %s", err, p.latest.Message, log)
	}
	_, err = s.watched(t, dropSlot, at, &teller{})
	if sdk.KindOf(err) != sdk.KindFatal || !strings.Contains(err.Error(), "was dropped, as wal_limit says") || s.slots(t) != 0 {
		t.Errorf("got %v", err)
	}
}

// The first read of the tables is when the log grows most: nothing is confirmed until it is over.
func TestTheLimitOfTheLogWhileTablesAreReadFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v text)", "create table noise (v text)", "insert into t select i, 'x' from generate_series(1, 500) i")
	grow := func() {
		if _, err := s.sql.Exec(t.Context(), muchLog); err != nil {
			t.Error(err)
		}
	}
	var dropped teller
	dropped.hold = func(ctx context.Context) { grow(); <-ctx.Done() }
	_, err := s.watched(t, dropSlot, nil, &dropped)
	if sdk.KindOf(err) != sdk.KindFatal || !strings.Contains(err.Error(), "was dropped, as wal_limit says") || s.slots(t) != 0 {
		t.Fatalf("got %v", err)
	}
	var paused teller
	paused.hold = func(context.Context) {
		grow()
		eventually(t, "the warning came", func() bool { return strings.Contains(paused.log.String(), "wal_limit") })
	}
	log, err := s.watched(t, "pause", nil, &paused)
	if _, over := paused.told(); err != nil || !over || paused.Rows("t") != 500 || strings.Count(log, "more log for the slot than wal_limit allows") != 1 {
		t.Errorf("%v, %d rows, %q, %s", err, paused.Rows("t"), paused.latest.Message, log)
	}
	if lag := paused.most; lag.Bytes < 1<<20 || lag.Retained < 1<<20 || lag.Behind == 0 {
		t.Errorf("%+v was told of the lag", lag)
	}
}
