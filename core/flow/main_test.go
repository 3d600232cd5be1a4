package flow_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/instance"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/objects"
	"github.com/qanat-data/qanat/core/zone/zonetest"
	"github.com/qanat-data/qanat/registry"
)

// childVariable makes the test binary run the flow of a folder instead of the tests, so that it can be killed.
const childVariable = "QANAT_FLOW_TEST_CHILD"

// plugins is the folder of the plugin binaries that the tests use.
var plugins string

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		os.Exit(child(dir))
	}
	dir, err := os.MkdirTemp("", "qanat-flow-test-")
	if err != nil {
		panic(err)
	}
	plugins = dir
	for _, name := range []string{"source-generator", "transform-fields", "check-schema", "sink-file"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../../plugins/"+name)
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("build %s: %v\n%s", name, err, out))
		}
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	if code == 0 {
		if err := goleak.Find(zonetest.Leaks()...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// child runs both test flows of the folder once and reports by its exit code.
func child(dir string) int {
	plugins = os.Getenv("QANAT_FLOW_TEST_PLUGINS")
	if os.Getenv(replayVariable) != "" {
		return replayChild(dir)
	}
	p, err := open(context.Background(), dir, memory.DefaultAllocator)
	if err != nil {
		fmt.Fprintln(os.Stderr, "open:", err)
		return 1
	}
	err = p.run(context.Background())
	if closeErr := p.close(context.Background()); err == nil {
		err = closeErr
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		return 1
	}
	return 0
}

// parts are what a flow stands on, opened on a folder.
type parts struct {
	dir      string
	instance *instance.Instance
	runtime  *flow.Runtime
	// rows of the generator.
	rows int
}

const generatedRows, rejectEvery = 60_000, 1000

func open(ctx context.Context, dir string, alloc memory.Allocator) (*parts, error) {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	running, err := instance.Open(ctx, instance.Settings{
		Dir: filepath.Join(dir, ".qanat"), Logger: log,
		// Buckets are known by name within a process, and here one process opens many folders.
		Objects: objects.Settings{BucketPrefix: fmt.Sprintf("t%x-", crc32.ChecksumIEEE([]byte(dir)))},
	})
	if err != nil {
		return nil, err
	}
	book, err := ledger.Open(ctx, running.DB(), ledger.SQLite)
	if err != nil {
		return nil, err
	}
	lock, err := registry.OpenLock(filepath.Join(dir, registry.LockFile))
	if err != nil {
		return nil, err
	}
	host, err := pluginhost.New(pluginhost.Settings{
		Dir: filepath.Join(dir, ".qanat"), ProjectDir: dir, Lock: lock, Paths: []string{plugins}, Logger: log, Alloc: alloc,
	})
	if err != nil {
		return nil, err
	}
	return &parts{dir: dir, instance: running, rows: generatedRows, runtime: &flow.Runtime{
		Zones: running.Zones(), Broker: running.Broker(), Ledger: book, Plugins: host, Log: log, Alloc: alloc,
		Owner: tenure.NewOwner(), Progress: progress.New("test.landing", "test.clean", "test.export"),
	}}, nil
}

func (p *parts) close(ctx context.Context) error {
	if err := p.runtime.Plugins.Close(); err != nil {
		return err
	}
	return p.instance.Close(ctx)
}

// run runs generator → landing → processing → files, one flow after the other, so that kill points hit each in turn.
func (p *parts) run(ctx context.Context) error {
	for _, s := range []*flow.Settings{p.landing(), p.clean(), p.export()} {
		if err := flow.Run(ctx, s, p.runtime, make(chan struct{})); err != nil {
			return err
		}
	}
	return nil
}

var (
	landed    = zone.Name{Zone: zone.Landing, Namespace: "test", Dataset: "events"}
	processed = zone.Name{Zone: zone.Processing, Namespace: "test", Dataset: "events"}
)

func fixed(name zone.Name) func(string) (zone.Name, error) {
	return func(string) (zone.Name, error) { return name, nil }
}

func (p *parts) landing() *flow.Settings {
	config := fmt.Sprintf(`{"stream":"events","seed":7,"rows":%d,"checkpoint_rows":10000,"batch_rows":2000,"fault":{"reject_every":%d}}`,
		p.rows, rejectEvery)
	return &flow.Settings{
		Name: "test.landing",
		Source: &flow.SourceSettings{Step: flow.Step{Name: "source:generator", Instance: pluginhost.Instance{
			Kind: registry.Source, Plugin: "generator", Config: []byte(config),
		}}},
		Target:     flow.TargetSettings{Dataset: fixed(landed), Mode: zone.Append},
		Quarantine: zone.Name{Zone: zone.Quarantine, Namespace: "test", Dataset: "landing"},
		Commit:     flow.Thresholds{Rows: 20_000},
	}
}

func (p *parts) clean() *flow.Settings {
	return &flow.Settings{
		Name:     "test.clean",
		Datasets: &flow.DatasetSettings{Names: []zone.Name{landed}},
		Transforms: []flow.Step{{Name: "transform:fields", Instance: pluginhost.Instance{
			Kind: registry.Transform, Plugin: "fields", Config: []byte(`{"steps":[{"drop":["name"]}]}`),
		}}},
		Target:     flow.TargetSettings{Dataset: fixed(processed), Mode: zone.Append},
		Quarantine: zone.Name{Zone: zone.Quarantine, Namespace: "test", Dataset: "clean"},
		Commit:     flow.Thresholds{Rows: 20_000},
	}
}

func (p *parts) export() *flow.Settings {
	return &flow.Settings{
		Name:     "test.export",
		Datasets: &flow.DatasetSettings{Names: []zone.Name{processed}},
		Target: flow.TargetSettings{Sink: &flow.SinkSettings{
			Step: flow.Step{Name: "sink:file", Instance: pluginhost.Instance{
				Kind: registry.Sink, Plugin: "file", Config: []byte(`{"path":"out","format":"jsonl"}`),
			}},
			Mode: "append",
		}},
		Quarantine: zone.Name{Zone: zone.Quarantine, Namespace: "test", Dataset: "export"},
		Commit:     flow.Thresholds{Rows: 20_000},
	}
}
