package process

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// CrashError says that a plugin process ended on its own while it was needed.
type CrashError struct {
	Kind       string
	Name       string
	ExitStatus int            // -1 if a signal ended it
	Signal     syscall.Signal // 0 if it exited
	LastLog    []string       // the last lines that it wrote, or the beginning of its panic
}

// Error implements error.
func (e *CrashError) Error() string {
	how := fmt.Sprintf("exited with status %d", e.ExitStatus)
	if e.Signal != 0 {
		how = fmt.Sprintf("was ended by signal %d (%v)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("%s plugin %q %s%s", e.Kind, e.Name, how, lastLog(e.LastLog))
}

// StartError says that a process did not become a plugin.
type StartError struct {
	Kind    string
	Name    string
	Err     error
	LastLog []string
}

// Error implements error.
func (e *StartError) Error() string {
	return fmt.Sprintf("%s plugin %q did not start: %v%s", e.Kind, e.Name, e.Err, lastLog(e.LastLog))
}

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }

// MemoryError says that a process was killed because it took more memory than its limit.
type MemoryError struct {
	Kind  string
	Name  string
	Limit int64 // bytes
	Used  int64 // resident bytes when it was killed
}

// Error implements error.
func (e *MemoryError) Error() string {
	const mib = 1 << 20
	return fmt.Sprintf("%s plugin %q was killed: it took %d MiB of memory, its limit is %d MiB", e.Kind, e.Name, e.Used/mib, e.Limit/mib)
}

// DeadlineError says that a plugin was killed because it did not answer in time.
type DeadlineError struct {
	Kind  string
	Name  string
	Call  string
	After time.Duration
}

// Error implements error.
func (e *DeadlineError) Error() string {
	return fmt.Sprintf("%s plugin %q was killed: it did not answer %q within %v", e.Kind, e.Name, e.Call, e.After)
}

func lastLog(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "; its last words:\n  " + strings.Join(lines, "\n  ")
}
