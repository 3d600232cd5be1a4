// Package server makes ordinary connections to PostgreSQL, and says of errors what the runtime may do about them. Connections for
// replication are the source's.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/sdk"
)

// Server is where connections go.
type Server struct{ config *pgx.ConnConfig }

// Parse reads a connection string. Its password is in no error.
func Parse(dsn string) (*Server, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("is no connection string, expected postgres://user:password@host:port/database?sslmode=verify-full: %w", reason(err))
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "qanat"
	}
	return &Server{config: config}, nil
}

// reason is what is wrong, without the string itself.
func reason(err error) error {
	inner := errors.Unwrap(err)
	if _, whole := errors.AsType[*url.Error](err); whole || inner == nil {
		return errors.New("it can't be parsed")
	}
	return inner
}

// Replication is the settings for a connection that streams changes.
func (s *Server) Replication() *pgx.ConnConfig { return s.config.Copy() }

// Database is the database's name.
func (s *Server) Database() string {
	if s.config.Database == "" {
		return s.config.User
	}
	return s.config.Database
}

// Namespace names the server by the OpenLineage rules.
func (s *Server) Namespace() string {
	host := s.config.Host
	if strings.HasPrefix(host, "/") {
		host = "localhost"
	}
	return "postgres://" + net.JoinHostPort(host, strconv.Itoa(int(s.config.Port)))
}

// parameters keep the server from ending a session that reads or waits, and make it refuse to leave out rows by row security in silence.
var parameters = map[string]string{
	"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "row_security": "off", "standard_conforming_strings": "on",
}

// Connect opens a connection whose values package value reads.
func (s *Server) Connect(ctx context.Context) (*pgx.Conn, error) {
	config := s.config.Copy()
	maps.Copy(config.RuntimeParams, value.Session())
	maps.Copy(config.RuntimeParams, parameters)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, Judge(ctx, "connect", err)
	}
	return conn, nil
}

// Close ends a connection whatever has become of it; a nil one is none.
func Close(ctx context.Context, conn *pgx.Conn) {
	if conn != nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // what could go wrong has gone wrong before
	}
}

// Fault is an error of a package that speaks to the server in its own way, replication for instance, and has judged it.
type Fault interface {
	error
	Retryable() bool       // the same may succeed later without anybody's doing
	Unauthenticated() bool // the server refused the role or its password
	Lost() bool            // the connection's end, or the server's
}

// Judge makes an error one of the SDK's.
func Judge(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*sdk.Error](err); done {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
	wrapped := fmt.Errorf("%s: %w", doing, err)
	if e, ok := errors.AsType[Fault](err); ok {
		switch {
		case e.Retryable():
			return sdk.Retryable(wrapped, 0)
		case e.Unauthenticated():
			return sdk.ConfigError("/dsn", "%w", wrapped)
		}
		return sdk.Fatal(wrapped)
	}
	return judgeSQL(wrapped)
}

func judgeSQL(err error) error {
	p, said := errors.AsType[*pgconn.PgError](err)
	switch {
	case said && (p.Code == "28P01" || p.Code == "28000" || p.Code == "3D000"):
		return sdk.ConfigError("/dsn", "%w", err)
	case said && passing(p.Code):
		return sdk.Retryable(err, 0)
	case broken(err):
		return sdk.Retryable(err, 0)
	}
	return err
}

// broken says whether an error is the connection's.
func broken(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded, syscall.ECONNRESET, syscall.EPIPE, pgconn.ErrConnClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}

// passing says whether the same may succeed later: the server ends sessions, is full, or ended this one for another's sake.
func passing(code string) bool {
	switch code {
	case "57P01", "57P02", "57P03", "53300", "40001", "40P01", "55P03", "55006":
		return true
	}
	return strings.HasPrefix(code, "08")
}

// Lost says whether an error is the connection's end and not the server's refusal.
func Lost(err error) bool {
	if e, ok := errors.AsType[Fault](err); ok {
		return e.Lost()
	}
	p, said := errors.AsType[*pgconn.PgError](err)
	return sdk.KindOf(err) == sdk.KindRetryable || said && passing(p.Code) || !said && broken(err)
}
