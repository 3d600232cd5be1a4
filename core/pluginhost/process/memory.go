package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

const memoryInterval = 200 * time.Millisecond

// watchMemory kills the process when its resident memory passes the limit. An address space limit would be no use: Go reserves
// far more than it takes.
func (c *child) watchMemory(pid int) {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	for {
		select {
		case <-c.exited:
			return
		case <-tick.C:
		}
		used, err := resident(pid)
		if err == nil && used > c.spec.MemoryLimit {
			c.kill(&MemoryError{Kind: c.spec.Kind, Name: c.spec.Name, Limit: c.spec.MemoryLimit, Used: used})
		}
	}
}

// resident reads the second field of proc(5)'s statm: pages in memory.
func resident(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(raw)
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm of process %d: %q", pid, raw)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
