package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/cursor"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/snapshot"
	"github.com/qanat-data/qanat/sdk"
)

// remembered is how many rows are remembered of all tables together, and at least of one.
const (
	remembered      = 50_000
	leastRemembered = 500
)

// incrementalRead is one look at the tables.
type incrementalRead struct {
	*tablesRead
	cursors map[*table]*tableCursor
	most    int
	since   int64 // rows since the last checkpoint
}

type tableCursor struct {
	column cursor.Column
	memory *cursor.Memory
}

// readIncremental reads rows whose cursor is not behind what was read, again and again if it follows.
func (s *Source) readIncremental(ctx context.Context, req sdk.ReadRequest, at *position.Position, out sdk.Emitter) error {
	versions := map[string]*version{}
	for {
		next, err := s.look(ctx, req, at, out, versions)
		if err != nil || !req.Follow {
			return err
		}
		at = next
		if stopped, err := pauseOrStop(ctx, req.Stop); err != nil || stopped {
			return err
		}
	}
}

// version is a stream's schema in one Read, over several looks.
type version struct {
	number int
	schema *arrow.Schema
}

// look reads what is new, as of one moment.
func (s *Source) look(ctx context.Context, req sdk.ReadRequest, at *position.Position, out sdk.Emitter, versions map[string]*version) (*position.Position, error) {
	session, err := snapshot.Open(ctx, s.server, 0, "")
	if err != nil {
		return nil, server.Judge(ctx, "open a snapshot", err)
	}
	defer session.Close(ctx)
	tables, err := s.sighted(ctx, session, req.Streams)
	if err != nil {
		return nil, err
	}
	identity, err := identify(ctx, session.Asks)
	if err != nil {
		return nil, err
	}
	if at == nil {
		at = position.New(position.Incremental, s.server.Database(), identity)
	}
	if err := errors.Join(s.belongs(at, identity), known(at, tables)); err != nil {
		return nil, err
	}
	at.Identity = identity
	r := &incrementalRead{tablesRead: s.newTables(req, out, at, tables), cursors: map[*table]*tableCursor{}, most: max(leastRemembered, remembered/max(1, len(tables)))}
	r.position.LSN = session.LSN
	if err := r.prepare(tables); err != nil {
		return nil, err
	}
	for _, t := range tables {
		if err := r.begin(ctx, t, versions); err != nil {
			return nil, err
		}
		if err := r.table(ctx, session.Asks, t, versions[t.Stream].number); err != nil {
			return nil, err
		}
		if r.stopping() {
			break
		}
	}
	return r.position, r.checkpoint(ctx)
}

// prepare finds the tables' cursors.
func (r *incrementalRead) prepare(tables []*table) error {
	var faults []error
	for _, t := range tables {
		c, err := r.cursor(t)
		faults = append(faults, err)
		r.cursors[t] = c
	}
	return errors.Join(faults...)
}

func (r *incrementalRead) cursor(t *table) (*tableCursor, error) {
	settings, path := t.settings.Cursor, t.path+"/cursor"
	if settings == nil {
		settings, path = r.source.config.Cursor, "/cursor"
	}
	if settings == nil {
		return nil, sdk.ConfigError(t.path+"/cursor", "mode incremental needs a cursor column for table %s", t)
	}
	if len(t.names) == 0 {
		return nil, sdk.ConfigError(t.path+"/key", "mode incremental needs a key for table %s, which has no primary key", t)
	}
	found := t.Column(settings.Column)
	if found == nil {
		return nil, sdk.ConfigError(path+"/column", "table %s has no column %q, it has %s", t, settings.Column, columnNames(t.Table.Table))
	}
	column, err := cursor.Of(found)
	if err != nil {
		return nil, sdk.ConfigError(path+"/column", "table %s: %w", t, err)
	}
	window, err := column.Window(settings.LookBack)
	if err != nil {
		return nil, sdk.ConfigError(path+"/look_back", "table %s: %w", t, err)
	}
	at := r.position.Tables[t.Stream].Cursor
	if at != nil && at.Column != column.Name {
		return nil, sdk.ConfigError(path+"/column", "the position of stream %q is by cursor %q, and the settings say %q: a stream keeps its cursor", t.Stream, at.Column, column.Name)
	}
	return &tableCursor{column, cursor.NewMemory(column, at, window, r.most)}, nil
}

