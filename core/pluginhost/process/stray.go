package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// scratchVariable has the scratch folder, which is an instance's own. Whatever a plugin starts inherits it, also in a session of its
// own, where a kill of the group does not reach.
const scratchVariable = "TMPDIR="

// sweeps bounds the hunt for processes that fork faster than they are found.
const sweeps = 20

// EndStrays kills the processes of this user that were started with a scratch folder equal to or below a path. Those that have
// another environment and whose parents are gone can't be told from others'; see core/pluginhost/DESIGN.md.
func EndStrays(scratch string) {
	if !filepath.IsAbs(scratch) || filepath.Dir(scratch) == scratch {
		return // this would be everybody's
	}
	for range sweeps {
		found := strays(scratch)
		for _, pid := range found {
			end(pid, func() bool { return startedIn(pid, scratch) })
		}
		if len(found) == 0 {
			return
		}
	}
}

// end kills a process if it still is what it was taken for: its number may have become another's meanwhile.
func end(pid int, still func() bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if still() {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// killTree kills the group of a process and those of its descendants that have left it, as long as their parents live.
func killTree(leader int) {
	below := descendants(leader)
	killGroup(leader)
	endAll(below)
}

func endAll(processes map[int]seen) {
	for pid, before := range processes {
		end(pid, func() bool {
			now, ok := look(pid)
			return ok && now.started == before.started
		})
	}
}

// strays reads proc(5).
func strays(scratch string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !startedIn(pid, scratch) {
			continue
		}
		found = append(found, pid)
	}
	return found
}

// startedIn says whether a process runs and was started with the scratch folder. A zombie has no environment any more, another
// user's can't be read.
func startedIn(pid int, scratch string) bool {
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		folder, ok := strings.CutPrefix(string(variable), scratchVariable)
		if ok && (folder == scratch || strings.HasPrefix(folder, scratch+"/")) {
			return true
		}
	}
	return false
}

// seen is what tells a process from another that has had the same number.
type seen struct {
	parent  int
	started string // in clock ticks since the system started
}

// descendants are the processes below one.
func descendants(leader int) map[int]seen {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	all, children := map[int]seen{}, map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := look(pid); ok {
			all[pid] = p
			children[p.parent] = append(children[p.parent], pid)
		}
	}
	below := map[int]seen{}
	for next := children[leader]; len(next) > 0; next = next[1:] {
		pid := next[0]
		if _, again := below[pid]; !again {
			below[pid] = all[pid]
			next = append(next, children[pid]...)
		}
	}
	return below
}

// look reads the 4th and the 22nd field of proc(5)'s stat. The 2nd is a name, in which anything may stand.
func look(pid int) (seen, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return seen{}, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return seen{}, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return seen{parent: parent, started: string(fields[19])}, err == nil
}
