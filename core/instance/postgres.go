package instance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
)

// How many connections a process may have, and how long they are kept.
const (
	stateConns    = 16
	stateIdle     = 4
	stateIdleTime = 5 * time.Minute
	dialTimeout   = 10 * time.Second
	// unanswered is how long what was sent may go without a sign that it has arrived. Without a bound, a connection over a way
	// that is gone would hang for a quarter of an hour.
	unanswered = 15 * time.Second
)

// sessionDefaults bound what a connection may do to others; the DSN may set them otherwise. A runner that stands still in the middle
// of a transaction must not keep the one that takes over from it waiting.
var sessionDefaults = map[string]string{
	"application_name":                    "qanat",
	"statement_timeout":                   "30s",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "8s",
}

// searchPath is the setting that names the schema that tables are in.
const searchPath = "search_path"

// OpenPostgres opens a state database on a PostgreSQL server, in a schema that is made if it is missing. A DSN that sets a
// search_path chooses for itself. Tables are made by the packages that own them. The caller closes it.
func OpenPostgres(ctx context.Context, dsn, schema string) (*sql.DB, error) {
	config, err := postgresConfig(dsn)
	if err != nil {
		return nil, err
	}
	own := config.RuntimeParams[searchPath] == ""
	if own {
		config.RuntimeParams[searchPath] = pgx.Identifier{schema}.Sanitize()
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(stateConns)
	db.SetMaxIdleConns(stateIdle)
	db.SetConnMaxIdleTime(stateIdleTime)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("state database %s: %w", place(config), err), db.Close())
	}
	if own {
		if err := makeSchema(ctx, db, schema); err != nil {
			return nil, errors.Join(fmt.Errorf("state database %s: %w", place(config), err), db.Close())
		}
	}
	return db, nil
}

// postgresConfig reads a DSN. Its text, and what the library says of it, may hold a password and appear in no error.
func postgresConfig(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("state: the dsn can't be read, or a file that it names: expected " +
			"postgres://user:password@host:port/database?sslmode=verify-full, or host=… user=… password=… dbname=…")
	}
	for name, value := range sessionDefaults {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = dialTimeout
	}
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: unanswered / 3, Interval: unanswered / 3, Count: 2},
		Control:         boundUnanswered,
	}
	config.DialFunc = dialer.DialContext
	return config, nil
}

func boundUnanswered(network, _ string, conn syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failure error
	err := conn.Control(func(fd uintptr) {
		failure = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unanswered.Milliseconds()))
	})
	return errors.Join(err, failure)
}

// place names the database for people, without a password.
func place(config *pgx.ConnConfig) string {
	return fmt.Sprintf("%q on %s as %q", config.Database, net.JoinHostPort(config.Host, fmt.Sprint(config.Port)), config.User)
}

// stateLock is what processes that start at the same time wait for before they make what is missing.
const stateLock = 0x71616e6174

// makeSchema makes the schema if it is missing, which takes a right that few have: "create schema if not exists" would need it always.
func makeSchema(ctx context.Context, db *sql.DB, schema string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock($1)`, stateLock); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRowContext(ctx, `select exists (select from pg_namespace where nspname = $1)`, schema).Scan(&there); err != nil {
		return err
	}
	if there {
		return nil
	}
	quoted := pgx.Identifier{schema}.Sanitize()
	if _, err := tx.ExecContext(ctx, "create schema "+quoted); err != nil {
		const insufficientPrivilege = "42501"
		if failure, ok := errors.AsType[*pgconn.PgError](err); ok && failure.Code == insufficientPrivilege {
			return fmt.Errorf("make schema %s: %w; somebody who may has to: create schema %s authorization <this user>", quoted, err, quoted)
		}
		return fmt.Errorf("make schema %s: %w", quoted, err)
	}
	return tx.Commit()
}

// postgresPlace names the database and schema that a DSN leads to, so that two can be compared.
func postgresPlace(dsn, schema string) (string, error) {
	config, err := postgresConfig(dsn)
	if err != nil {
		return "", err
	}
	hosts := []string{net.JoinHostPort(config.Host, fmt.Sprint(config.Port))}
	for _, other := range config.Fallbacks {
		hosts = append(hosts, net.JoinHostPort(other.Host, fmt.Sprint(other.Port)))
	}
	slices.Sort(hosts)
	path := config.RuntimeParams[searchPath]
	if path == "" {
		path = schema
	}
	return strings.Join(slices.Compact(hosts), ",") + "/" + config.Database + "/" + path, nil
}
