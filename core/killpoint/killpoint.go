// Package killpoint names the places where a crash could hurt, and makes the process die there when a crash test asks for it: as by
// kill -9, without a word to anybody. Names are said once, at the place; a trace of an undisturbed run lists those that a run passes.
package killpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

const (
	// atVariable chooses where to die, and on which pass: QANAT_KILL_AT=before-ledger:3.
	atVariable = "QANAT_KILL_AT"
	// traceVariable names a file that gets the name of each point that is passed, a line each.
	traceVariable = "QANAT_KILL_TRACE"
)

var (
	chosen, passes = parse(os.Getenv(atVariable))
	trace          = open(os.Getenv(traceVariable))
)

func parse(s string) (string, *atomic.Int64) {
	name, pass, _ := strings.Cut(s, ":")
	n, err := strconv.ParseInt(pass, 10, 64)
	if err != nil {
		n = 1
	}
	left := &atomic.Int64{}
	left.Store(n)
	return name, left
}

func open(path string) *os.File {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // named by whoever runs the crash test
	if err != nil {
		return nil
	}
	return file
}

// Here dies if the point was chosen and this is the pass to die on.
func Here(name string) {
	if trace != nil {
		_, _ = trace.WriteString(name + "\n")
	}
	if name != chosen || passes.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
