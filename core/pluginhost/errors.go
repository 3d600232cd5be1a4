package pluginhost

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/qanat-data/qanat/core/pluginhost/process"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// CrashError says that a plugin's process ended on its own.
type CrashError = process.CrashError

// StartError says that a process did not become a plugin.
type StartError = process.StartError

// DeadlineError says that a plugin was killed because it was late.
type DeadlineError = process.DeadlineError

// MemoryError says that a plugin was killed because it took too much memory.
type MemoryError = process.MemoryError

// ErrClosed is what calls of a closed handle return.
var ErrClosed = process.ErrClosed

// ProtocolError says that a plugin sent what it must not send. It is a defect of the plugin: trying again won't help.
type ProtocolError struct {
	Kind   string
	Name   string
	Detail string
}

// Error implements error.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("%s plugin %q broke the plugin protocol: %s", e.Kind, e.Name, e.Detail)
}

// maxMessage is the length at which texts of a plugin are cut.
const maxMessage = 16 << 10

func cut(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + "…"
}

// sdkError is the typed error that a plugin sent.
func sdkError(frame *pluginv1.Error) *sdk.Error {
	const day = 24 * time.Hour
	out := &sdk.Error{
		Kind: sdk.KindFatal, Err: errors.New(cut(frame.GetMessage())),
		After: time.Duration(min(max(frame.GetRetryAfterMs(), 0), day.Milliseconds())) * time.Millisecond,
	}
	switch frame.GetCode() {
	case pluginv1.Error_CODE_RETRYABLE:
		out.Kind = sdk.KindRetryable
	case pluginv1.Error_CODE_RATE_LIMITED:
		out.Kind = sdk.KindRateLimited
	case pluginv1.Error_CODE_CONFIG:
		out.Kind, out.Path = sdk.KindConfig, cut(frame.GetPath())
	case pluginv1.Error_CODE_FENCED:
		out.Kind = sdk.KindFenced
	}
	return out
}

// from wraps an error that a plugin reported with the plugin's kind and name.
func (i Instance) from(err error) error {
	return fmt.Errorf("%s plugin %q: %w", i.Kind, i.Plugin, err)
}

func (i Instance) violation(format string, args ...any) error {
	return &ProtocolError{Kind: string(i.Kind), Name: i.Plugin, Detail: cut(fmt.Sprintf(format, args...))}
}

func (i Instance) late(call string, after time.Duration) error {
	return &DeadlineError{Kind: string(i.Kind), Name: i.Plugin, Call: call, After: after}
}
