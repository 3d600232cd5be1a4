// Package rig builds Qanat's binaries and drives them in project folders of their own, as an operator would: scenarios see exit
// codes, output and files, and nothing of the code.
package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root is the repository's folder.
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	panic("no go.mod above the working directory")
}

// binVariable names a folder of built binaries to test instead of those that are built from the sources: bin/ of a release, say.
const binVariable = "QANAT_BIN"

// bin is the folder of the binaries.
func bin() string {
	if dir := os.Getenv(binVariable); dir != "" {
		return dir
	}
	return filepath.Join(Root(), "bin")
}

var build = sync.OnceValue(func() error {
	if os.Getenv(binVariable) != "" {
		return nil
	}
	root, bin := Root(), bin()
	if err := os.MkdirAll(filepath.Join(bin, "plugins"), 0o750); err != nil {
		return err
	}
	for out, packages := range map[string]string{bin + "/qanat": "./cmd/qanat", bin + "/plugins/": "./plugins/..."} {
		cmd := exec.Command("go", "build", "-tags=duckdb_arrow", "-o", out, packages)
		cmd.Dir = root
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", packages, err, said)
		}
	}
	return nil
})

// Qanat is the path of the built command.
func Qanat(t testing.TB) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(bin(), "qanat")
}

// Data is the folder of real data for tests. Without it the test is skipped, and says so.
func Data(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("QANAT_TEST_DATA")
	if dir == "" {
		dir = filepath.Join(Root(), "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "flights-3m.parquet")); err != nil {
		t.Skipf("skipped: there is no real data at %s; set QANAT_TEST_DATA to the folder that holds flights-3m.parquet", dir)
	}
	return dir
}

// Project is a project folder that commands run in.
type Project struct {
	t   testing.TB
	Dir string
	Env []string // added to the environment of every command
	// Limit is how long a command may take before it counts as hung.
	Limit time.Duration
	// Machine, if set, is the name of the machine that commands believe to run on.
	Machine string
	exe     string
}

// New copies a folder of specs (below e2e/testdata, or absolute) into a project folder of the test's own.
func New(t testing.TB, specs string) *Project {
	t.Helper()
	if !filepath.IsAbs(specs) {
		specs = filepath.Join(Root(), "e2e", "testdata", specs)
	}
	p := &Project{t: t, Dir: t.TempDir(), exe: Qanat(t), Limit: 5 * time.Minute}
	p.Env = []string{"QANAT_PLUGINS=" + filepath.Join(bin(), "plugins"), "NO_COLOR=1"}
	if err := os.CopyFS(p.Dir, os.DirFS(specs)); err != nil {
		t.Fatal(err)
	}
	return p
}

// With is the same project for commands with more in their environment.
func (p *Project) With(env ...string) *Project {
	with := *p
	with.Env = append(slices.Clip(p.Env), env...)
	return &with
}

// Result is what a command did.
type Result struct {
	Out, Err string
	Code     int // -1 when it was killed by a signal
}

// Command readies a command in the project folder.
func (p *Project) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.exe, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.Machine != "" {
		cmd = exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", named, "sh", p.Machine, p.exe}, args...)...)
		cmd.SysProcAttr = elsewhere()
	}
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), p.Env...)
	return cmd
}

// named gives the machine a name, where only this process and those that it starts see it, and becomes the command.
const named = `hostname "$1" 2>/dev/null || echo "$1" >/proc/sys/kernel/hostname; shift; exec "$@"`

// elsewhere starts a process that may give the machine a name of its own. Who is not root becomes it in a space of users of its own.
func elsewhere() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWUTS}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// Run runs a command to its end.
func (p *Project) Run(args ...string) Result {
	p.t.Helper()
	return p.Start(args...).Wait()
}

// Must runs a command that must exit with 0, and returns what it printed.
func (p *Project) Must(args ...string) string {
	p.t.Helper()
	r := p.Run(args...)
	if r.Code != 0 {
		p.t.Fatalf("qanat %s: exit %d\n%s\n%s", strings.Join(args, " "), r.Code, r.Out, r.Err)
	}
	return r.Out
}

// JSON runs a command with -o json and decodes what it prints.
func (p *Project) JSON(into any, args ...string) {
	p.t.Helper()
	out := p.Must(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		p.t.Fatalf("qanat %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// Query answers SQL as rows of columns.
func (p *Project) Query(sql string) []map[string]any {
	p.t.Helper()
	var rows []map[string]any
	p.JSON(&rows, "query", sql)
	return rows
}

// Running is a command that has been started.
type Running struct {
	t        testing.TB
	cmd      *exec.Cmd
	out, err output
	cancel   context.CancelFunc
	done     chan struct{}
	exit     error
}

// output is what a command prints, readable while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// toDump is how long a command that is ended has to print where its goroutines are.
const toDump = 10 * time.Second

// Start starts a command. When the test ends or the project's limit has passed it is ended, and prints where it hung.
func (p *Project) Start(args ...string) *Running {
	p.t.Helper()
	return p.start(nil, args...)
}

// start is Start with another place for what the command says on stderr.
func (p *Project) start(stderr io.Writer, args ...string) *Running {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), p.Limit)
	r := &Running{t: p.t, cmd: p.Command(ctx, args...), cancel: cancel, done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	if stderr != nil {
		r.cmd.Stderr = stderr
	}
	r.cmd.Cancel, r.cmd.WaitDelay = func() error { return r.cmd.Process.Signal(syscall.SIGQUIT) }, toDump
	if err := r.cmd.Start(); err != nil {
		cancel()
		p.t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		r.exit = r.cmd.Wait()
	}()
	p.t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// PID of the command's process.
func (r *Running) PID() int { return r.cmd.Process.Pid }

// Signal sends a signal to the command's process, not to its plugins.
func (r *Running) Signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.t.Fatal(err)
	}
}

// Done is closed when the command has ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Wait waits for the end.
func (r *Running) Wait() Result {
	<-r.done
	r.cancel()
	result := Result{Out: r.out.String(), Err: r.err.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(r.exit, &exit):
		result.Code = exit.ExitCode()
	case r.exit != nil:
		r.t.Fatalf("qanat: %v", r.exit)
	}
	return result
}

// Err is what the command has printed to stderr by now.
func (r *Running) Err() string { return r.err.String() }

// Plugins are the process ids of a command's plugins by the name of their binary, such as source-file, found through /proc.
func (r *Running) Plugins() map[string][]int {
	r.t.Helper()
	pids := map[string][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if name, parent, ok := processOf(pid); ok && parent == r.PID() {
			pids[name] = append(pids[name], pid)
		}
	}
	return pids
}

// Gone says whether a process has ended, reaped or not.
func Gone(pid int) bool {
	_, _, ok := processOf(pid)
	return !ok
}

// Stopped says whether all threads of a process stand still after a SIGSTOP, which takes effect in each of them in its own time.
func Stopped(pid int) bool {
	stats, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	if err != nil || len(stats) == 0 {
		return false
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(stat), ") ")
		if err == nil && !strings.HasPrefix(rest, "T") { // a thread that has ended meanwhile stands still, too
			return false
		}
	}
	return true
}

// processOf is the name that a process was started by and its parent; false if it has ended.
func processOf(pid int) (name string, parent int, ok bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return "", 0, false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	var state string
	if _, err := fmt.Sscan(rest, &state, &parent); err != nil || state == "Z" {
		return "", 0, false
	}
	args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return "", 0, false
	}
	name, _, _ = strings.Cut(string(args), "\x00")
	return name, parent, true
}
