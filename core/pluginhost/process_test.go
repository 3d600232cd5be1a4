package pluginhost

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
)

// asks runs the odd plugin's Test, which says what the process sees.
func (w *world) asks(mode string, env ...string) string {
	w.Helper()
	inst := odd(mode)
	inst.Kind, inst.Env = registry.Source, env
	answer, err := w.Test(w.Context(), inst)
	if err != nil {
		w.Fatal(err)
	}
	return answer
}

func TestPluginSeesOnlyTheVariablesThatAreNamed(t *testing.T) {
	t.Setenv("HOST_SECRET", "hush")
	w := newWorld(t)
	var names []string
	for line := range strings.SplitSeq(w.asks("env", "SHOP_DSN=postgres://shop"), "\x00") {
		name, value, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "PLUGIN_") || name == sdk.CookieKey {
			continue // the handshake's
		}
		names = append(names, name)
		if name == "SHOP_DSN" && value != "postgres://shop" {
			t.Errorf("SHOP_DSN is %q", value)
		}
	}
	if diff := cmp.Diff([]string{"TMPDIR", "SHOP_DSN"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestPluginCannotTakeTheHostsStdinAndWorksInTheProjectFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.asks("stdin"); got != os.DevNull {
		t.Errorf("stdin is %q", got)
	}
	if got := w.asks("folder"); got != w.dir {
		t.Errorf("the working folder is %q, want %q", got, w.dir)
	}
}

func TestVariablesOfTheProtocolCannotBeNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, variable := range []string{"PLUGIN_CLIENT_CERT=x", sdk.CookieKey + "=x", "no-value", "=x", "A B=x"} {
		inst := odd("env")
		inst.Kind, inst.Env = registry.Source, []string{variable}
		if _, err := w.Test(t.Context(), inst); err == nil {
			t.Errorf("%q was accepted", variable)
		}
	}
}

func TestPluginRunsFromACopyNamedByItsDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	executable := w.asks("executable")
	entry, ok := w.lock.Find(registry.Source, "odd")
	if !ok {
		t.Fatal("the plugin was not locked on first use")
	}
	if want := filepath.Join(w.dir, ".qanat", "plugins", entry.SHA256); executable != want {
		t.Errorf("ran %q, want %q", executable, want)
	}
	info, err := os.Stat(executable)
	if err != nil || info.Mode() != 0o500 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if !strings.Contains(w.log.String(), "plugin trusted on first use") {
		t.Error("the first use is not in the log")
	}
}

// install copies a test plugin to a folder of the test, where it may be changed.
func (w *world) install(file string) (path string, paths func(*Settings)) {
	w.Helper()
	folder := w.TempDir()
	content, err := os.ReadFile(filepath.Join(plugins(w), file))
	if err != nil {
		w.Fatal(err)
	}
	path = filepath.Join(folder, file)
	if err := os.WriteFile(path, content, 0o755); err != nil {
		w.Fatal(err)
	}
	return path, func(s *Settings) { s.Paths = []string{folder} }
}

func TestChangedBinaryIsRefusedUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	path, paths := (&world{TB: t}).install("source-count")
	w := newWorld(t, paths)
	inst := instance("count", settings{"rows": 4})
	drain(t, w.read(inst, ReadRequest{}))

	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("another build"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	changed := wants[*registry.ChangedError](t, second(w.Read(t.Context(), inst, ReadRequest{})))
	if changed.Plugin != "count" || changed.Locked == changed.Found {
		t.Errorf("got %+v", changed)
	}
	wants[*registry.ChangedError](t, second(w.Manifest(t.Context(), registry.Source, "count")))

	entry, err := w.Describe(t.Context(), registry.Binary{File: "source-count", Path: path, Kind: registry.Source, Name: "count"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.lock.Accept(entry); err != nil {
		t.Fatal(err)
	}
	if _, rows := drain(t, w.read(inst, ReadRequest{})); rows != 4 {
		t.Errorf("%d rows of the accepted binary, want 4", rows)
	}
}

func TestMissingPluginSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	missing := wants[*registry.MissingError](t, second(w.Manifest(t.Context(), registry.Sink, "nowhere")))
	want := &registry.MissingError{
		Kind: registry.Sink, Name: "nowhere", Looked: []string{plugins(t)}, Found: []string{"source-count", "source-odd", "transform-echo", "transform-liar"},
	}
	if diff := cmp.Diff(want, missing); diff != "" {
		t.Error(diff)
	}
}

func TestManifestComesFromTheLockAndNamesEveryKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.Manifest(t.Context(), registry.Check, "echo") // of the binary transform-echo
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Manifest(t.Context(), registry.Sink, "echo")
	if err != nil {
		t.Fatal(err)
	}
	if parts := first.Differences(again); len(parts) > 0 || len(first.Components) != 3 || first.Version != "1.0.0" {
		t.Errorf("got %+v and %+v", first, again)
	}
}

func TestPluginThatDescribesItselfDifferentlyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Manifest(t.Context(), registry.Source, "odd"); err != nil {
		t.Fatal(err)
	}
	inst := odd("env")
	inst.Env = []string{"ODD=other"}
	mismatch := wants[*registry.ManifestError](t, second(w.Read(t.Context(), inst, ReadRequest{})))
	if diff := cmp.Diff([]string{"version"}, mismatch.Differences); diff != "" {
		t.Error(diff)
	}
}

func TestPluginThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cases := map[string]string{
		"print": `it printed "hello, I am a plugin" to stdout, where the handshake was expected`,
		"exit":  "it ended before the handshake: exit status 3; its last words:\n  no licence",
	}
	for mode, want := range cases {
		inst := odd("")
		inst.Env = []string{"ODD=" + mode}
		err := wants[*StartError](t, second(w.Read(t.Context(), inst, ReadRequest{})))
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, want it to contain %q", mode, err, want)
		}
	}
}

func TestPluginThatHangsAtItsStartIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Manifest(t.Context(), registry.Source, "odd"); err != nil {
		t.Fatal(err)
	}
	w.settings.Deadlines.Start = 300 * time.Millisecond
	inst := odd("")
	inst.Env = []string{"ODD=hang"}
	if late := wants[*DeadlineError](t, second(w.Read(t.Context(), inst, ReadRequest{}))); late.Call != "start" {
		t.Errorf("got %+v", late)
	}
	w.settings.Deadlines.Start = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := w.Read(ctx, inst, ReadRequest{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestCrashIsReportedWithTheBeginningOfThePanic(t *testing.T) {
	t.Parallel()
	crash := wants[*CrashError](t, last(t, newWorld(t).read(odd("panic"), ReadRequest{})))
	if crash.Kind != "source" || crash.Name != "odd" || crash.ExitStatus != 2 || crash.Signal != 0 {
		t.Errorf("got %+v", crash)
	}
	if !strings.Contains(strings.Join(crash.LastLog, "\n"), "panic: boom") {
		t.Errorf("the panic is not in the report: %q", crash.LastLog)
	}
	if !Retryable(crash) {
		t.Error("a crash is not retryable")
	}
}

func TestCrashIsReportedWithTheLastLinesAlsoAfterAFlood(t *testing.T) {
	t.Parallel()
	crash := wants[*CrashError](t, last(t, newWorld(t).read(odd("flood"), ReadRequest{})))
	if crash.ExitStatus != 9 || len(crash.LastLog) == 0 || len(crash.LastLog) > 20 {
		t.Errorf("got status %d and %d lines", crash.ExitStatus, len(crash.LastLog))
	}
	if !strings.Contains(strings.Join(crash.LastLog, "\n"), "the last words") {
		t.Errorf("the last words are not in the report: %.300q", crash.LastLog)
	}
}

func TestPluginKilledFromOutsideIsReportedWithTheSignal(t *testing.T) {
	t.Parallel()
	r := newWorld(t).read(odd("deaf"), ReadRequest{})
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(r.s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if crash := wants[*CrashError](t, last(t, r)); crash.Signal != syscall.SIGKILL {
		t.Errorf("got %+v", crash)
	}
	wants[*CrashError](t, r.Ack(sdk.Position("1")))
}

func TestPrintsToStdoutDoNotDisturbTheProtocol(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.read(odd("print"), ReadRequest{})
	if events, _ := drain(t, r); len(events) != 1 {
		t.Errorf("got %v", events)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want io.EOF", err)
	}
	soon(t, "the printed line in the log", func() bool { return strings.Contains(w.log.String(), "a line that belongs nowhere") })
}

func TestPluginThatIgnoresEverythingIsKilledWithItsChild(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *Settings) { s.Deadlines.Close = 500 * time.Millisecond })
	note := filepath.Join(w.dir, "pids")
	r := w.read(instance("odd", settings{"mode": "fork", "file": note}), ReadRequest{})
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	pids := pidsIn(t, note)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		soon(t, fmt.Sprintf("the end of process %d", pid), func() bool { return gone(pid) })
	}
}

