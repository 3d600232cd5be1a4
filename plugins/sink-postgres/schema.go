package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// stream is a stream whose table is ready for one version of its schema.
type stream struct {
	name    string
	version int
	target  table.Name
	columns []table.Filled
	sources []int // where the columns are in a batch
	key     []string
	change  change.Indexes
	staging *staging // nil until rows of this version need it

	// Of changes: how their own columns are sent, and the key's in _before.
	ts, unchanged *encode.Column
	before        []*encode.Column
	beforeAt      []int
}

// wanted works out what a stream needs; no effects.
func (s *Sink) wanted(c sdk.SchemaChange) (table.Wanted, error) {
	name, err := s.config.name(c.Stream)
	if err != nil {
		return table.Wanted{}, err
	}
	if other, taken := s.tables[name.Table]; taken && other != c.Stream {
		return table.Wanted{}, sdk.ConfigError("/table", "streams %q and %q would both be written to table %s: use %s in the setting", other, c.Stream, name, sdk.StreamMark)
	}
	at, err := change.Columns(c.Schema)
	if err != nil {
		return table.Wanted{}, sdk.Fatal(fmt.Errorf("stream %q: %w", c.Stream, err))
	}
	w := table.Wanted{
		Name: name, Fields: c.Schema.Fields(), Types: s.config.types(c.Stream), Sparse: at.Op >= 0, Create: s.config.create(), Evolve: s.config.evolve(),
	}
	switch s.mode {
	case modeUpsert:
		err = s.upserts(&w, c)
	case modeReplace:
		w.Key = s.key
		if at.Op >= 0 {
			err = sdk.Fatal(fmt.Errorf("stream %q has changes, which can't replace all rows: use mode upsert, or append to keep each change as a row", c.Stream))
		}
	}
	return w, err
}

func (s *Sink) upserts(w *table.Wanted, c sdk.SchemaChange) error {
	w.Fields = change.Table(c.Schema).Fields()
	for _, key := range [][]string{s.key, c.Key, change.Key(c.Schema)} {
		if len(w.Key) == 0 {
			w.Key = key
		}
	}
	if len(w.Key) == 0 && !w.Sparse {
		return sdk.ConfigError("/key", "stream %q has no key: name the columns that identify a row, or use mode append", c.Stream)
	}
	for _, column := range w.Key {
		if !slices.ContainsFunc(w.Fields, func(f arrow.Field) bool { return f.Name == column }) {
			return sdk.ConfigError("/key", "stream %q has no column %q", c.Stream, column)
		}
	}
	if s.config.Delete == softDelete && len(w.Key) > 0 {
		w.Deleted = s.config.DeletedColumn
	}
	return nil
}

// PlanSchema implements sdk.Sink.
func (s *Sink) PlanSchema(ctx context.Context, c sdk.SchemaChange) ([]sdk.Action, error) {
	w, err := s.wanted(c)
	if err != nil {
		return nil, err
	}
	s.tables[w.Table] = c.Stream
	changes, err := s.plan(ctx, w)
	if err != nil {
		return nil, err
	}
	var actions []sdk.Action
	if t, err := table.Read(ctx, s.conn, s.ledger.name); err == nil && !t.Exists && s.config.create() {
		actions = append(actions, sdk.Action{Object: s.ledger.name.String(), Description: "create the ledger: " + oneLine(s.ledger.createSQL())})
	}
	for _, change := range changes {
		actions = append(actions, sdk.Action{Object: change.Object, Description: change.Text + ": " + change.SQL})
	}
	return append(actions, s.describe(w)), nil
}

func oneLine(sql string) string { return strings.Join(strings.Fields(sql), " ") }

// describe says what units will do.
func (s *Sink) describe(w table.Wanted) sdk.Action {
	action := sdk.Action{Object: w.String(), Description: "append rows"}
	switch s.mode {
	case modeUpsert:
		if len(w.Key) == 0 {
			action.Description = "append inserted rows, as the stream has no key; updates and deletions are rejected"
			return action
		}
		action.Description = "upsert rows by " + strings.Join(w.Key, ", ")
		if w.Sparse {
			action.Description += fmt.Sprintf(", apply deletions (%s)", s.config.Delete)
		}
	case modeReplace:
		action.Description, action.Destructive = "each unit replaces all rows", true
	}
	return action
}

