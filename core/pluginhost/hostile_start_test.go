package pluginhost

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
)

// locked is a project that knows the liar as it is when it does not lie.
func locked(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if _, err := w.Manifest(t.Context(), registry.Source, "liar"); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestLiesAtTheStartEndInAnErrorThatNamesThePlugin(t *testing.T) {
	t.Parallel()
	w := locked(t)
	for lie, want := range map[string]string{
		"a line without end": `it printed "xxx`,
		"a network address":  "expected a unix socket below",
		"another socket":     "expected a unix socket below",
		"another protocol":   "incompatible api version", // go-plugin's own words
	} {
		t.Run(lie, func(t *testing.T) {
			inst := liar("")
			inst.Env = []string{"LIAR=" + lie}
			err := wants[*StartError](t, second(w.Read(t.Context(), inst, ReadRequest{})))
			if text := strings.ToLower(err.Error()); !strings.Contains(text, want) || !strings.Contains(text, `source plugin "liar" did not start`) || len(text) > 4<<10 {
				t.Errorf("got %.300q, want it to contain %q", text, want)
			}
		})
	}
}

func TestAFloodOnStderrStopsNobody(t *testing.T) {
	t.Parallel()
	w := locked(t)
	inst := liar("open: hangs up")
	inst.Env = []string{"LIAR=a flood on stderr"}
	wants[*ProtocolError](t, last(t, w.read(inst, ReadRequest{})))
	if n := len(w.log.String()); n > 1<<20 {
		t.Errorf("the log has %d bytes", n)
	}
}

func TestDescriptionsThatLieAreRefused(t *testing.T) {
	t.Parallel()
	w := locked(t)
	for lie, want := range map[string]string{
		"another name": "name", "fewer kinds": "components", "other settings": "source.config_schema", "a kind twice": "its description",
		"an unknown kind": "a component of unknown kind 99", "settings that are no JSON": "config schema", "100 MB": "larger than max",
		"20 MB of settings": "its description", "millions of components": "more than 1048576 elements",
	} {
		t.Run(lie, func(t *testing.T) {
			inst := liar("")
			inst.Env = []string{"LIAR=" + lie}
			_, err := w.Read(t.Context(), inst, ReadRequest{})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"liar"`) || len(err.Error()) > 20<<10 {
				t.Errorf("got %.300v, want it to contain %q and the plugin's name", err, want)
			}
		})
	}
}

func TestListingsThatLieAreRefused(t *testing.T) {
	t.Parallel()
	w := locked(t)
	for lie, want := range map[string]string{
		"100 MB": "larger than max", "millions": "more than 1048576 elements", "twice": `stream "a" is there twice`, "no schema": `stream "a": malformed`,
	} {
		t.Run(lie, func(t *testing.T) {
			broken := wants[*ProtocolError](t, second(w.Discover(t.Context(), liar("discover: "+lie))))
			if !strings.Contains(broken.Detail, want) {
				t.Errorf("got %.300q, want it to contain %q", broken.Detail, want)
			}
		})
	}
}

func TestASourceThatNobodyReadsWaits(t *testing.T) {
	t.Parallel()
	w := locked(t)
	r := w.read(liar("open: endless batches"), ReadRequest{})
	soon(t, "the arrival of frames", func() bool { return r.s.beats.Load() > framesAhead })
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.s.beats.Load(); n > framesAhead+3 {
		t.Errorf("%d frames have come, nobody asked for more than %d", n, framesAhead+3)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestASourceThatFloodsAndDoesNotStopIsKilled(t *testing.T) {
	t.Parallel()
	w := locked(t)
	w.settings.Deadlines.Stop = 200 * time.Millisecond
	r := w.read(liar("open: endless batches"), ReadRequest{})
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if late := wants[*DeadlineError](t, last(t, r)); late.Call != "stop" {
		t.Errorf("got %+v", late)
	}
}

// measured is what a host that is a process of its own says of itself.
type measured struct {
	Errors map[string]string
	Peak   int64
}

// TestTheHostsMemoryStaysBoundedWhateverPluginsSay runs the lies that could fill it in a host whose memory is nobody else's.
func TestTheHostsMemoryStaysBoundedWhateverPluginsSay(t *testing.T) {
	t.Parallel()
	told, err := json.Marshal(scenario{Dir: t.TempDir(), Plugins: plugins(t), Measure: true})
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), hostRole+"="+string(told))
	host.Stderr = os.Stderr
	out, err := host.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got measured
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	for mode, want := range floods {
		if !strings.Contains(got.Errors[mode], want) {
			t.Errorf("%s: got %.300q, want it to contain %q", mode, got.Errors[mode], want)
		}
	}
	const bound = 1 << 30
	if got.Peak > bound {
		t.Errorf("the host took %d MiB, want at most %d", got.Peak>>20, bound>>20)
	}
}

// floods are lies without end or measure; an empty text stands for a read that is closed after some thousand events.
var floods = map[string]string{
	"transform batch: endless batches": "more than 256 MiB", "check batch: endless findings": "more than 256 MiB",
	"sink commit: endless rejections": "more than 256 MiB", "transform batch: millions of rows": "more than 1048576 elements",
	"source open: endless batches": "", "source open: endless progress": "", "source open: endless rejections": "",
	"source open: endless versions": "", "source open: endless checkpoints": "", "source open: endless streams": "one more than the 10000",
	"source open: too large": "larger than max", "source open: a checkpoint of 10 MB": "at most 4194304", "source discover: 100 MB": "larger than max",
}

// hostThatIsMeasured says how the floods end and how much memory they took.
func hostThatIsMeasured(h *Host) measured {
	got := measured{Errors: map[string]string{}}
	for name := range floods {
		kind, mode, _ := strings.Cut(name, " ")
		if err := flooded(h, kind, liar(mode)); err != nil {
			got.Errors[name] = err.Error()
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		got.Errors["status"] = err.Error()
	}
	for line := range bytes.Lines(status) {
		if fields := bytes.Fields(line); len(fields) > 1 && string(fields[0]) == "VmHWM:" {
			kib, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			got.Peak = kib << 10
		}
	}
	return got
}

func flooded(h *Host, kind string, inst Instance) error {
	ctx := context.Background()
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil))
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2, 3}, nil)
	in := sdk.Batch{Stream: "rows", Version: 1, Record: b.NewRecordBatch()}
	change := sdk.SchemaChange{Stream: "rows", Version: 1, Schema: in.Record.Schema()}
	switch kind {
	case "transform":
		tr, err := h.Transform(ctx, inst)
		if err != nil {
			return err
		}
		defer func() { _ = tr.Close() }()
		if _, err := tr.Plan(ctx, []sdk.SchemaChange{change}); err != nil {
			return err
		}
		return second(tr.Apply(ctx, in))
	case "check":
		c, err := h.Check(ctx, inst)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return second(c.Rows(ctx, in))
	case "sink":
		k, err := h.Sink(ctx, inst, sdk.OpenRequest{Flow: "f", Mode: sdk.Append})
		if err != nil {
			return err
		}
		defer func() { _ = k.Close() }()
		return second(k.Commit(ctx, sdk.Mark{Epoch: 1}))
	}
	if strings.Contains(string(inst.Config), "discover") {
		return second(h.Discover(ctx, inst))
	}
	return drained(ctx, h, inst)
}

// drained takes events until there is an error, or there have been many.
func drained(ctx context.Context, h *Host, inst Instance) error {
	r, err := h.Read(ctx, inst, ReadRequest{})
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	for size := 0; size < 300<<20; {
		event, err := r.Next(ctx)
		if err != nil {
			return err
		}
		switch event := event.(type) {
		case BatchEvent:
			size += int(wire.Size(event.Record))
			event.Record.Release()
		case ProgressEvent:
			size += 1 << 20 // as it travels
		case RejectEvent:
			size += wire.MaxRaw
		default:
			size += 20 << 10
		}
	}
	return nil
}

// startMeasured is the part of a host in a process of its own.
func startMeasured(told scenario) error {
	lock, err := registry.OpenLock(filepath.Join(told.Dir, registry.LockFile))
	if err != nil {
		return err
	}
	h, err := New(Settings{Dir: filepath.Join(told.Dir, ".qanat"), ProjectDir: told.Dir, Lock: lock, Paths: []string{told.Plugins}})
	if err != nil {
		return err
	}
	out, err := json.Marshal(hostThatIsMeasured(h))
	if err != nil {
		return err
	}
	fmt.Println(string(out))
	return h.Close()
}
