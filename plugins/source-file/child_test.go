package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/sdk"
)

// readerRole makes the test binary read once with the settings that the variable has, and say what came of it.
const readerRole = "SOURCE_FILE_TEST_READER"

// outcome is what a child says.
type outcome struct {
	Rows    int64
	Rejects []string // as the helper rejects gives them
	Raw     []int    // lengths of what was kept of the rejected records
	Error   string
	Peak    int64 // of the process's resident memory
}

// readAsChild keeps no rows, as a runtime that is quick enough would not.
func readAsChild(settings string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var c Config
	fail(json.Unmarshal([]byte(settings), &c))
	s, err := New(context.Background(), c, sdk.Env{Log: hclog.NewNullLogger(), Alloc: memory.NewGoAllocator()})
	fail(err)
	rec := &counter{}
	err = s.Read(context.Background(), sdk.ReadRequest{}, rec)
	out := outcome{Rows: rec.rows, Rejects: rejects(&rec.Recorder)}
	for _, r := range rec.Rejections {
		out.Raw = append(out.Raw, len(r.Raw))
	}
	if err != nil {
		out.Error = err.Error()
	}
	out.Peak, err = peak()
	fail(err)
	fail(json.NewEncoder(os.Stdout).Encode(out))
	os.Exit(0)
}

// peak is the process's largest resident memory so far; see proc(5) on VmHWM.
func peak() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) > 1 && string(fields[0]) == "VmHWM:" {
			kib, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("there is no VmHWM")
}

// readInChild reads a file in a process of its own, whose memory is nobody else's. A read that does not end is killed.
func readInChild(t *testing.T, name string, content []byte, settings string) outcome {
	t.Helper()
	path := write(t, filepath.Join(t.TempDir(), name), content)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), fmt.Sprintf(`%s={"path": %q, "stream": "a"%s}`, readerRole, path, settings))
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.Output()
	if err != nil {
		t.Fatalf("the child: %v: %.2000s", err, stderr.Bytes())
	}
	var got outcome
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("the child said %q: %v", out, err)
	}
	return got
}
