package bench_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

const lookEvery = 20 * time.Millisecond

// peaks watches the resident memory of a run, and waits for its end. It returns the most that qanat and its plugins had at one time.
func peaks(b *testing.B, running *rig.Running) (core, plugins int64) {
	b.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-running.Done():
			return core, plugins
		case <-tick.C:
		}
		core = max(core, resident(running.PID()))
		var sum int64
		for _, pids := range running.Plugins() {
			for _, pid := range pids {
				sum += resident(pid)
			}
		}
		plugins = max(plugins, sum)
	}
}

// resident is the memory that a process has; 0 if it has ended.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
