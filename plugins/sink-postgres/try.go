package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/sink-postgres/internal/table"
	"github.com/qanat-data/qanat/sdk"
)

// oldest is the oldest version of the server that is supported.
const oldest = 120000

var _ sdk.Tester = (*Sink)(nil)

// Test implements sdk.Tester.
func (s *Sink) Test(ctx context.Context) (string, error) {
	conn, err := s.server.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer server.Close(ctx, conn)
	summary, err := s.try(ctx, conn)
	return summary, server.Judge(ctx, "test", err)
}

// rights are what the role may do.
type rights struct {
	version, user                string
	number                       int
	temp, make                   bool // in the database
	schema, use, create, standby bool
}

const rightsSQL = `
select current_setting('server_version'), current_setting('server_version_num')::int, current_user::text,
	has_database_privilege(current_database(), 'TEMP'), has_database_privilege(current_database(), 'CREATE'), n.oid is not null,
	coalesce(has_schema_privilege(n.oid, 'USAGE'), false), coalesce(has_schema_privilege(n.oid, 'CREATE'), false),
	pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool
from (select) as one left join pg_namespace n on n.nspname = $1`

func (s *Sink) try(ctx context.Context, conn *pgx.Conn) (string, error) {
	var r rights
	err := conn.QueryRow(ctx, rightsSQL, s.config.Schema).
		Scan(&r.version, &r.number, &r.user, &r.temp, &r.make, &r.schema, &r.use, &r.create, &r.standby)
	if err != nil {
		return "", err
	}
	if err := s.judgeRights(r); err != nil {
		return "", err
	}
	ledger, err := table.Read(ctx, conn, s.ledger.name)
	if err != nil {
		return "", err
	}
	if err := s.judgeLedger(ctx, conn, ledger, r); err != nil {
		return "", err
	}
	return fmt.Sprintf("PostgreSQL %s as %s, database %s, schema %s", r.version, r.user, s.server.Database(), s.config.Schema), nil
}

func (s *Sink) judgeRights(r rights) error {
	switch {
	case r.number < oldest:
		return sdk.Fatal(fmt.Errorf("the server's version is %s, expected 12 or later", r.version))
	case r.standby:
		return sdk.ConfigError("/dsn", "the server takes no writes: it is a standby, or read-only by default")
	case !r.schema && !s.config.create():
		return sdk.ConfigError("/schema", "there is no schema %q, and create is false", s.config.Schema)
	case !r.schema && !r.make:
		return sdk.ConfigError("/schema", "there is no schema %q, and role %q lacks CREATE on the database to make it", s.config.Schema, r.user)
	case r.schema && !r.use:
		return sdk.ConfigError("/schema", "role %q lacks USAGE on schema %q", r.user, s.config.Schema)
	case !r.temp && s.config.Mode == modeUpsert:
		return sdk.ConfigError("/mode", "role %q lacks TEMP on the database, which upsert stages rows with", r.user)
	}
	return nil
}

func (s *Sink) judgeLedger(ctx context.Context, conn *pgx.Conn, ledger *table.Table, r rights) error {
	switch {
	case ledger.Exists:
	case !s.config.create():
		return sdk.ConfigError("/ledger", "there is no table %s, and create is false: %s", s.ledger.name, oneLine(s.ledger.createSQL()))
	case r.schema && !r.create:
		return sdk.ConfigError("/schema", "role %q lacks CREATE on schema %q to make the ledger: grant it, or somebody else runs: %s", r.user, s.config.Schema, oneLine(s.ledger.createSQL()))
	default:
		return nil
	}
	if err := s.ledger.check(ledger); err != nil {
		return err
	}
	var may bool
	const sql = "select has_table_privilege($1, 'SELECT') and has_table_privilege($1, 'INSERT') and has_table_privilege($1, 'UPDATE')"
	if err := conn.QueryRow(ctx, sql, s.ledger.name.SQL()).Scan(&may); err != nil {
		return err
	}
	if !may {
		return sdk.ConfigError("/ledger", "role %q lacks SELECT, INSERT or UPDATE on table %s", r.user, s.ledger.name)
	}
	return nil
}
