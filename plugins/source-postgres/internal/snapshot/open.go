package snapshot

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/keyset"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// Session is several connections that see one moment. The first is for questions, the others read. It is not for concurrent use but by
// Read.
type Session struct {
	Asks    *pgx.Conn
	readers []*pgx.Conn
	LSN     pgoutput.LSN // not behind what the moment shows; zero if the snapshot is another's
}

const begin = "begin isolation level repeatable read read only"

// Open opens a session of so many readers, at the snapshot that another connection has exported, or at one of its own. Close it.
func Open(ctx context.Context, s *server.Server, readers int, exported string) (*Session, error) {
	var out Session
	var err error
	if out.Asks, err = s.Connect(ctx); err != nil {
		return nil, err
	}
	if exported == "" {
		exported, err = out.export(ctx)
	} else {
		err = adopt(ctx, out.Asks, exported)
	}
	for range readers {
		if err != nil {
			break
		}
		var conn *pgx.Conn
		if conn, err = s.Connect(ctx); err == nil {
			out.readers = append(out.readers, conn)
			err = adopt(ctx, conn, exported)
		}
	}
	if err != nil {
		out.Close(ctx)
		return nil, err
	}
	return &out, nil
}

func (s *Session) export(ctx context.Context) (string, error) {
	if _, err := s.Asks.Exec(ctx, begin); err != nil {
		return "", err
	}
	var name, lsn string
	sql := "select pg_export_snapshot(), (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)::text"
	if err := s.Asks.QueryRow(ctx, sql).Scan(&name, &lsn); err != nil {
		return "", fmt.Errorf("export a snapshot: %w", err)
	}
	var err error
	s.LSN, err = pgoutput.ParseLSN(lsn)
	return name, err
}

func adopt(ctx context.Context, conn *pgx.Conn, exported string) error {
	_, err := conn.PgConn().Exec(ctx, begin+"; set transaction snapshot "+keyset.Literal(exported)).ReadAll()
	if err != nil {
		return fmt.Errorf("take up snapshot %q: %w", exported, err)
	}
	return nil
}

// Lock keeps tables from being dropped, truncated or changed while the session lasts: these things are not hidden by a snapshot.
func (s *Session) Lock(ctx context.Context, tables []*Table) error {
	for _, t := range tables {
		if _, err := s.Asks.Exec(ctx, "lock table "+t.From()+" in access share mode"); err != nil {
			return fmt.Errorf("lock table %s against changes of its form: %w", t, err)
		}
	}
	return nil
}

// Rewritten says which of the tables, locked by now, were truncated or rewritten after the snapshot: to the session they look empty, or have
// rows that they did not have. Their files have changed, which is seen without regard to the snapshot.
func (s *Session) Rewritten(ctx context.Context, tables []*Table) ([]*Table, error) {
	const sql = `select exists (select from (select $1::oid as id union select relid from pg_partition_tree($1::oid::regclass)) all_of
		left join pg_class c on c.oid = id where coalesce(c.relfilenode, 0) <> coalesce(pg_relation_filenode(id), 0))`
	var out []*Table
	for _, t := range tables {
		var changed bool
		if err := s.Asks.QueryRow(ctx, sql, t.OID).Scan(&changed); err != nil {
			return nil, fmt.Errorf("look up the file of table %s: %w", t, err)
		}
		if changed {
			out = append(out, t)
		}
	}
	return out, nil
}

// Close ends the connections.
func (s *Session) Close(ctx context.Context) {
	if s == nil {
		return
	}
	server.Close(ctx, s.Asks)
	for _, conn := range s.readers {
		server.Close(ctx, conn)
	}
}
