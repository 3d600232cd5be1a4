// Package replica is the connection by which a PostgreSQL server sends its changes: logical slots and their state, publications, the
// stream of changes, and what the server is told about how far its client has come. What the stream's messages mean is package
// pgoutput's matter; connecting again after an error is the caller's.
//
// The server keeps its log until the client confirms it, and never sends again what was confirmed. So the only positions that
// it is ever told as flushed are those of Confirm; nothing that the stream does by itself moves them.
package replica

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// Querier is an ordinary connection, a pool, a transaction, or a Conn.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Conn is a replication connection that takes commands. Start turns it into a stream. It is not for concurrent use.
type Conn struct {
	conn     *pgx.Conn
	version  int
	silence  time.Duration // wal_sender_timeout, zero for none
	snapshot string        // exported, and valid until the next command
}

// Identity is which database cluster a server runs.
type Identity struct {
	SystemID string `json:"system"`
	Timeline int    `json:"timeline"`
}

// System is what a server says about itself.
type System struct {
	Identity
	WAL      pgoutput.LSN // how far its log is flushed
	Database string
}

// parameters make the text of values independent of how server, database and role are set up, and keep the server from ending a
// connection that waits: one that exports a snapshot may wait for hours.
var parameters = map[string]string{
	"replication":                         "database",
	"client_encoding":                     "UTF8",
	"datestyle":                           "ISO",
	"intervalstyle":                       "postgres",
	"timezone":                            "UTC",
	"extra_float_digits":                  "3",
	"bytea_output":                        "hex",
	"statement_timeout":                   "0",
	"lock_timeout":                        "0",
	"idle_in_transaction_session_timeout": "0",
}

const versionOfStreaming = 140000

// Connect opens a replication connection. The values of what it streams are text in one form, whatever the server's settings: ISO
// dates in UTC, intervals in PostgreSQL's style, floats that read back exactly, bytea in hexadecimal.
func Connect(ctx context.Context, config *pgx.ConnConfig) (*Conn, error) {
	config = config.Copy()
	maps.Copy(config.RuntimeParams, parameters)
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "qanat"
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // the only one that a replication connection takes
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, judge(ctx, err, "", "connect for replication")
	}
	c := &Conn{conn: conn}
	if err := c.prepare(ctx); err != nil {
		_ = conn.Close(ctx)
		return nil, judge(ctx, err, "", "connect for replication")
	}
	return c, nil
}

func (c *Conn) prepare(ctx context.Context) error {
	const sql = `select current_setting('server_version_num')::int, (select setting::bigint from pg_settings where name = 'wal_sender_timeout')`
	var milliseconds int64
	if err := c.conn.QueryRow(ctx, sql).Scan(&c.version, &milliseconds); err != nil {
		return err
	}
	c.silence = time.Duration(milliseconds) * time.Millisecond
	if c.version < versionOfStreaming { // and of this setting
		return nil
	}
	_, err := c.conn.Exec(ctx, "set idle_session_timeout = 0")
	return err
}

// Version is the server's, as in 150004.
func (c *Conn) Version() int { return c.version }

// Query runs a statement, and makes a Conn a Querier. It is refused while a snapshot is exported.
func (c *Conn) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if c.snapshot != "" {
		return nil, fault(SnapshotHeld, "", "snapshot %q would end with another command on its connection: call ReleaseSnapshot first", c.snapshot)
	}
	return c.conn.Query(ctx, sql, args...)
}

// IdentifySystem asks which cluster this is and how far its log goes.
func (c *Conn) IdentifySystem(ctx context.Context) (System, error) {
	var s System
	var wal string
	err := queryRow(ctx, c, "IDENTIFY_SYSTEM", nil, &s.SystemID, &s.Timeline, &wal, &s.Database)
	if err == nil {
		s.WAL, err = pgoutput.ParseLSN(wal)
	}
	return s, judge(ctx, err, "", "identify the system")
}

// ReleaseSnapshot ends the exported snapshot. Transactions that have adopted it keep it.
func (c *Conn) ReleaseSnapshot(ctx context.Context) error {
	if c.snapshot == "" {
		return nil
	}
	c.snapshot = ""
	_, err := c.conn.Exec(ctx, "select 1")
	return judge(ctx, err, "", "release the snapshot")
}

// Close ends the connection, and the snapshot that it exports.
func (c *Conn) Close(ctx context.Context) error { return c.conn.Close(ctx) }

// queryRow scans the only row of a query; pgx.ErrNoRows if there is none.
func queryRow(ctx context.Context, q Querier, sql string, args []any, to ...any) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := rows.Scan(to...); err != nil {
		return fmt.Errorf("read the answer to %q: %w", sql, err)
	}
	rows.Close()
	return rows.Err()
}
