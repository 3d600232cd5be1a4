package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

// growing is a pipeline of any number of rows.
const growing = `kind: pipeline
name: growing
source:
  plugin: generator
  config: {stream: events, rows: %d}
landing:
  dataset: landing.growing.{stream}
  commit: {rows: 250000}
flows:
- name: clean
  from: [landing.growing.events]
  transforms:
  - plugin: fields
    config: {steps: [{drop: [name]}]}
  to: processing.growing.events
  commit: {rows: 250000}
`

// mostMemory is what the core may have resident.
const mostMemory = 600 << 20

// The long run is of the slow part. What grows with the rows would be ten times as much; how the collector gets along with a busy
// machine accounts for the rest.
func TestMemoryOfTheCoreStaysFlatOverARunTenTimesAsLong(t *testing.T) {
	t.Parallel()
	const rows = 1_000_000
	short := peakOf(t, rows)
	t.Logf("peak resident memory of qanat over %d rows: %d MiB", rows, short>>20)
	if short > mostMemory {
		t.Errorf("%d MiB are resident, allowed are %d MiB", short>>20, mostMemory>>20)
	}
	if !slow() {
		return
	}
	long := peakOf(t, 10*rows)
	t.Logf("peak resident memory of qanat over %d rows: %d MiB", 10*rows, long>>20)
	if allowed := min(short+short/2, mostMemory); long > allowed {
		t.Errorf("it grew from %d MiB to %d MiB, allowed are %d MiB", short>>20, long>>20, allowed>>20)
	}
}

// peakOf is the most memory that qanat itself has had resident while it ran, without its plugins.
func peakOf(t *testing.T, rows int) int64 {
	t.Helper()
	p := rig.New(t, "crash")
	p.Env = append(p.Env, "QANAT_TEST_PLUGINS=none")
	for _, file := range []string{"pipelines", "overlays"} {
		if err := os.RemoveAll(filepath.Join(p.Dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(p.Dir, "pipelines"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.Dir, "pipelines", "growing.yaml"), fmt.Appendf(nil, growing, rows), 0o600); err != nil {
		t.Fatal(err)
	}
	running := p.Start("run", "growing")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var peak int64
	for {
		select {
		case <-running.Done():
			if end := running.Wait(); end.Code != 0 {
				t.Fatalf("exit %d\n%s", end.Code, end.Err)
			}
			return peak
		case <-tick.C:
			peak = max(peak, residentPeak(running.PID()))
		}
	}
}

// residentPeak is VmHWM of /proc/PID/status (proc(5)), 0 if the process has ended.
func residentPeak(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
