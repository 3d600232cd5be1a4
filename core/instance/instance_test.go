package instance

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/uuid"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/gateway"
	"github.com/qanat-data/qanat/core/zone/objects"
)

// deadline bounds a test on a loaded machine; none depends on how long it takes.
const deadline = 2 * time.Minute

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// testSettings are for a folder of the test's own. The prefix keeps the buckets
// of tests in one process apart.
func testSettings(t *testing.T) Settings {
	return Settings{
		Dir:     filepath.Join(t.TempDir(), ".qanat"),
		Objects: objects.Settings{BucketPrefix: "t" + uuid.NewString()[:8] + "-"},
		Logger:  stderrLogger(),
	}
}

func open(ctx context.Context, t *testing.T, s Settings) *Instance {
	t.Helper()
	i, err := Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close(ctx) })
	return i
}

func closeNow(ctx context.Context, t *testing.T, i *Instance) {
	t.Helper()
	if err := i.Close(ctx); err != nil {
		t.Error(err)
	}
}

var thing = zone.Name{Zone: zone.Landing, Namespace: "shop", Dataset: "orders"}

const flow = "orders/landing"

// writeEverywhere leaves something in the state database, in a log and in a dataset.
func writeEverywhere(ctx context.Context, t *testing.T, i *Instance) {
	t.Helper()
	if _, err := i.DB().ExecContext(ctx, "create table kept (id integer); insert into kept values (7)"); err != nil {
		t.Fatal(err)
	}
	log, err := i.Broker().Log(ctx, flow, broker.LogSettings{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := log.Publisher(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Publish(ctx, broker.Frame{Body: [][]byte{[]byte("kept")}}); err != nil {
		t.Fatal(err)
	}
	d, err := i.Zones().Create(ctx, thing, arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil), zone.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Fence(ctx, flow, 5); err != nil {
		t.Fatal(err)
	}
}

func readEverywhere(ctx context.Context, t *testing.T, i *Instance) {
	t.Helper()
	var id int
	if err := i.DB().QueryRowContext(ctx, "select id from kept").Scan(&id); err != nil || id != 7 {
		t.Errorf("the state database holds %d, error %v", id, err)
	}
	log, err := i.Broker().Log(ctx, flow, broker.LogSettings{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := log.Read(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if m, err := r.Next(ctx); err != nil || string(m.Body) != "kept" {
		t.Errorf("the log holds %q, error %v", m.Body, err)
	}
	d, err := i.Zones().Dataset(ctx, thing)
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := d.Mark(flow); !ok || m.Epoch != 5 {
		t.Errorf("the dataset carries the mark %+v, found %v", m, ok)
	}
	if _, err := d.Fence(ctx, flow, 5); err != nil {
		t.Errorf("the dataset can't be written: %v", err)
	}
}

func TestGuestUsesTheServersOfItsOwner(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testSettings(t)
	owner := startProcess(ctx, t, s)
	owner.says(saidOwner)
	i := open(ctx, t, s)
	if i.Owner() {
		t.Fatal("two owners of one folder")
	}
	if i.Dir() != s.Dir {
		t.Errorf("the folder is %q, expected %q", i.Dir(), s.Dir)
	}
	writeEverywhere(ctx, t, i)
	readEverywhere(ctx, t, i)
	another := startProcess(ctx, t, s)
	another.says(saidGuest)
	another.tell(sayClose)
	another.says(saidClosed)

	// The owner is asked to go, and stays until the last guest has left.
	owner.tell(sayClose)
	late := startProcess(ctx, t, s)
	late.says(saidGuest)
	readEverywhere(ctx, t, i)
	closeNow(ctx, t, i)
	late.tell(sayClose)
	late.says(saidClosed)
	owner.says(saidClosed)
	if entries, _ := filepath.Glob(filepath.Join(s.Dir, "*")); len(entries) == 0 {
		t.Error("the folder is empty")
	}
	for _, left := range []string{"run.json", "control.sock"} {
		if _, err := os.Lstat(filepath.Join(s.Dir, left)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was left behind: %v", left, err)
		}
	}
}

func TestGuestEndsWhenItsOwnerIsKilledAndCanBeStartedAgain(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testSettings(t)
	owner := startProcess(ctx, t, s)
	owner.says(saidOwner)
	i, neighbour := open(ctx, t, s), startProcess(ctx, t, s)
	neighbour.says(saidGuest)
	writeEverywhere(ctx, t, i)
	work, cancel := i.Context(ctx)
	defer cancel()
	owner.kill()
	<-i.Lost()
	<-work.Done()
	if err := context.Cause(work); !errors.Is(err, ErrOwnerLost) {
		t.Errorf("work ended with %v, expected ErrOwnerLost", err)
	}
	neighbour.says(saidLost)
	neighbour.says(saidClosed)
	closeNow(ctx, t, i)

	again := open(ctx, t, s)
	if !again.Owner() {
		t.Fatal("nobody owns the folder")
	}
	readEverywhere(ctx, t, again)
	guest := startProcess(ctx, t, s)
	guest.says(saidGuest)
	guest.tell(sayClose)
	guest.says(saidClosed)
	closeNow(ctx, t, again)
}

func TestExactlyOneOfManyStartsBecomesTheOwner(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testSettings(t)
	const starts = 4
	others := make([]*other, starts)
	for n := range others {
		others[n] = startProcess(ctx, t, s)
	}
	owners := 0
	for _, o := range others {
		if o.says(saidOwner, saidGuest) == saidOwner {
			owners++
		}
	}
	if owners != 1 {
		t.Errorf("%d owners, expected 1", owners)
	}
	for _, o := range others {
		o.tell(sayClose)
	}
	for _, o := range others {
		o.says(saidClosed)
	}
}

func TestFolderIsPrivate(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testSettings(t)
	if err := os.Mkdir(s.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	i := open(ctx, t, s)
	for name, want := range map[string]fs.FileMode{
		".": 0o700, "lock": 0o600, "run.json": 0o600, "state.db": 0o600, "state.db-wal": 0o600, "control.sock": 0o600,
	} {
		info, err := os.Lstat(filepath.Join(s.Dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, expected %o", name, info.Mode().Perm(), want)
		}
	}
	closeNow(ctx, t, i)
}

func TestOwnerClosesWithoutItsGuestsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testSettings(t)
	i := open(ctx, t, s)
	guest := startProcess(ctx, t, s)
	guest.says(saidGuest)
	work, cancel := i.Context(ctx)
	defer cancel()
	ended, end := context.WithCancel(ctx)
	end()
	if err := i.Close(ended); !errors.Is(err, ErrGuestsLeft) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, expected ErrGuestsLeft and the context's error", err)
	}
	if err := context.Cause(work); !errors.Is(err, ErrClosed) {
		t.Errorf("work ended with %v, expected ErrClosed", err)
	}
	guest.says(saidLost)
	guest.says(saidClosed)
	next := open(ctx, t, s)
	if !next.Owner() {
		t.Error("the folder is still owned")
	}
	closeNow(ctx, t, next)
}

func TestLeftoversOfACrashAreReplaced(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testSettings(t)
	owner := startProcess(ctx, t, s)
	owner.says(saidOwner)
	before := readRun(t, s)
	owner.kill()
	i := open(ctx, t, s)
	after := readRun(t, s)
	if !i.Owner() || after.PID != os.Getpid() || after.NATS.Secret == before.NATS.Secret || after.Objects.Secret == before.Objects.Secret {
		t.Errorf("owner %v; the run file was %+v and is %+v", i.Owner(), before, after)
	}
	closeNow(ctx, t, i)
}

func TestOpenWaitsOnlySoLongForASilentOwner(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	for name, text := range map[string]string{
		"nothing":     "",
		"broken":      "{",
		"stale":       `{"version": 1, "control": "/nobody/listens.sock"}`,
		"other times": `{"version": 99, "control": "/nobody/listens.sock"}`,
	} {
		s := testSettings(t)
		dir, err := openFolder(s.Dir)
		if err != nil {
			t.Fatal(err)
		}
		lock, err := dir.tryLock()
		if err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := os.WriteFile(dir.runFile(), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s.Wait = time.Millisecond
		if _, err := Open(ctx, s); !errors.Is(err, ErrOwnerSilent) {
			t.Errorf("%s: got %v, expected ErrOwnerSilent", name, err)
		}
		s.Wait = deadline
		ended, end := context.WithCancelCause(ctx)
		reason := errors.New("enough")
		end(reason)
		if _, err := Open(ended, s); !errors.Is(err, reason) {
			t.Errorf("%s: got %v, expected the context's cause", name, err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSettingsAreHeldAgainstTheRunningOwner(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testSettings(t)
	i := open(ctx, t, s)
	nats, store := s, s
	nats.NATS.URL = "nats://user:hidden@elsewhere:4222"
	store.Objects.Endpoint = "elsewhere:9000"
	for _, other := range []Settings{nats, store} {
		_, err := Open(ctx, other)
		if !errors.Is(err, ErrOtherSettings) || !strings.Contains(err.Error(), "elsewhere") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("got %v, expected ErrOtherSettings with the address and without the password", err)
		}
	}
	postgres := s
	postgres.State = State{Type: Postgres, DSN: "postgres://me:hidden@elsewhere:5432/state", Schema: "mine"}
	catalog := s
	catalog.Catalog = &zone.REST{URI: "https://me:hidden@elsewhere/", Token: "hidden"}
	for _, other := range []Settings{postgres, catalog} {
		_, err := Open(ctx, other)
		if !errors.Is(err, ErrOtherSettings) || !strings.Contains(err.Error(), "elsewhere") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("got %v, expected ErrOtherSettings with the address and without secrets", err)
		}
	}
	postgres.State.Type = "oracle"
	if _, err := Open(ctx, postgres); err == nil || !strings.Contains(err.Error(), `"oracle"`) {
		t.Errorf("got %v, expected that the type is refused", err)
	}
	if _, err := Open(ctx, Settings{}); err == nil {
		t.Error("opened without a folder")
	}
	closeNow(ctx, t, i)
}

func TestExternalServersAreUsedAndNoneIsStarted(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	servers := t.TempDir()
	nats, err := broker.Start(ctx, broker.ServerSettings{Dir: filepath.Join(servers, "nats")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nats.Close)
	store, err := gateway.Start(ctx, gateway.Settings{Dir: filepath.Join(servers, "objects"), AccessKey: "key", SecretKey: "hidden-secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := testSettings(t)
	s.NATS = NATS{URL: nats.URL(), User: nats.Credentials().User, Password: nats.Credentials().Password, Prefix: "shop"}
	s.Objects.Endpoint, s.Objects.AccessKey, s.Objects.SecretKey = store.Endpoint(), "key", "hidden-secret"
	owner, guest := open(ctx, t, s), open(ctx, t, s)
	if !owner.Owner() || guest.Owner() {
		t.Fatalf("owners: %v and %v, expected the first only", owner.Owner(), guest.Owner())
	}
	writeEverywhere(ctx, t, owner)
	readEverywhere(ctx, t, guest)
	if r := readRun(t, s); r.NATS.Embedded || r.Objects.Embedded || r.NATS.Secret+r.Objects.Secret != "" {
		t.Errorf("the run file tells of embedded servers or secrets: %+v", r)
	}
	for _, name := range []string{"nats", "objects"} {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a server was started in %q: %v", name, err)
		}
	}
	closeNow(ctx, t, guest)
	closeNow(ctx, t, owner)
}

func TestFailedStartLeavesTheFolderFree(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testSettings(t)
	broken := s
	broken.NATS.URL = "nats://127.0.0.1:1"
	if _, err := Open(ctx, broken); err == nil {
		t.Fatal("opened without a broker")
	}
	i := open(ctx, t, s)
	if !i.Owner() {
		t.Error("the folder is still owned")
	}
	closeNow(ctx, t, i)
}

func TestLongFoldersGetTheirSocketElsewhere(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := testSettings(t)
	s.Dir = filepath.Join(s.Dir, strings.Repeat("long-name/", 12), "%?#", ".qanat")
	owner := open(ctx, t, s)
	socket := readRun(t, s).Control
	if strings.HasPrefix(socket, s.Dir) || len(socket) > maxSocketPath {
		t.Errorf("the control endpoint is %q", socket)
	}
	if err := checkOwned(filepath.Dir(socket)); err != nil {
		t.Error(err)
	}
	guest := open(ctx, t, s)
	if guest.Owner() {
		t.Error("two owners")
	}
	closeNow(ctx, t, guest)
	closeNow(ctx, t, owner)
	if _, err := os.Lstat(filepath.Dir(socket)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the control endpoint was left behind: %v", err)
	}
}

func TestSharedFoldersOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o750); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{open, link, filepath.Join(dir, "missing")} {
		if err := checkOwned(path); err == nil {
			t.Errorf("%q was taken for a private folder", path)
		}
	}
}

func TestStateNeedsAFolder(t *testing.T) {
	t.Parallel()
	if _, err := OpenState(testContext(t), filepath.Join(t.TempDir(), "missing", "state.db")); err == nil {
		t.Error("opened a database in a folder that is not there")
	}
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenState(testContext(t), path); err == nil {
		t.Error("opened a file that is no database")
	}
}
