package flow

import (
	"context"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/sdk"
)

// echo is a worker that passes on what it gets.
type echo struct {
	name   string
	counts ledger.Stage
}

func (*echo) plan(_ context.Context, in []sdk.SchemaChange) ([]sdk.SchemaChange, error) {
	return in, nil
}

func (*echo) send(context.Context, sdk.Batch) error { return nil }
func (e *echo) id() stageID                         { return stageID{stage: "transform", step: e.name, plugin: "echo"} }
func (e *echo) tally() *ledger.Stage                { return &e.counts }

func (e *echo) receive(_ context.Context, b sdk.Batch, emit func(item) error) error {
	e.counts.In += b.Record.NumRows()
	e.counts.Out += b.Record.NumRows()
	return emit(item{batch: &b})
}

func (e *echo) close(_ context.Context, c *closing, _ func(item) error) error {
	c.Stages = append(c.Stages, e.counts)
	return nil
}

func someRows(step string, raws ...string) *redrive {
	r := &redrive{step: step, stream: "s", origin: "o", alloc: memory.DefaultAllocator}
	for _, raw := range raws {
		r.rows = append(r.rows, []byte(raw))
	}
	return r
}

var idSchema = &sdk.SchemaChange{
	Stream: "s", Version: 1, Schema: arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil),
}

// passStages sends items through two stages, and returns what comes out.
func passStages(t *testing.T, items ...item) []item {
	t.Helper()
	in := make(chan item, len(items))
	for _, i := range items {
		in <- i
	}
	close(in)
	for _, name := range []string{"one", "two"} {
		out := make(chan item, 64)
		if err := work(t.Context(), &echo{name: name, counts: ledger.Stage{Name: name, Maps: true}}, in, out); err != nil {
			t.Fatal(err)
		}
		close(out)
		in = out
	}
	var all []item
	for i := range in {
		all = append(all, i)
	}
	return all
}

func TestRedrivenRowsPassTheStagesBeforeTheirsAndAreCountedByAll(t *testing.T) {
	t.Parallel()
	closing := &closing{}
	out := passStages(t,
		item{schema: idSchema},
		item{redrive: someRows("two", `{"id":1}`, `{"id":"x"}`, `{"id":2}`)},
		item{redrive: someRows("target", `{"id":3}`)},
		item{redrive: someRows("one", `{"id":4}`)},
		item{closing: closing})
	want := []ledger.Stage{
		{Name: "one", Maps: true, In: 5, Out: 5}, {Name: "two", Maps: true, In: 5, Out: 4, Rejected: 1},
	}
	if diff := cmp.Diff(want, closing.Stages); diff != "" {
		t.Error(diff)
	}
	if err := accounts(closing.Stages); err != nil {
		t.Error(err)
	}
	var kinds []string
	for _, i := range out {
		switch {
		case i.batch != nil:
			kinds = append(kinds, "batch")
			if i.batch.Origin != "o" || i.batch.Stream != "s" {
				t.Errorf("a batch of %q from %q", i.batch.Stream, i.batch.Origin)
			}
			i.release()
		case i.redrive != nil:
			kinds = append(kinds, "for "+i.redrive.step)
		case len(i.rejects) > 0:
			r := i.rejects[0]
			kinds = append(kinds, r.Step+" "+r.Code+" "+string(r.Raw))
		}
	}
	slices.Sort(kinds)
	if diff := cmp.Diff([]string{"batch", "batch", "batch", "for target", `two does_not_fit {"id":"x"}`}, kinds); diff != "" {
		t.Error(diff)
	}
}

func TestRedrivenRowsOfAStreamThatIsGoneAreRejectedAgain(t *testing.T) {
	t.Parallel()
	closing := &closing{}
	out := passStages(t, item{redrive: someRows("one", `{"id":1}`, `{"id":2}`)}, item{closing: closing})
	if len(out) != 2 || len(out[0].rejects) != 2 || out[0].rejects[0].Reason == "" {
		t.Errorf("%+v", out)
	}
	if err := accounts(closing.Stages); err != nil || closing.Stages[0].Rejected != 2 {
		t.Errorf("%+v, %v", closing.Stages, err)
	}
}

// What a sink rejected goes to the log as it is, behind all stages.
func TestRowsThatASinkRejectedComeInBehindAllStages(t *testing.T) {
	t.Parallel()
	r := testRuntime(t)
	log, err := r.Broker.Log(t.Context(), "f", broker.LogSettings{})
	if err != nil {
		t.Fatal(err)
	}
	writer, err := log.Publisher(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	p := newPublisher(writer, 1, "")
	defer p.reset()
	closing := &closing{Stages: []ledger.Stage{{Name: "read", Maps: true, In: 3, Out: 3}}}
	for _, i := range []item{
		{schema: idSchema}, {redrive: someRows(sinkStage, `{"id":1}`, `{"id":2}`, `{"no":3}`)}, {closing: closing},
	} {
		if err := p.item(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(ledger.Stage{Name: "log", Maps: true, In: 3, Out: 2, Rejected: 1}, closing.Stages[1]); diff != "" {
		t.Error(diff)
	}
	controls, err := log.Controls(t.Context(), 0)
	if err != nil || len(controls) != 1 {
		t.Fatal(len(controls), err)
	}
	frame, err := parseClose(controls[0])
	if err != nil || frame.Rows["s"] != 2 || frame.Rejected != 1 {
		t.Errorf("%+v, %v", frame, err)
	}
}
