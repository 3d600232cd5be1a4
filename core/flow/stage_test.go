package flow

import (
	"context"
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/sdk"
)

var errCrash = errors.New("the plugin crashed")

// crashing is a worker whose plugin crashes while the sending half waits at the unit's end.
type crashing struct{ flights chan struct{} }

func (crashing) plan(_ context.Context, in []sdk.SchemaChange) ([]sdk.SchemaChange, error) {
	return in, nil
}

func (c crashing) send(context.Context, sdk.Batch) error {
	close(c.flights)
	return nil
}

func (c crashing) receive(_ context.Context, b sdk.Batch, _ func(item) error) error {
	defer b.Record.Release()
	<-c.flights
	return errCrash
}

func (crashing) id() stageID          { return stageID{} }
func (crashing) tally() *ledger.Stage { return &ledger.Stage{} }

func (crashing) close(context.Context, *closing, func(item) error) error { return nil }

func testBatch(rows int) *sdk.Batch {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
	}
	return &sdk.Batch{Stream: "s", Version: 1, Record: b.NewRecordBatch()}
}

// Without an end these tests run into the test's own deadline.
func TestAPluginThatFailsAtAUnitsEndEndsItsStage(t *testing.T) {
	in, out := make(chan item, 8), make(chan item, 8)
	in <- item{batch: testBatch(1)}
	in <- item{closing: &closing{}}
	close(in)
	if err := work(t.Context(), crashing{flights: make(chan struct{})}, in, out); !errors.Is(err, errCrash) {
		t.Errorf("%v, want the crash", err)
	}
}

// endless is a source without an end.
type endless struct{}

func (endless) read(_ context.Context, emit func(event) error) error {
	for {
		if err := emit(event{batch: testBatch(1)}); err != nil {
			return err
		}
	}
}

func (endless) ack(sdk.Position) error { return nil }
func (endless) stop()                  {}
func (endless) close() error           { return nil }

func TestAFailedStageStopsTheReader(t *testing.T) {
	p := &producer{settings: &Settings{Name: "f"}, runtime: &Runtime{Progress: progress.New("f")}, reader: endless{}}
	p.stages = append(p.stages, func(context.Context, <-chan item, chan<- item) error { return errCrash })
	if err := p.run(t.Context(), nil, 1, nil); !errors.Is(err, errCrash) {
		t.Errorf("%v, want the crash", err)
	}
}
