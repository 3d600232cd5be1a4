package killpoint_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/qanat-data/qanat/core/killpoint"
)

// childVariable makes the test's binary a process that passes points: "once" by one goroutine, "many" by many at once.
const childVariable = "QANAT_KILLPOINT_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "once":
		for range 3 {
			killpoint.Here("one")
			killpoint.Here("two")
		}
		os.Exit(0)
	case "many":
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for range 100 {
					killpoint.Here("one")
				}
			})
		}
		all.Wait()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child passes the points one and two three times.
func child(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), childVariable+"=once"), env...)
	return cmd
}

func waited(t *testing.T, cmd *exec.Cmd) syscall.WaitStatus {
	t.Helper()
	_ = cmd.Wait() // what matters is the status
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		t.Fatalf("no wait status but %T", cmd.ProcessState.Sys())
	}
	return status
}

func TestHereDiesOnThePassThatWasChosen(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{
		"two:2": "one\ntwo\none\ntwo\n", "one": "one\n", "two:3,one:2": "one\ntwo\none\n", "one:4": "one\ntwo\none\ntwo\none\ntwo\n",
	} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			trace := filepath.Join(t.TempDir(), "trace")
			cmd := child(t, "QANAT_KILL_AT="+at, "QANAT_KILL_TRACE="+trace)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			status := waited(t, cmd)
			if lives := at == "one:4"; lives != status.Exited() || !lives && status.Signal() != syscall.SIGKILL {
				t.Errorf("it ended with %v", status)
			}
			if got, err := os.ReadFile(trace); err != nil || string(got) != want {
				t.Errorf("it passed %q, expected %q (%v)", got, want, err)
			}
		})
	}
}

func TestNobodyPassesAPointWhileTheProcessDies(t *testing.T) {
	t.Parallel()
	for range 10 {
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := child(t, childVariable+"=many", "QANAT_KILL_AT=one:700", "QANAT_KILL_TRACE="+trace)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if status := waited(t, cmd); status.Exited() || status.Signal() != syscall.SIGKILL {
			t.Errorf("it ended with %v", status)
		}
		if got, err := os.ReadFile(trace); err != nil || strings.Count(string(got), "\n") != 700 {
			t.Errorf("%d passes, expected 700 (%v)", strings.Count(string(got), "\n"), err)
		}
	}
}

func TestHereStandsStillUntilItIsWoken(t *testing.T) {
	t.Parallel()
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := child(t, "QANAT_STOP_AT=two:1,one:3", "QANAT_KILL_TRACE="+trace)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one\ntwo\n", "one\ntwo\none\ntwo\none\n"} {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Fatalf("it does not stand still: %v, %v", status, err)
		}
		if got, err := os.ReadFile(trace); err != nil || string(got) != want {
			t.Errorf("it stands behind %q, expected %q (%v)", got, want, err)
		}
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if status := waited(t, cmd); !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("it ended with %v", status)
	}
}
