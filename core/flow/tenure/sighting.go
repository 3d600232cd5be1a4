package tenure

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

// sighting is what a waiting runner has seen of an owner. Clocks of machines play no part in it: what counts is how long nothing was
// heard while it looked, and, at the first look only, how old the state database says that the last sign is.
type sighting struct {
	owner  ledger.Owner
	since  time.Time // of the last news, by this process's monotonic clock
	before bool      // it looked before
}

// none says that it has not looked yet.
func (s *sighting) none() bool { return !s.before }

// blind forgets since when nothing was heard, because it could not look.
func (s *sighting) blind() { s.owner = ledger.Owner{} }

// gone takes one look, and says whether the owner is gone.
func (s *sighting) gone(o ledger.Owner, stale time.Duration) bool {
	first := !s.before
	s.before = true
	if first || !o.Same(s.owner) {
		s.owner, s.since = o, time.Now()
	}
	switch fateOf(o.Name) {
	case ended:
		return true
	case unknown:
		if first && o.Silent > stale {
			return true
		}
	case lives: // but it may stand still
	}
	return time.Since(s.since) > stale
}

// Alive says, at one look, whether a flow is run by an owner.
func Alive(o ledger.Owner) bool {
	if o.Name == "" {
		return false
	}
	fate := fateOf(o.Name)
	return fate == lives || fate == unknown && o.Silent <= staleBeats*Heartbeat
}

// Silence says, for people, that an owner has not been heard of for longer than it should; empty if it has.
func Silence(o ledger.Owner) string {
	if o.Silent <= staleBeats*Heartbeat {
		return ""
	}
	return fmt.Sprintf("its runner has given no sign of life for %s", o.Silent.Round(time.Second))
}

// NewOwner names this process among all that could run a flow: host, process id, and what makes both unmistakable, namely where the
// id counts and when the process was started.
func NewOwner() string {
	return fmt.Sprintf("%s/%d/%s-%s-%s", hostname(), os.Getpid(), place(), started(os.Getpid()), strings.ToLower(rand.Text()[:4]))
}

// fate is what is known of a process.
type fate int

const (
	unknown fate = iota
	ended
	lives
)

// fateOf looks for the process of an owner, if it is one of this machine, in the same space of process ids. An id that another
// process has now does not mislead it.
func fateOf(owner string) fate {
	parts := strings.Split(owner, "/")
	if len(parts) != 3 || parts[0] != hostname() {
		return unknown
	}
	pid, err := strconv.Atoi(parts[1])
	marks := strings.Split(parts[2], "-")
	if err != nil || len(marks) != 3 || marks[0] != place() || marks[0] == nowhere {
		return unknown
	}
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return ended
	}
	switch at := started(pid); at {
	case nowhere: // it may be hidden from this user
		return unknown
	case marks[1]:
		return lives
	default:
		return ended
	}
}

// nowhere stands for what the system doesn't tell.
const nowhere = "0"

func hostname() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "unknown"
	}
	return host
}

// place names this boot of the machine and the space of process ids.
func place() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nowhere
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nowhere
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(boot)) + " " + space))
	return hex.EncodeToString(sum[:4])
}

// started is when a process was started, in ticks since boot. A process that has ended, but was not buried yet, has none.
func started(pid int) string {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nowhere
	}
	// After the name, which may hold anything, comes the third field, the state; the time of the start is the 22nd: proc_pid_stat(5).
	name := strings.LastIndexByte(string(stat), ')')
	fields := strings.Fields(string(stat)[name+1:])
	const state, start = 0, 19
	if len(fields) <= start {
		return nowhere
	}
	if strings.ContainsAny(fields[state], "ZX") {
		return "ended"
	}
	return fields[start]
}
