package ledger

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// Busy says that the state database could not serve for reasons that may pass: it was locked for longer than a statement waits,
// two transactions got in each other's way, or the connection was lost or could not be made.
func Busy(err error) bool {
	if failure, ok := errors.AsType[*sqlite.Error](err); ok {
		const busy, locked = 5, 6 // https://sqlite.org/rescode.html
		return failure.Code()&0xff == busy || failure.Code()&0xff == locked
	}
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return passing(failure.Code)
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}

// passing classes and codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
func passing(code string) bool {
	if len(code) < 2 {
		return false
	}
	// Connections, serialisation and deadlocks, resources, and a server that shuts down, starts, or cancels what takes too long.
	if slices.Contains([]string{"08", "40", "53", "57"}, code[:2]) {
		return true
	}
	// A lock that was waited for too long, a transaction that was idle too long, and a server that has become a standby.
	return slices.Contains([]string{"55P03", "25P03", "25006"}, code)
}
