package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// run drives a sink as the runtime does: after a failure that may pass it begins again, behind the last mark.
type run struct {
	t      *testing.T
	site   *site
	config Config
	mode   sdk.WriteMode
	stream sdk.SchemaChange
	units  [][]arrow.RecordBatch
	hook   func(step string) // is told where the run is
	tries  int
	heard  map[uint64][]string // rejections of each unit
}

func (r *run) drive() {
	r.t.Helper()
	r.heard = map[uint64][]string{}
	for ; r.tries < 60; r.tries++ {
		err := r.session(uint64(r.tries + 1))
		if err == nil {
			return
		}
		if sdk.KindOf(err) != sdk.KindRetryable {
			r.t.Fatalf("%v, expected an error to be tried again", err)
		}
	}
	r.t.Fatal("it never came to an end")
}

func (r *run) session(epoch uint64) error {
	ctx := r.t.Context()
	sink := r.site.open(r.t, r.config, r.mode)
	defer func() { _ = sink.Close(context.Background()) }()
	last, err := sink.Begin(ctx, epoch)
	if err != nil {
		return err
	}
	r.hook("begun")
	if last.Seq > 0 {
		again := mark(epoch, last.Seq)
		rejected, err := sink.Commit(ctx, again)
		if err != nil {
			return err
		}
		r.hear(last.Seq, rejected)
	}
	if _, err := sink.PlanSchema(ctx, r.stream); err != nil {
		return err
	}
	if err := sink.ApplySchema(ctx, r.stream); err != nil {
		return err
	}
	for seq := last.Seq + 1; seq <= uint64(len(r.units)); seq++ {
		if err := r.unit(ctx, sink, epoch, seq); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) unit(ctx context.Context, sink *Sink, epoch, seq uint64) error {
	var early []sdk.Rejection
	for _, record := range r.units[seq-1] {
		r.hook("write")
		record.Retain()
		rejected, err := sink.Write(ctx, sdk.Batch{Stream: r.stream.Stream, Version: r.stream.Version, Record: record})
		if err != nil {
			return err
		}
		early = append(early, rejected...)
	}
	r.hook("commit")
	rejected, err := sink.Commit(ctx, mark(epoch, seq))
	if err != nil {
		return err
	}
	r.hook("committed")
	r.hear(seq, rejected)
	if len(early) > 0 && early[0].Code != "zero_byte" {
		r.t.Errorf("%+v", early)
	}
	return nil
}

func (r *run) hear(seq uint64, late []sdk.Rejection) {
	r.t.Helper()
	var said []string
	for _, rejection := range late {
		said = append(said, fmt.Sprintf("late %d %s %s", rejection.Row, rejection.Code, rejection.Raw))
	}
	if before, known := r.heard[seq]; known {
		if diff := cmp.Diff(before, said); diff != "" {
			r.t.Errorf("unit %d was rejected differently:\n%s", seq, diff)
		}
	}
	r.heard[seq] = said
}

// cases are the modes with units, some of which have rows that are refused, and what must be there at the end.
func cases(t *testing.T) map[sdk.WriteMode]run {
	stream := sdk.SchemaChange{Stream: "orders", Version: 1, Schema: orders, Key: []string{"id"}}
	changes := sdk.SchemaChange{Stream: "orders", Version: 1, Schema: change.Schema(orders, []string{"id"})}
	bad := record(t, orders, `{"id":50,"note":"a"}`, `{"id":51,"note":"zero \u0000"}`)
	first := record(t, changes.Schema, `{"id":1,"note":"a","_op":1}`, `{"id":2,"note":"b","_op":1}`, `{"id":3,"note":"c","_op":0}`)
	second := record(t, changes.Schema, `{"id":1,"note":"bad","_op":2}`, `{"id":4,"note":"d","_op":2,"_before":{"id":2}}`, `{"id":3,"_op":3}`)
	third := record(t, changes.Schema, `{"id":4,"_op":2,"_unchanged":["note"]}`, `{"id":5,"note":"e","_op":1}`)
	return map[sdk.WriteMode]run{
		sdk.Append:    {stream: stream, units: [][]arrow.RecordBatch{{numbered(1, 2), bad}, {numbered(10, 3)}, {}, {numbered(20, 1)}}},
		sdk.Overwrite: {stream: stream, units: [][]arrow.RecordBatch{{numbered(1, 2)}, {}, {numbered(10, 1), numbered(11, 1), bad}}},
		sdk.Upsert:    {stream: changes, units: [][]arrow.RecordBatch{{first}, {second, third}}},
	}
}

var outcomes = map[sdk.WriteMode][]string{
	sdk.Append:    {"(1)", "(2)", "(10)", "(11)", "(12)", "(20)", "(50)"},
	sdk.Overwrite: {"(10)", "(11)", "(50)"},
	sdk.Upsert:    {"(1)", "(4)", "(5)"},
}

// A connection is broken at messages that the client sends, at all of them where time does not matter, before the server has them or
// before its answer is heard: of commits in any case.
func TestBrokenConnectionsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	for mode, template := range cases(t) {
		for name, fate := range map[string]pgtest.Fate{"lost": pgtest.Lose, "unheard": pgtest.Unheeded} {
			t.Run(string(mode)+" "+name, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				proxy, dsn := pgtest.Through(t, s.dsn)
				step := int64(9)
				if os.Getenv("QANAT_SLOW") != "" {
					step = 1
				}
				for at := rand.Int64N(step); ; at += step {
					var count, commits atomic.Int64
					proxy.Spy(func(piece []byte) pgtest.Fate {
						if count.Add(1) == at+1 || at < step && bytes.Contains(piece, []byte("commit\x00")) && commits.Add(1) == 3 {
							return fate
						}
						return pgtest.Pass
					})
					table := fmt.Sprintf("orders %d", at)
					s.exec(t, fmt.Sprintf(`create table %q (id int8 primary key, note varchar(8) check (note <> 'bad'))`, table))
					r := template
					r.t, r.site, r.mode, r.hook = t, &site{dsn: s.dsn, flow: table}, mode, func(string) {}
					r.config = Config{DSN: sdk.Secret(dsn), Table: table}
					r.drive()
					s.want(t, fmt.Sprintf("select id from %q order by id", table), outcomes[mode]...)
					if mode == sdk.Upsert && len(r.heard[2]) != 1 {
						t.Errorf("rejections %v", r.heard)
					}
					if count.Load() <= at || t.Failed() {
						t.Logf("%d messages", count.Load())
						return
					}
				}
			})
		}
	}
}

func TestServerRestartsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t, "fsync=on")
	templates := cases(t)
	for _, c := range []struct {
		mode sdk.WriteMode
		step string
		end  func()
	}{
		{sdk.Append, "write", server.Crash}, {sdk.Append, "committed", server.Stop},
		{sdk.Upsert, "commit", server.Crash}, {sdk.Overwrite, "commit", server.Stop},
	} {
		s := newSiteOn(t, server, `create table orders (id int8 primary key, note varchar(8) check (note <> 'bad'))`)
		r := templates[c.mode]
		r.t, r.site, r.mode, r.config = t, s, c.mode, Config{}
		count := 0
		r.hook = func(step string) {
			if step != c.step {
				return
			}
			if count++; count == 2 {
				c.end()
				server.Start(t)
			}
		}
		r.drive()
		s.sql = s.connect(t)
		s.want(t, "select id from orders order by id", outcomes[c.mode]...)
		if count < 2 || r.tries == 0 {
			t.Errorf("%s: %d steps %s, %d tries", c.mode, count, c.step, r.tries)
		}
	}
}

func TestUnitsOfASilentConnectionAreWrittenAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table orders (id int8 primary key, note text)")
	proxy, dsn := pgtest.Through(t, s.dsn)
	old, _ := s.begin(t, Config{DSN: sdk.Secret(dsn)}, sdk.Append, 1, ordersStream())
	none(t, write(t, old, "orders", 1, numbered(1, 2)))
	proxy.Hold() // the server keeps the session, its transaction and its locks
	now, _ := s.begin(t, Config{}, sdk.Append, 1, ordersStream())
	none(t, write(t, now, "orders", 1, numbered(1, 2)))
	none(t, commit(t, now, mark(1, 1)))
	s.want(t, "select count(*) from orders", "(2)")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("given up"))
	_ = old.Close(ctx)
}
