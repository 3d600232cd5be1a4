// Package killpoint names the places where a crash could hurt, and makes the process die there when a crash test asks for it: as by
// kill -9, without a word to anybody. Or it makes the process stand still there, as one that was swapped out or whose machine slept,
// until somebody sends it SIGCONT. Names are said once, at the place; a trace of an undisturbed run lists those that a run passes.
package killpoint

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// killVariable chooses where to die, and on which pass: QANAT_KILL_AT=before-ledger:3. Several places are separated by commas.
	killVariable = "QANAT_KILL_AT"
	// stopVariable chooses in the same way where to stand still.
	stopVariable = "QANAT_STOP_AT"
	// traceVariable names a file that gets the name of each point that is passed, a line each.
	traceVariable = "QANAT_KILL_TRACE"
)

var (
	toKill = choose(os.Getenv(killVariable))
	toStop = choose(os.Getenv(stopVariable))
	trace  = open(os.Getenv(traceVariable))

	passing sync.Mutex // guards the trace and the counts of passes
)

// choice is a point, and how many passes are left until it is due.
type choice struct {
	name   string
	passes int64
}

type choices []*choice

func choose(list string) choices {
	var all choices
	for part := range strings.SplitSeq(list, ",") {
		name, pass, _ := strings.Cut(part, ":")
		n, err := strconv.ParseInt(pass, 10, 64)
		if err != nil {
			n = 1
		}
		all = append(all, &choice{name: name, passes: n})
	}
	return all
}

// due counts the pass, and says whether it is one that was chosen.
func (all choices) due(name string) bool {
	due := false
	for _, c := range all {
		if name == c.name {
			c.passes--
			due = due || c.passes == 0
		}
	}
	return due
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

// Here dies or stands still if the point was chosen and this is the pass for it.
func Here(name string) {
	if pass(name) {
		stop()
	}
}

// pass dies, or says whether to stand still. Passes are one after the other, in the order of the trace: nobody passes a point while
// the process dies.
func pass(name string) bool {
	passing.Lock()
	defer passing.Unlock()
	if trace != nil {
		_, _ = trace.WriteString(name + "\n")
	}
	if toKill.due(name) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return toStop.due(name)
}

// stop signals its own thread, which is in the kernel at that moment: it does not come back before SIGCONT. The other threads of the
// process stop with it, each where it is.
func stop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP)
}
