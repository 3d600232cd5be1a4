package broker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Callers act on these with errors.Is.
var (
	// ErrFenced means that another publisher has written to the log since:
	// this one is a zombie and must not go on.
	ErrFenced = errors.New("fenced out of the log by another publisher")
	// ErrClosed means that the publisher, reader or connection was closed.
	ErrClosed = errors.New("broker connection, publisher or reader is closed")
	// ErrLogNotFound means that the log was deleted or never created.
	ErrLogNotFound = errors.New("log does not exist")
	// ErrLogCutBack means that the log ends before what it once held: messages
	// that the server had confirmed are gone (power loss, restored backup).
	ErrLogCutBack = errors.New("log ends before messages that it had confirmed")
	// ErrFrameTooLarge means that a frame could never pass the log whole.
	ErrFrameTooLarge = errors.New("frame is larger than the log can pass")
	// ErrStalled means that the server kept answering without taking messages.
	ErrStalled = errors.New("log takes no messages")
)

// GapError reports stream sequences that were purged before the reader came to
// them. The reader goes on behind the gap.
type GapError struct {
	First, Last uint64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("log sequences %d to %d were purged before they were read", e.First, e.Last)
}

// Codes of the server that nats.go has no constants for.
const (
	codeAccountResources = 10002
	codeServerResources  = 10023
	codeStoreFailed      = 10077
	textMaxBytes         = "maximum bytes exceeded"
)

// isFull tells a log without room, which a purge ends, from other refusals.
func isFull(e *jetstream.APIError) bool {
	switch e.ErrorCode {
	case codeAccountResources, codeServerResources:
		return true
	case codeStoreFailed:
		return strings.Contains(e.Description, textMaxBytes)
	default:
		return false
	}
}

// isShared tells a full server or account, which others fill too, from a full log.
func isShared(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (e.ErrorCode == codeAccountResources || e.ErrorCode == codeServerResources)
}

// final maps errors that no retry mends to the package's own, and the others to nil.
func final(err error) error {
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, ErrLogNotFound), errors.Is(err, ErrLogCutBack):
		return err
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, jetstream.ErrConnectionClosed):
		return ErrClosed
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return ErrLogNotFound
	default:
		return nil
	}
}
