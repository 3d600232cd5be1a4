package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/server"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
)

// oldest is the oldest version of the server that is supported.
const oldest = 120000

// Test implements sdk.Tester.
func (s *Source) Test(ctx context.Context) (string, error) {
	conn, err := s.server.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer server.Close(ctx, conn)
	tables, err := s.find(ctx, conn)
	if err != nil {
		return "", server.Judge(ctx, "test", err)
	}
	var version, user string
	var number int
	const sql = "select current_setting('server_version'), current_setting('server_version_num')::int, current_user::text"
	if err := conn.QueryRow(ctx, sql).Scan(&version, &number, &user); err != nil {
		return "", server.Judge(ctx, "test", err)
	}
	if number < oldest {
		return "", sdk.Fatal(fmt.Errorf("the server's version is %s, expected 12 or later", version))
	}
	var rows int64
	for _, t := range tables {
		rows += t.Rows
	}
	secured := "without TLS"
	if tls := s.server.Replication().TLSConfig; tls != nil {
		secured = "with TLS if the server has it"
	}
	summary := fmt.Sprintf("PostgreSQL %s, database %s, role %s, %s: %d tables, about %d rows", version, s.server.Database(), user, secured, len(tables), rows)
	if s.config.Mode != position.CDC {
		return summary, s.readable(ctx, conn, tables)
	}
	more, err := s.testCDC(ctx, conn)
	return summary + "; " + more, server.Judge(ctx, "test", errors.Join(s.readable(ctx, conn, tables), err))
}

// readable tries to select nothing from each table: rights to single columns, and row security, show only there.
func (s *Source) readable(ctx context.Context, conn *pgx.Conn, tables []*table) error {
	var faults []error
	for _, t := range tables {
		if _, err := conn.Exec(ctx, "select "+t.SelectSQL()+" from "+t.From()+t.Where()+" limit 0"); err != nil {
			faults = append(faults, fmt.Errorf("table %s can't be read: %w", t, err))
		}
	}
	return errors.Join(faults...)
}

// testCDC looks at what change data capture needs besides.
func (s *Source) testCDC(ctx context.Context, conn *pgx.Conn) (string, error) {
	var level string
	var replicates bool
	const sql = "select current_setting('wal_level'), (select rolreplication or rolsuper from pg_roles where rolname = current_user)"
	if err := conn.QueryRow(ctx, sql).Scan(&level, &replicates); err != nil {
		return "", err
	}
	var faults []error
	if level != "logical" {
		faults = append(faults, fmt.Errorf("the server's wal_level is %q, and change data capture needs wal_level = logical and a restart", level))
	}
	if !replicates {
		faults = append(faults, errors.New("the role lacks REPLICATION: alter role … replication"))
	}
	actions, err := s.PlanProvision(ctx, sdk.ProvisionRequest{})
	faults = append(faults, err)
	var plans []string
	for _, a := range actions {
		plans = append(plans, a.Object+": "+a.Description)
		if strings.HasPrefix(a.Object, "publication") {
			faults = append(faults, s.mayPublish(ctx, conn))
		}
	}
	if len(plans) == 0 {
		plans = []string{"slot and publication are there"}
	}
	if errors.Join(faults...) == nil {
		faults = append(faults, s.tryReplication(ctx))
	}
	return strings.Join(plans, "; "), errors.Join(faults...)
}

func (s *Source) mayPublish(ctx context.Context, conn *pgx.Conn) error {
	var creates bool
	if err := conn.QueryRow(ctx, "select has_database_privilege(current_database(), 'create')").Scan(&creates); err != nil || creates {
		return err
	}
	return errors.New("the role lacks CREATE on the database, which making a publication needs: grant it, or have the publication made by the tables' owner and say create: false")
}

// tryReplication opens a connection for replication, which pg_hba.conf may refuse.
func (s *Source) tryReplication(ctx context.Context) error {
	conn, err := replica.Connect(ctx, s.server.Replication())
	if err != nil {
		return err
	}
	_, err = conn.IdentifySystem(ctx)
	return errors.Join(err, conn.Close(ctx))
}
