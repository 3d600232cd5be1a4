package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
)

// hostRole makes the test binary a host that is killed; see TestKilledHostTakesThePluginAndItsChildrenWithIt.
const hostRole = "PLUGINHOST_TEST_ROLE"

var binaries struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	if os.Getenv(hostRole) != "" {
		hostThatIsKilled()
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(binaries.dir)
		os.Exit(code)
	}))
}

// plugins builds the test plugins once and returns their folder.
func plugins(t testing.TB) string {
	t.Helper()
	binaries.once.Do(func() {
		if binaries.dir, binaries.err = os.MkdirTemp("", "plugins"); binaries.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", binaries.dir+"/", "./testdata/plugins/...").CombinedOutput()
		if err != nil {
			binaries.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if binaries.err != nil {
		t.Fatal(binaries.err)
	}
	return binaries.dir
}

// world is a project in which plugins run.
type world struct {
	testing.TB
	*Host
	dir  string
	lock *registry.Lock
	log  *logged
}

// newWorld makes a host; change may alter its settings.
func newWorld(t testing.TB, change ...func(*Settings)) *world {
	t.Helper()
	w := &world{TB: t, dir: t.TempDir(), log: &logged{}}
	var err error
	if w.lock, err = registry.OpenLock(filepath.Join(w.dir, registry.LockFile)); err != nil {
		t.Fatal(err)
	}
	settings := Settings{
		Dir: filepath.Join(w.dir, ".qanat"), ProjectDir: w.dir, Lock: w.lock, Paths: []string{plugins(t)},
		Logger: hclog.New(&hclog.LoggerOptions{Output: w.log, Level: hclog.Debug}),
	}
	for _, c := range change {
		c(&settings)
	}
	if w.Host, err = New(settings); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// checked lets the test fail if a batch is not released.
func checked(t testing.TB) func(*Settings) {
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	return func(s *Settings) { s.Alloc = alloc }
}

// logged is a log that a test reads while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func instance(plugin string, config any) Instance {
	raw, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return Instance{Plugin: plugin, Config: raw}
}

type settings map[string]any

func odd(mode string) Instance { return instance("odd", settings{"mode": mode}) }

// read launches a source and closes it at the end of the test.
func (w *world) read(inst Instance, req ReadRequest) *Read {
	w.Helper()
	r, err := w.Read(w.Context(), inst, req)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = r.Close() })
	return r
}

// drain reads to the end and returns the events without their batches, whose rows it counts.
func drain(t testing.TB, r *Read) (events []Event, rows int64) {
	t.Helper()
	for {
		event, err := r.Next(t.Context())
		if err != nil {
			return events, rows
		}
		if batch, ok := event.(BatchEvent); ok {
			rows += batch.Record.NumRows()
			batch.Record.Release()
			batch.Record = nil
			event = batch
		}
		events = append(events, event)
	}
}

// last reads until the source fails and returns the error.
func last(t testing.TB, r *Read) error {
	t.Helper()
	drain(t, r)
	_, err := r.Next(t.Context())
	return err
}

// wants fails the test unless the error is of type T, and returns it.
func wants[T error](t testing.TB, err error) T {
	t.Helper()
	typed, ok := errors.AsType[T](err)
	if !ok {
		t.Fatalf("got %T %v, want a %T", err, err, typed)
	}
	return typed
}

// numbers is a batch of rows 0 to n-1.
func numbers(alloc memory.Allocator, n int) arrow.RecordBatch {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(alloc, schema)
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(strings.Repeat("x", i%50))
	}
	return b.NewRecordBatch()
}

func change(record arrow.RecordBatch) sdk.SchemaChange {
	return sdk.SchemaChange{Stream: "rows", Version: 1, Schema: record.Schema(), Key: []string{"id"}}
}

// soon waits for a condition that another process brings about.
func soon(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not happen", what)
		}
	}
}