func TestChildrenInSessionsOfTheirOwnAreKilledWithThePlugin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *Settings) { s.Deadlines.Close = 500 * time.Millisecond })
	note := filepath.Join(w.dir, "pids")
	r := w.read(instance("odd", settings{"mode": "escape", "file": note}), ReadRequest{})
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	pids := pidsIn(t, note)
	for _, pid := range pids {
		if gone(pid) {
			t.Errorf("process %d does not run before the end", pid)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		soon(t, fmt.Sprintf("the end of process %d", pid), func() bool { return gone(pid) })
	}
}

func TestChildrenOfAPluginThatExitsAreKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	note := filepath.Join(w.dir, "pids")
	r := w.read(instance("odd", settings{"mode": "escape and exit", "file": note}), ReadRequest{})
	if crash := wants[*CrashError](t, last(t, r)); crash.ExitStatus != 5 {
		t.Errorf("got %+v", crash)
	}
	for _, pid := range pidsIn(t, note) {
		soon(t, fmt.Sprintf("the end of process %d", pid), func() bool { return gone(pid) })
	}
}

func TestNextHostEndsWhatAKilledOnesPluginsHaveStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	scratch := filepath.Join(dir, hostPrefix+"gone", "source-odd-1")
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	stray, other := exec.Command("/bin/sleep", "1000"), exec.Command("/bin/sleep", "1000")
	stray.Env, other.Env = []string{"TMPDIR=" + scratch}, []string{"TMPDIR=" + dir}
	for _, child := range []*exec.Cmd{stray, other} {
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
	}
	next, err := newFolders(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = stray.Wait()
	if gone(other.Process.Pid) {
		t.Error("a process that is nobody's plugin was ended")
	}
	if err := errors.Join(next.close(), other.Process.Kill()); err != nil {
		t.Error(err)
	}
	_ = other.Wait()
}

func TestSourceThatDoesNotStopIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *Settings) { s.Deadlines.Stop = 200 * time.Millisecond })
	r := w.read(odd("deaf"), ReadRequest{})
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if late := wants[*DeadlineError](t, last(t, r)); late.Call != "stop" {
		t.Errorf("got %+v", late)
	}
}

func TestSourceWhoseProcessIsStuckIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *Settings) { s.Deadlines.Liveness = 500 * time.Millisecond })
	if late := wants[*DeadlineError](t, last(t, w.read(odd("stopped"), ReadRequest{}))); !strings.Contains(late.Call, "alive") {
		t.Errorf("got %+v", late)
	}
}

func TestUnaryCallThatHangsIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Manifest(t.Context(), registry.Source, "odd"); err != nil {
		t.Fatal(err)
	}
	w.settings.Deadlines.Call = 2 * time.Second
	inst := odd("hang")
	inst.Kind = registry.Source
	if late := wants[*DeadlineError](t, second(w.Test(t.Context(), inst))); late.Call != "test" {
		t.Errorf("got %+v", late)
	}
}

func TestPluginThatTakesTooMuchMemoryIsKilled(t *testing.T) {
	t.Parallel()
	inst := odd("memory")
	inst.MemoryLimit = 256 << 20
	over := wants[*MemoryError](t, last(t, newWorld(t).read(inst, ReadRequest{})))
	if over.Limit != inst.MemoryLimit || over.Used <= over.Limit {
		t.Errorf("got %+v", over)
	}
	if Retryable(over) {
		t.Error("taking too much memory is retryable")
	}
}