// begin emits the schema if it is new.
func (r *incrementalRead) begin(ctx context.Context, t *table, versions map[string]*version) error {
	v := versions[t.Stream]
	if v != nil && v.schema.Equal(t.schema) {
		return nil
	}
	if v == nil {
		v = &version{}
		versions[t.Stream] = v
	}
	v.number++
	v.schema = t.schema
	return r.out.Schema(ctx, sdk.SchemaChange{Stream: t.Stream, Version: v.number, Schema: t.schema, Key: t.names})
}

// table reads the new rows of a table in the order of cursor and key.
func (r *incrementalRead) table(ctx context.Context, conn *pgx.Conn, t *table, number int) error {
	c := r.cursors[t]
	quoted := pgx.Identifier{c.column.Name}.Sanitize()
	further := []string{quoted}
	for _, name := range t.names {
		further = append(further, pgx.Identifier{name}.Sanitize())
	}
	extra := strings.Join(further, ", ")
	sql := "select " + extra + ", " + t.SelectSQL() + " from " + t.From() +
		t.Where(c.column.Condition(quoted, r.position.Tables[t.Stream].Cursor)...) + " order by " + extra
	give := func(rows snapshot.Rows) error { return r.give(ctx, t, c, number, rows) }
	if err := snapshot.Copy(ctx, conn, &t.Table, sql, len(further), t.schema, r.source.env.Alloc, give); err != nil && !errors.Is(err, errStopped) {
		return fmt.Errorf("read table %s: %w", t, err)
	}
	r.position.Tables[t.Stream].Cursor = c.memory.Cursor()
	if c.memory.Forgot > 0 {
		r.source.env.Log.Warn("more rows lie within the look-back, or at one value of the cursor, than are remembered: late rows before them are not caught",
			"table", t.String(), "remembered", r.most, "forgotten", c.memory.Forgot)
	}
	return nil
}

// errStopped ends a query whose rows are not wanted any more.
var errStopped = errors.New("stopped")

// give emits the rows that were not emitted before.
func (r *incrementalRead) give(ctx context.Context, t *table, c *tableCursor, number int, rows snapshot.Rows) error {
	if rows.Record != nil {
		defer rows.Record.Release()
	}
	if r.stopping() && c.memory.Resumable() {
		return errStopped
	}
	var skip []int
	var rejects []sdk.Rejection
	for _, e := range rows.Entries {
		at, _ := c.column.Ordinal(e.Further[0])
		fresh := c.memory.New(at, cursor.Hash(e.Further))
		if e.Row >= 0 && (!fresh || e.Reject >= 0) {
			skip = append(skip, e.Row)
		}
		if fresh && e.Reject >= 0 {
			rejects = append(rejects, rows.Rejects[e.Reject])
		}
	}
	var parts []arrow.RecordBatch
	if rows.Record != nil {
		parts = value.Without(rows.Record, skip)
	}
	if err := r.emit(ctx, t, number, parts, rejects); err != nil {
		return err
	}
	if r.since < int64(r.source.config.chunkRows()) || !c.memory.Resumable() {
		return nil
	}
	r.since = 0
	r.position.Tables[t.Stream].Cursor = c.memory.Cursor()
	return r.checkpoint(ctx)
}

// emit takes the parts.
func (r *incrementalRead) emit(ctx context.Context, t *table, number int, parts []arrow.RecordBatch, rejects []sdk.Rejection) error {
	origin := r.source.origin(t)
	r.since += int64(len(rejects))
	r.rows[t.Stream] += uint64(len(rejects))
	for i := range rejects {
		rejects[i].Origin = origin
	}
	var err error
	if len(rejects) > 0 {
		err = r.out.Reject(ctx, rejects...)
	}
	for _, part := range parts {
		if err != nil {
			part.Release()
			continue
		}
		r.since += part.NumRows()
		r.rows[t.Stream] += uint64(part.NumRows()) //nolint:gosec // counts are never negative
		err = r.out.Batch(ctx, sdk.Batch{Stream: t.Stream, Version: number, Origin: origin, Record: part})
	}
	r.report(t, false)
	return err
}

// pollEvery is how often a read that follows looks again.
const pollEvery = 5 * time.Second

func pauseOrStop(ctx context.Context, stop <-chan struct{}) (bool, error) {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true, ctx.Err()
	case <-stop:
		return true, nil
	case <-timer.C:
		return false, nil
	}
}