// plan reads the table and works out what it lacks.
func (s *Sink) plan(ctx context.Context, w table.Wanted) ([]table.Change, error) {
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	have, err := table.Read(ctx, s.conn, w.Name)
	if err != nil {
		return nil, s.lost(ctx, "look at table "+w.String(), err)
	}
	changes, err := table.Plan(ctx, s.conn, have, w)
	if err == nil {
		return changes, nil
	}
	if p, said := errors.AsType[*pgconn.PgError](err); said && !server.Lost(err) {
		return nil, sdk.ConfigError("/types", "table %s: %s", w.Name, p.Message)
	}
	if server.Lost(err) {
		return nil, s.lost(ctx, "look at table "+w.String(), err)
	}
	return nil, sdk.Fatal(fmt.Errorf("stream %q: %w", s.tables[w.Table], err))
}

// ApplySchema implements sdk.Sink.
func (s *Sink) ApplySchema(ctx context.Context, c sdk.SchemaChange) error {
	w, err := s.wanted(c)
	if err != nil {
		return err
	}
	s.tables[w.Table] = c.Stream
	changes, err := s.plan(ctx, w)
	if err != nil {
		return err
	}
	if err := s.carryOut(ctx, changes); err != nil {
		return s.lost(ctx, "prepare table "+w.String(), err)
	}
	have, err := table.Read(ctx, s.conn, w.Name)
	if err != nil {
		return s.lost(ctx, "look at table "+w.String(), err)
	}
	columns, err := table.Layout(have, w)
	if err != nil {
		return sdk.Fatal(fmt.Errorf("stream %q: %w", c.Stream, err))
	}
	return s.ready(ctx, c, w, columns)
}

// oneAtATime lets instances that make tables at once wait for each other until the end of the transaction: for PostgreSQL, creating what is
// being created is an error, "if not exists" or not.
const oneAtATime = "select pg_catalog.pg_advisory_xact_lock(7810226544671253)"

// carryOut runs the statements in a transaction, the unit's if it is open: that one holds locks that another would wait for.
func (s *Sink) carryOut(ctx context.Context, changes []table.Change) error {
	if len(changes) == 0 {
		return nil
	}
	statements := make([]string, 0, len(changes)+2)
	if s.unit == nil || !s.unit.open {
		statements = append(statements, "begin", oneAtATime)
	}
	statements = append(statements, "set local lock_timeout = '30s'")
	for _, change := range changes {
		statements = append(statements, change.SQL)
	}
	if s.unit == nil || !s.unit.open {
		statements = append(statements, "commit")
	}
	for _, sql := range statements {
		if _, err := s.conn.Exec(ctx, sql); err != nil {
			return judgeChange(sql, err)
		}
	}
	return nil
}

// judgeChange adds the statement, and knows the marks of somebody else's doing the same.
func judgeChange(sql string, err error) error {
	wrapped := fmt.Errorf("%s: %w", sql, err)
	p, said := errors.AsType[*pgconn.PgError](err)
	switch {
	case said && slices.Contains([]string{"42P07", "42701", "42P06"}, p.Code), said && p.Code == "23505" && p.SchemaName == "pg_catalog":
		return sdk.Retryable(wrapped, 0)
	case said && p.Code == "42501":
		return sdk.Fatal(fmt.Errorf("%w: the role needs CREATE on the schema to make tables, and must own those that it changes; or somebody else runs the statement, and create and evolve are false", wrapped))
	}
	return wrapped
}

// ready makes the version the one that rows come in. A staging table is kept if the columns are the same.
func (s *Sink) ready(ctx context.Context, c sdk.SchemaChange, w table.Wanted, columns []table.Filled) error {
	at, err := change.Columns(c.Schema)
	if err != nil {
		return sdk.Fatal(err)
	}
	st := &stream{name: c.Stream, version: c.Version, target: w.Name, columns: columns, key: w.Key, change: at}
	for _, column := range columns {
		st.sources = append(st.sources, c.Schema.FieldIndices(column.Name)[0])
	}
	if s.mode == modeUpsert {
		if err := st.changed(c.Schema); err != nil {
			return err
		}
	}
	before := s.streams[c.Stream]
	s.streams[c.Stream] = st
	if before == nil || before.staging == nil || s.unit != nil && slices.Contains(s.unit.parts, before) {
		return nil
	}
	if before.alike(st) {
		st.staging = before.staging
		return nil
	}
	return before.drop(ctx, s.conn)
}

// alike says whether the rows of two versions look the same in a staging table.
func (st *stream) alike(other *stream) bool {
	same := func(a, b table.Filled) bool {
		return a.Name == b.Name && a.Wire == b.Wire && a.Type.SQL == b.Type.SQL && a.NotNull == b.NotNull && a.Key == b.Key
	}
	places := func(at change.Indexes) [4]bool {
		return [4]bool{at.Op >= 0, at.Ts >= 0, at.Before >= 0, at.Unchanged >= 0}
	}
	return st.target == other.target && slices.EqualFunc(st.columns, other.columns, same) && places(st.change) == places(other.change)
}
