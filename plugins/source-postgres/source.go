package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/follow"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// Source implements sdk.Source, sdk.Acker, sdk.Provisioner and sdk.Tester.
type Source struct {
	config Config
	env    sdk.Env
	server *server.Server

	acks follow.Acks
	pace follow.Pace
}

// New makes a source. It connects to nothing.
func New(_ context.Context, c Config, env sdk.Env) (*Source, error) {
	s, err := server.Parse(c.DSN.Reveal())
	if err != nil {
		return nil, sdk.ConfigError("/dsn", "%v", err)
	}
	if c.Mode == "" {
		c.Mode = position.Full
	}
	return &Source{config: c, env: env, server: s, pace: follow.Standard()}, nil
}

// Streams implements sdk.Source.
func (s *Source) Streams(ctx context.Context) ([]sdk.Stream, error) {
	conn, err := s.server.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer server.Close(ctx, conn)
	tables, err := s.find(ctx, conn)
	if err != nil {
		return nil, err
	}
	out := make([]sdk.Stream, len(tables))
	for i, t := range tables {
		out[i] = sdk.Stream{
			Name: t.Stream, Description: t.Doc, Schema: s.emitted(t), Key: t.names, Tags: []string{"postgres", s.config.Mode}, EstimatedRows: t.Rows,
			External: sdk.ExternalDataset{Namespace: s.server.Namespace(), Name: s.origin(t)}, Query: s.query(t), Note: s.note(),
		}
	}
	return out, nil
}

// query is what the server is asked for the rows of a table, but for where a piece of them begins and ends.
func (s *Source) query(t *table) string {
	sql := "select " + t.SelectSQL() + " from " + t.From() + t.Where()
	c := t.settings.Cursor
	if c == nil {
		c = s.config.Cursor
	}
	switch {
	case s.config.Mode == position.Incremental && c != nil:
		var columns []string
		for _, name := range append([]string{c.Column}, t.names...) {
			columns = append(columns, pgx.Identifier{name}.Sanitize())
		}
		return sql + " order by " + strings.Join(columns, ", ")
	case t.Key != nil:
		return sql + " order by " + t.Key.SQL()
	}
	return sql
}

func (s *Source) note() string {
	switch s.config.Mode {
	case position.Incremental:
		return "from the cursor's last value less its look-back on; deletes are not seen, nor changes that leave the cursor as it is"
	case position.CDC:
		return "once, as of the slot's beginning; then every change that is committed"
	}
	return "once, as of one moment"
}

// emitted is the schema of what is emitted of a table.
func (s *Source) emitted(t *table) *arrow.Schema {
	if s.config.Mode == position.CDC {
		return change.Schema(t.schema, t.names)
	}
	return t.schema
}

// origin names a table in lineage and with its rows.
func (s *Source) origin(t *table) string { return s.server.Database() + "." + t.String() }

// Close implements sdk.Source.
func (s *Source) Close(context.Context) error { return nil }

// Read implements sdk.Source.
func (s *Source) Read(ctx context.Context, req sdk.ReadRequest, out sdk.Emitter) error {
	at, err := position.Decode(req.Position, s.config.Mode)
	if err != nil {
		return sdk.Fatal(err)
	}
	switch s.config.Mode {
	case position.CDC:
		err = s.readCDC(ctx, req, at, out)
	case position.Incremental:
		err = s.readIncremental(ctx, req, at, out)
	default:
		err = s.readFull(ctx, req, at, out)
	}
	return server.Judge(ctx, "read", err)
}

// selected are the tables of the streams that a request asks for.
func selected(tables []*table, streams []string) ([]*table, error) {
	if len(streams) == 0 {
		return tables, nil
	}
	var out []*table
	for _, name := range streams {
		i := slices.IndexFunc(tables, func(t *table) bool { return t.Stream == name })
		if i < 0 {
			var have []string
			for _, t := range tables {
				have = append(have, t.Stream)
			}
			return nil, fmt.Errorf("there is no stream %q, there are %s", name, strings.Join(have, ", "))
		}
		out = append(out, tables[i])
	}
	return out, nil
}

// identify asks which cluster this is.
func identify(ctx context.Context, conn *pgx.Conn) (replica.Identity, error) {
	var out replica.Identity
	const sql = "select (select system_identifier::text from pg_control_system()), (select timeline_id from pg_control_checkpoint())"
	err := conn.QueryRow(ctx, sql).Scan(&out.SystemID, &out.Timeline)
	return out, err
}

// belongs says whether a position is of this database.
func (s *Source) belongs(at *position.Position, now replica.Identity) error {
	switch {
	case at == nil:
		return nil
	case at.SystemID != now.SystemID:
		return sdk.Fatal(fmt.Errorf("the position is of database cluster %s, and the server's is %s: read from the beginning, into new datasets, if that is meant", at.SystemID, now.SystemID))
	case at.Database != s.server.Database():
		return sdk.Fatal(fmt.Errorf("the position is of database %q, and the settings say %q: read from the beginning, into new datasets, if that is meant", at.Database, s.server.Database()))
	}
	return nil
}

// known looks for tables that are not those which a position knows.
func known(at *position.Position, tables []*table) error {
	for _, t := range tables {
		for stream, was := range at.Tables {
			switch {
			case stream == t.Stream && was.OID != t.OID:
				return sdk.Fatal(fmt.Errorf("table %s was dropped and made again since the last read (OID %d, now %d): what was read of the old one no longer fits; give it a stream of its own (per_table, stream) to read it into a new dataset, or start the pipeline from the beginning", t, was.OID, t.OID))
			case stream != t.Stream && was.OID == t.OID:
				return sdk.Fatal(fmt.Errorf("table %s was stream %q and would now be %q: set stream: %s for it in per_table to go on", t, stream, t.Stream, stream))
			}
		}
	}
	return nil
}