func TestPluginThatTakesTooMuchMemoryAtItsStartIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.Manifest(t.Context(), registry.Source, "odd"); err != nil {
		t.Fatal(err)
	}
	inst := odd("")
	inst.Env, inst.MemoryLimit = []string{"ODD=hoard"}, 256<<20
	over := wants[*MemoryError](t, second(w.Read(t.Context(), inst, ReadRequest{})))
	if text := over.Error(); !strings.Contains(text, "its limit is 256 MiB") || !strings.Contains(text, `source plugin "odd"`) {
		t.Errorf("got %q", text)
	}
}

func TestNothingOfAnInstanceIsLeftBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.read(odd("scratch"), ReadRequest{})
	last(t, r)
	if left, _ := filepath.Glob(r.s.scratch + "/*"); len(left) != 1 {
		t.Errorf("in the scratch folder: %v", left)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, folder := range []string{r.s.scratch, r.s.sockets} {
		if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", folder, err)
		}
	}
	if len(w.running) > 0 {
		t.Error("the host still counts it as running")
	}
}

func TestNextHostRemovesWhatAKilledOneLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left, sockets := filepath.Join(dir, hostPrefix+"left"), t.TempDir()
	if err := os.MkdirAll(filepath.Join(left, "source-count-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sockets, filepath.Join(left, socketsName)); err != nil {
		t.Fatal(err)
	}
	alive, err := newFolders(dir)
	if err != nil {
		t.Fatal(err)
	}
	next, err := newFolders(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{left, sockets} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what was left in %s: %v", path, err)
		}
	}
	if _, err := os.Stat(alive.root); err != nil {
		t.Errorf("the folder of a host that lives: %v", err)
	}
	if err := errors.Join(alive.close(), next.close()); err != nil {
		t.Error(err)
	}
}

func TestHostCloseEndsPluginsThatWereForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.read(odd("deaf"), ReadRequest{})
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := last(t, r); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
	if _, err := w.Read(t.Context(), odd("deaf"), ReadRequest{}); err == nil {
		t.Error("a closed host started a plugin")
	}
}

// gone reports whether no process runs under the number; a zombie does not run.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return bytes.HasPrefix(rest, []byte("Z")) || bytes.HasPrefix(rest, []byte("X"))
}

func pidsIn(t testing.TB, file string) []int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// scenario is what the test tells the host that it kills.
type scenario struct {
	Dir, Plugins, Note string
	Measure            bool // see TestTheHostsMemoryStaysBoundedWhateverPluginsSay
}

func TestKilledHostTakesThePluginAndItsChildrenWithIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	told := scenario{Dir: dir, Plugins: plugins(t), Note: filepath.Join(dir, "pids")}
	text, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), hostRole+"="+string(text))
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "reading\n" {
		t.Fatalf("the host said %q, %v", line, err)
	}
	pids := pidsIn(t, told.Note)
	for _, pid := range pids {
		if gone(pid) {
			t.Errorf("process %d does not run before the kill", pid)
		}
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	for _, pid := range pids {
		soon(t, fmt.Sprintf("the end of process %d", pid), func() bool { return gone(pid) })
	}
	next, err := newFolders(filepath.Join(dir, ".qanat", "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".qanat", "tmp", "*")); len(left) != 1 {
		t.Errorf("the next host finds %v, want only its own folder", left)
	}
	if err := next.close(); err != nil {
		t.Error(err)
	}
}

// hostThatIsKilled reads from a plugin that has a child, says so, and waits for its end.
func hostThatIsKilled() {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var told scenario
	fail(json.Unmarshal([]byte(os.Getenv(hostRole)), &told))
	if told.Measure {
		fail(startMeasured(told))
		os.Exit(0)
	}
	lock, err := registry.OpenLock(filepath.Join(told.Dir, registry.LockFile))
	fail(err)
	host, err := New(Settings{Dir: filepath.Join(told.Dir, ".qanat"), ProjectDir: told.Dir, Lock: lock, Paths: []string{told.Plugins}})
	fail(err)
	r, err := host.Read(context.Background(), instance("odd", settings{"mode": "fork", "file": told.Note}), ReadRequest{})
	fail(err)
	_, err = r.Next(context.Background())
	fail(err)
	fmt.Println("reading")
	select {}
}
