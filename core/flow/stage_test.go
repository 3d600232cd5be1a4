package flow

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

type crashing struct{}

var errCrash = errors.New("the plugin crashed")

func (crashing) plan(_ context.Context, in []sdk.SchemaChange) ([]sdk.SchemaChange, error) {
	return in, nil
}
func (crashing) send(context.Context, sdk.Batch) error { return nil }
func (crashing) receive(_ context.Context, b sdk.Batch, _ func(item) error) error {
	b.Record.Release()
	time.Sleep(50 * time.Millisecond)
	return errCrash
}
func (crashing) close(context.Context, *closing, func(item) error) error { return nil }

func testBatch(rows int) *sdk.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil))
	defer b.Release()
	for i := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
	}
	return &sdk.Batch{Stream: "s", Version: 1, Record: b.NewRecordBatch()}
}

// A plugin that crashes on the last batch of a unit.
func TestAPluginThatFailsAtAUnitsEndEndsItsStage(t *testing.T) {
	in, out := make(chan item, 8), make(chan item, 8)
	in <- item{batch: testBatch(1)}
	in <- item{closing: &closing{}}
	close(in)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { done <- work(ctx, crashing{}, in, out) }()
	select {
	case err := <-done:
		t.Log("returned", err)
	case <-time.After(5 * time.Second):
		t.Error("work hangs after the plugin crashed")
		cancel()
		<-done
	}
}

type endless struct{ emitted int }

func (e *endless) read(_ context.Context, emit func(event) error) error {
	for {
		if err := emit(event{batch: testBatch(1)}); err != nil {
			return err
		}
		e.emitted++
		time.Sleep(time.Millisecond)
	}
}
func (*endless) ack(sdk.Position) error { return nil }
func (*endless) stop()                  {}
func (*endless) close() error           { return nil }

// A stage fails on its first item: the source is read on.
func TestAFailedStageStopsTheReader(t *testing.T) {
	r := &endless{}
	p := &producer{settings: &Settings{Name: "f"}, runtime: &Runtime{Progress: NewProgress("f")}, reader: r}
	p.stages = append(p.stages, func(context.Context, <-chan item, chan<- item) error { return errCrash })
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { done <- p.run(ctx, nil, 1, nil) }()
	select {
	case err := <-done:
		t.Log("returned", err)
	case <-time.After(3 * time.Second):
		t.Errorf("the producer still reads")
		cancel()
		<-done
		t.Errorf("%d batches were read and dropped after the failure", r.emitted)
	}
}
