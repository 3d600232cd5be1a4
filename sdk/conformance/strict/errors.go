package strict

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Violation says that a plugin sent what the protocol does not allow.
type Violation struct{ Detail string }

// Error implements error.
func (e *Violation) Error() string { return "it broke the protocol: " + e.Detail }

func violation(format string, args ...any) error {
	return &Violation{Detail: fmt.Sprintf(format, args...)}
}

// Crash says that a process ended while it was needed.
type Crash struct {
	How  string
	Last []string // the last lines that it wrote, or the beginning of its panic
}

// Error implements error.
func (e *Crash) Error() string {
	text := "the process " + e.How
	if len(e.Last) > 0 {
		text += "; its last words:\n" + strings.Join(e.Last, "\n")
	}
	return text
}

// StartError says that a process did not become a plugin.
type StartError struct {
	Binary string
	Err    error
	Last   []string
}

// Error implements error.
func (e *StartError) Error() string {
	text := fmt.Sprintf("%s did not start as a plugin: %v", e.Binary, e.Err)
	if len(e.Last) > 0 {
		text += "; its last words:\n" + strings.Join(e.Last, "\n")
	}
	return text
}

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }

// Late says that an answer did not come in time.
type Late struct {
	Call  string
	Limit time.Duration
}

// Error implements error.
func (e *Late) Error() string { return fmt.Sprintf("no answer to %q within %v", e.Call, e.Limit) }

// Reported says whether an error is one that the plugin reported in words, as it should.
func Reported(err error) bool {
	_, ok := errors.AsType[*sdk.Error](err)
	return ok
}

// reported is the typed error that a plugin sent.
func reported(frame *pluginv1.Error) error {
	kinds := map[pluginv1.Error_Code]sdk.ErrorKind{
		pluginv1.Error_CODE_FATAL: sdk.KindFatal, pluginv1.Error_CODE_RETRYABLE: sdk.KindRetryable,
		pluginv1.Error_CODE_RATE_LIMITED: sdk.KindRateLimited, pluginv1.Error_CODE_CONFIG: sdk.KindConfig,
		pluginv1.Error_CODE_FENCED: sdk.KindFenced,
	}
	kind, ok := kinds[frame.GetCode()]
	switch {
	case !ok:
		return violation("an error of unknown code %d: %q", frame.GetCode(), frame.GetMessage())
	case frame.GetMessage() == "":
		return violation("an error of code %v without a message", frame.GetCode())
	}
	return &sdk.Error{
		Kind: kind, Path: frame.GetPath(), Err: errors.New(frame.GetMessage()), After: time.Duration(frame.GetRetryAfterMs()) * time.Millisecond,
	}
}
