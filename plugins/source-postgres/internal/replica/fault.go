package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// Kind is what went wrong.
type Kind string

// The kinds. Retryable says which of them pass by themselves.
const (
	SlotMissing        Kind = "slot missing"
	SlotExists         Kind = "slot exists"
	SlotInUse          Kind = "slot in use"           // Error.PID holds it
	SlotLost           Kind = "slot lost"             // the server removed log that the slot needs: wal_status is lost
	SlotForeign        Kind = "slot of another kind"  // of another database or output plugin
	NoSlotFree         Kind = "no slot free"          // max_replication_slots
	PositionGone       Kind = "position gone"         // the slot stands behind the position, or the log ends before it
	PublicationMissing Kind = "publication missing"   // now, or at the position: a slot sees the catalogue as it was
	WALLevelTooLow     Kind = "wal_level too low"     // logical decoding needs wal_level=logical
	NoPermission       Kind = "no permission"         // the role lacks REPLICATION, or pg_hba.conf has no entry
	Unauthenticated    Kind = "not authenticated"     // a wrong password, for instance
	OtherSystem        Kind = "other system"          // another database cluster answers
	OtherTimeline      Kind = "other timeline"        // the cluster was promoted or restored since
	ShuttingDown       Kind = "server shutting down"  // or starting, or it ended the session
	ConnectionLost     Kind = "connection lost"       // or not made
	Busy               Kind = "server busy"           // max_wal_senders or max_connections
	NotReceived        Kind = "position not received" // Confirm beyond what was handed out
	SnapshotHeld       Kind = "snapshot held"         // a command would end the snapshot that the connection exports
)

// Retryable says whether the same may succeed later without anybody's doing.
func (k Kind) Retryable() bool {
	return k == SlotInUse || k == ShuttingDown || k == ConnectionLost || k == Busy
}

// Error is a fault that callers act on by its kind.
type Error struct {
	Kind Kind
	Slot string
	PID  int          // SlotInUse: the server process that uses it; zero if it is gone by now
	At   pgoutput.LSN // PositionGone: where the slot stands; NotReceived: how far the stream was handed out
	text string
	err  error
}

// Retryable says whether the same may succeed later without anybody's doing.
func (e *Error) Retryable() bool { return e.Kind.Retryable() }

// Unauthenticated says whether the server refused the role or its password.
func (e *Error) Unauthenticated() bool { return e.Kind == Unauthenticated }

// Lost says whether this is the connection's end, or the server's.
func (e *Error) Lost() bool {
	return e.Kind == ConnectionLost || e.Kind == ShuttingDown || e.Kind == Busy
}

// Error implements error.
func (e *Error) Error() string {
	if e.err != nil {
		return e.text + ": " + e.err.Error()
	}
	return e.text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.err }

// KindOf is the kind of an error of this package, or empty.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

func fault(kind Kind, slot, format string, args ...any) *Error {
	return &Error{Kind: kind, Slot: slot, text: fmt.Sprintf(format, args...)}
}

// judge gives an error its kind. What has none is wrapped as it is.
func judge(ctx context.Context, err error, slot, doing string) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*Error](err); done {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
	kind := kindOf(err)
	if kind == "" {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &Error{Kind: kind, Slot: slot, text: doing, err: err}
}

func kindOf(err error) Kind {
	if p, ok := errors.AsType[*pgconn.PgError](err); ok {
		return kindOfCode(p)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return ConnectionLost
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return ConnectionLost
	}
	for _, lost := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded, syscall.ECONNRESET, syscall.EPIPE, pgconn.ErrConnClosed} {
		if errors.Is(err, lost) {
			return ConnectionLost
		}
	}
	return ""
}

// kindOfCode goes by SQLSTATE. Where one code has several meanings, checks before the command tell them apart, and what is left here
// is what slipped in between.
func kindOfCode(p *pgconn.PgError) Kind {
	switch p.Code {
	case "57P01", "57P02", "57P03":
		return ShuttingDown
	case "53300":
		return Busy
	case "53400":
		return NoSlotFree
	case "42501", "28000":
		return NoPermission
	case "28P01":
		return Unauthenticated
	case "55006":
		return SlotInUse
	case "42710":
		return SlotExists
	case "58P01":
		return PositionGone
	}
	if strings.HasPrefix(p.Code, "08") {
		return ConnectionLost
	}
	return ""
}
