package strict

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Usage is what a process takes of the machine, from proc(5).
type Usage struct {
	Resident int64 // bytes
	Threads  int
	Files    int // open descriptors
}

// Usage reads what the process takes now.
func (p *Process) Usage() (Usage, error) {
	folder := fmt.Sprintf("/proc/%d", p.child.pid)
	var u Usage
	raw, err := os.ReadFile(folder + "/statm") //nolint:gosec // a file of the kernel
	if err != nil {
		return u, err
	}
	fields := bytes.Fields(raw)
	if len(fields) < 2 {
		return u, fmt.Errorf("%s/statm: %q", folder, raw)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return u, err
	}
	u.Resident = pages * int64(os.Getpagesize())
	threads, err := os.ReadDir(folder + "/task")
	if err != nil {
		return u, err
	}
	files, err := os.ReadDir(folder + "/fd")
	u.Threads, u.Files = len(threads), len(files)
	return u, err
}
