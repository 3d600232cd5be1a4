package flow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/zone"
)

// What a killed runner left of an open unit fills the log; the next runner's unit does not fit beside it.
func TestVoidFramesOfAKilledRunnerMakeRoom(t *testing.T) {
	p, err := open(t.Context(), t.TempDir(), memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close(context.Background()) }()
	const size = 4 << 20
	log, err := p.runtime.Broker.Log(t.Context(), "test.landing", broker.LogSettings{MaxBytes: size})
	if err != nil {
		t.Fatal(err)
	}
	w, err := log.Publisher(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Publish(t.Context(), broker.Frame{Control: true, Header: map[string]string{"kind": "takeover"}}); err != nil {
		t.Fatal(err)
	}
	for range 38 { // 3.8 MB of 4: the open unit of a runner that is killed now
		if _, err := w.Publish(t.Context(), broker.Frame{Header: map[string]string{"kind": "batch"}, Body: [][]byte{make([]byte, 100<<10)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Close()
	s := p.landing()
	s.LogBytes = size
	s.Commit = flow.Thresholds{} // one unit of about 3.6 MB
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Second, errors.New("hangs"))
	defer cancel()
	began := time.Now()
	if err := flow.Run(ctx, s, p.runtime, make(chan struct{})); err != nil {
		st, _ := log.State(context.Background())
		t.Errorf("after %s: %v; log %+v", time.Since(began), err, st)
	}
}

// on_schema_change: quarantine.
func TestRefusedSchemasGoToQuarantineAndNotIntoTheLog(t *testing.T) {
	p, err := open(t.Context(), t.TempDir(), memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close(context.Background()) }()
	_, err = p.runtime.Zones.Create(t.Context(), landed, arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String, Nullable: true}}, nil), zone.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.landing()
	s.Target.QuarantineSchema = true
	for range 2 {
		if err := flow.Run(t.Context(), s, p.runtime, make(chan struct{})); err != nil {
			t.Error(err)
		}
	}
}

// Killed between quarantine and ledger row of the last unit: is its quarantine visible?
func TestQuarantinedRowsAreVisibleAfterACrashBeforeTheLedgerRow(t *testing.T) {
	dir := t.TempDir()
	_ = runChild(t, dir, "after-quarantine:3")
	p, err := open(t.Context(), dir, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close(context.Background()) }()
	if err := flow.Run(t.Context(), p.landing(), p.runtime, make(chan struct{})); err != nil {
		t.Fatal(err)
	}
	name := zone.Name{Zone: zone.Quarantine, Namespace: "test", Dataset: "landing"}
	view, err := p.runtime.Ledger.View(t.Context(), name.String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.runtime.Zones.Dataset(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	files, err := d.Files(t.Context(), view.Snapshot)
	if err != nil {
		t.Fatal(err)
	}
	var rows int64
	for _, f := range files {
		rows += f.Rows
	}
	if head := d.Head().Rows; rows != head {
		t.Errorf("readers see %d quarantined rows, the dataset has %d; view %+v", rows, head, view)
	}
}
