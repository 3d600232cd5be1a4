package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
	"github.com/qanat-data/qanat/sdk"
)

// ledger is the table that keeps the last mark of each flow, and who may commit next.
type ledger struct{ name table.Name }

// owner is the writer that has begun last.
type owner struct {
	Epoch    uint64
	Instance string // tells two writers of one epoch apart
}

// entry is a flow's row.
type entry struct {
	owner
	mark       sdk.Mark
	streams    []string // that the flow has written
	rejections []sdk.Rejection
	pid        int32 // of the owner's session
}

func (l ledger) createSQL() string {
	return "create table if not exists " + l.name.SQL() + ` (
	flow text primary key, epoch bigint not null, instance text not null, pid integer not null, started timestamptz not null,
	seq bigint not null default 0, commit_epoch bigint not null default 0, position text, streams text[] not null default '{}',
	rejections jsonb not null default '[]', committed_at timestamptz)`
}

// columns of the ledger, for a look at one that is there.
func (l ledger) check(t *table.Table) error {
	for _, name := range []string{
		"flow", "epoch", "instance", "pid", "started", "seq", "commit_epoch", "position", "streams", "rejections", "committed_at",
	} {
		if t.Column(name) == nil {
			return sdk.ConfigError("/ledger", "table %s has no column %q, so it is no ledger: choose another name", l.name, name)
		}
	}
	return nil
}

// make creates the ledger if it is missing and may be made.
func (l ledger) make(ctx context.Context, conn *pgx.Conn, create bool) error {
	t, err := table.Read(ctx, conn, l.name)
	switch {
	case err != nil:
		return err
	case t.Exists:
		return l.check(t)
	case !create:
		return sdk.ConfigError("/ledger", "there is no table %s, and create is false: %s", l.name, l.createSQL())
	}
	statements := []string{"begin", oneAtATime, l.createSQL(), "commit"}
	if !t.Schema {
		statements = slices.Insert(statements, 2, "create schema if not exists "+table.Quote(l.name.Schema))
	}
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return judgeChange(sql, err)
		}
	}
	return nil
}

const entryColumns = "epoch, instance, pid, seq, commit_epoch, position, streams, rejections"

func scanEntry(row pgx.Row) (*entry, error) {
	var e entry
	var epoch, seq, commitEpoch int64
	var position *string
	var rejections []byte
	err := row.Scan(&epoch, &e.Instance, &e.pid, &seq, &commitEpoch, &position, &e.streams, &rejections)
	if err != nil {
		return nil, err
	}
	e.Epoch = uint64(epoch)                                                        //nolint:gosec // written from a uint64
	e.mark = sdk.Mark{Epoch: uint64(commitEpoch), Seq: uint64(seq), Position: nil} //nolint:gosec // written from uint64s
	if position != nil {
		e.mark.Position = sdk.Position(*position)
	}
	return &e, json.Unmarshal(rejections, &e.rejections)
}

// read is a flow's row; nil if there is none. In a transaction that locks it, others wait: it waits for them.
func (l ledger) read(ctx context.Context, conn *pgx.Conn, flow, lock string) (*entry, error) {
	e, err := scanEntry(conn.QueryRow(ctx, "select "+entryColumns+" from "+l.name.SQL()+" where flow = $1 "+lock, flow))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return e, err
}

// claim makes o the owner, unless a newer epoch has begun. It waits for a commit under way.
func (l ledger) claim(ctx context.Context, conn *pgx.Conn, flow string, o owner) (*entry, error) {
	epoch, err := signed(o.Epoch)
	if err != nil {
		return nil, err
	}
	if err := l.evict(ctx, conn, flow, o.Epoch); err != nil {
		return nil, err
	}
	sql := "insert into " + l.name.SQL() + " as l (flow, epoch, instance, pid, started) " +
		"select $1, $2, $3, pg_backend_pid(), backend_start from pg_stat_get_activity(pg_backend_pid()) " +
		"on conflict (flow) do update set epoch = excluded.epoch, instance = excluded.instance, pid = excluded.pid, started = excluded.started " +
		"where l.epoch <= excluded.epoch returning " + entryColumns
	e, err := scanEntry(conn.QueryRow(ctx, sql, flow, epoch, o.Instance))
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, l.fenced(ctx, conn, flow)
	}
	return e, err
}

// evict ends the session of the writer before, which may be nobody's any more and still hold locks that the next unit would wait for.
func (l ledger) evict(ctx context.Context, conn *pgx.Conn, flow string, epoch uint64) error {
	before, err := l.read(ctx, conn, flow, "")
	if err != nil || before == nil {
		return err
	}
	if before.Epoch > epoch {
		return sdk.Fenced(before.Epoch)
	}
	sql := "select pg_terminate_backend(a.pid) from pg_stat_activity a join " + l.name.SQL() +
		" l on l.pid = a.pid and l.started = a.backend_start where l.flow = $1 and a.pid <> pg_backend_pid()"
	if _, err := conn.Exec(ctx, sql, flow); err != nil && server.Lost(err) {
		return err
	}
	return nil // without the right to end it, its own connection ends it one day
}

func (l ledger) fenced(ctx context.Context, conn *pgx.Conn, flow string) error {
	now, err := l.read(ctx, conn, flow, "")
	if err == nil && now == nil {
		err = sdk.Fatal(fmt.Errorf("the row of flow %q is gone from %s", flow, l.name))
	}
	if err != nil {
		return err
	}
	return sdk.Fenced(now.Epoch)
}

// commit writes a mark in the transaction of its unit.
func (l ledger) commit(ctx context.Context, conn *pgx.Conn, flow string, m sdk.Mark, streams []string, rejections []sdk.Rejection) error {
	seq, err := signed(m.Seq)
	if err != nil {
		return err
	}
	epoch, err := signed(m.Epoch)
	if err != nil {
		return err
	}
	var position *string
	if m.Position != nil {
		text := string(m.Position)
		if position = &text; !utf8.ValidString(text) {
			return sdk.Fatal(errors.New("the position is not UTF-8"))
		}
	}
	if rejections == nil {
		rejections = []sdk.Rejection{}
	}
	raw, err := json.Marshal(rejections)
	if err != nil {
		return err
	}
	streams = append([]string{}, streams...) // a nil one would be null
	slices.Sort(streams)
	sql := "update " + l.name.SQL() + " set seq = $2, commit_epoch = $3, position = $4, streams = $5, rejections = $6, committed_at = now() where flow = $1"
	_, err = conn.Exec(ctx, sql, flow, seq, epoch, position, slices.Compact(streams), string(raw))
	return err
}

func signed(v uint64) (int64, error) {
	if v > math.MaxInt64 {
		return 0, sdk.Fatal(fmt.Errorf("%d is more than the ledger holds", v))
	}
	return int64(v), nil
}
