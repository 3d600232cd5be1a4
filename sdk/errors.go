package sdk

import (
	"errors"
	"fmt"
	"time"
)

// ErrorKind says what the runtime may do about an error.
type ErrorKind int

// The kinds of errors. An error that is none of these is KindFatal.
const (
	KindFatal       ErrorKind = iota + 1 // trying again won't help
	KindRetryable                        // trying again after a while may help
	KindRateLimited                      // the other side asked to wait
	KindConfig                           // a setting is wrong
	KindFenced                           // a newer writer has taken over
)

// Error is an error with a kind. Make one with the functions of this package.
type Error struct {
	Kind  ErrorKind
	After time.Duration // how long to wait; 0 leaves it to the runtime
	Path  string        // JSON pointer to the setting, for KindConfig
	Err   error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Kind == KindConfig && e.Path != "" {
		return fmt.Sprintf("setting %q: %v", e.Path, e.Err)
	}
	return e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retryable marks a fault that may go away: a broken connection, a server that restarts. after is the least time to wait, 0 for
// the runtime's back-off.
func Retryable(err error, after time.Duration) error {
	return &Error{Kind: KindRetryable, After: after, Err: err}
}

// RateLimited marks a refusal that ends at a known time.
func RateLimited(err error, until time.Time) error {
	return &Error{Kind: KindRateLimited, After: max(0, time.Until(until)), Err: err}
}

// Fatal marks a fault that trying again won't mend. It is what unmarked errors are taken for.
func Fatal(err error) error { return &Error{Kind: KindFatal, Err: err} }

// ConfigError blames a setting by its JSON pointer ("/path", "/tables/0").
func ConfigError(path, format string, args ...any) error {
	return &Error{Kind: KindConfig, Path: path, Err: fmt.Errorf(format, args...)}
}

// Fenced says that a newer epoch has begun.
func Fenced(current uint64) error {
	return &Error{Kind: KindFenced, Err: fmt.Errorf("a newer writer with epoch %d has taken over", current)}
}

// KindOf is the kind of an error; KindFatal if it has none.
func KindOf(err error) ErrorKind {
	if typed, ok := errors.AsType[*Error](err); ok {
		return typed.Kind
	}
	return KindFatal
}
