package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

// owned is a batch that the test must release, from an allocator that notices if it does not.
func owned(t testing.TB, n int) arrow.RecordBatch {
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	record := numbers(alloc, n)
	t.Cleanup(func() {
		record.Release()
		// The connection may still hold the last batches for a moment after the handle is closed.
		soon(t, "the release of the rows that were sent", func() bool { return alloc.CurrentAlloc() == 0 })
	})
	return record
}

func (w *world) transform(config settings) *Transform {
	w.Helper()
	tr, err := w.Transform(w.Context(), instance("echo", config))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := tr.Close(); err != nil {
			w.Error(err)
		}
	})
	return tr
}

func ids(batches []sdk.Batch) (out []int64) {
	for _, b := range batches {
		out = append(out, b.Record.Column(0).(*array.Int64).Int64Values()...)
	}
	return out
}

func release(batches []sdk.Batch) {
	for _, b := range batches {
		b.Record.Release()
	}
}

func TestPlanTravelsWhole(t *testing.T) {
	t.Parallel()
	record := owned(t, 1)
	got, err := newWorld(t).transform(settings{}).Plan(t.Context(), []sdk.SchemaChange{change(record)})
	if err != nil {
		t.Fatal(err)
	}
	want := sdk.Plan{
		Outputs:     []sdk.PlannedOutput{{Name: "rows", Schema: record.Schema(), Key: []string{"id"}}},
		Lineage:     sdk.IdentityOf("rows", "rows", record.Schema()),
		Cardinality: sdk.OneToOne, Deterministic: true, Description: "echo",
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *arrow.Schema) bool { return a.Equal(b) })); diff != "" {
		t.Error(diff)
	}
}

func TestTransformAnswersInOrderWithSeveralBatchesUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	tr := w.transform(settings{"reject": []int{1}})
	const batches, rows = 50, 1000
	record := owned(t, rows)
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{change(record)}); err != nil {
		t.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := range batches {
			version := 1 + i/20 // the schema is announced again
			if err := tr.Send(context.Background(), sdk.Batch{Stream: "rows", Version: version, Origin: fmt.Sprint(i), Record: record}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range batches {
		got, err := tr.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Batches) != 1 || got.Batches[0].Record.NumRows() != rows || got.Batches[0].Origin != fmt.Sprint(i) {
			t.Errorf("answer %d: %v", i, got.Batches)
		}
		want := []sdk.Rejection{{Stream: "rows", Code: "told", Reason: "it was told so", Row: 1, Raw: []byte{}}}
		if diff := cmp.Diff(want, got.Rejections, cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })); diff != "" {
			t.Error(diff)
		}
		release(got.Batches)
	}
	sending.Wait()
}

func TestLargeBatchIsCutAndItsAnswerIsPutTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	tr := w.transform(settings{"reject": []int{0}})
	const rows = 500_000
	record := owned(t, rows)
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{change(record)}); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Apply(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record})
	if err != nil {
		t.Fatal(err)
	}
	defer release(got.Batches)
	all := ids(got.Batches)
	if len(got.Batches) < 2 || len(all) != rows || all[rows-1] != rows-1 {
		t.Fatalf("%d batches of %d rows", len(got.Batches), len(all))
	}
	var want, rejected []int // the first row of each part, by its index in the batch that was sent
	next := 0
	for _, part := range parts(record) {
		want = append(want, next)
		next += int(part.NumRows())
		part.Release()
	}
	for _, r := range got.Rejections {
		rejected = append(rejected, r.Row)
	}
	if diff := cmp.Diff(want, rejected); diff != "" {
		t.Error(diff)
	}
}

func TestRowsFarLargerThanTheOthersAreCutApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	tr := w.transform(settings{})
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "raw", Type: arrow.BinaryTypes.Binary}}, nil))
	defer b.Release()
	for i := range 2000 {
		size := 1
		if i >= 10 && i < 13 {
			size = 12 << 20
		}
		b.Field(0).(*array.BinaryBuilder).Append(make([]byte, size))
	}
	record := b.NewRecordBatch()
	defer record.Release()
	in := sdk.SchemaChange{Stream: "rows", Version: 1, Schema: record.Schema()}
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{in}); err != nil {
		t.Fatal(err)
	}
	got, err := tr.Apply(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record})
	if err != nil {
		t.Fatal(err)
	}
	defer release(got.Batches)
	var rows int64
	for _, b := range got.Batches {
		rows += b.Record.NumRows()
	}
	if rows != 2000 {
		t.Errorf("%d rows came back, want 2000", rows)
	}
}

func TestFinishHandsOverPieceByPiece(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	tr := w.transform(settings{"collect": true, "cardinality": "many", "kind": "aggregated"})
	record := owned(t, 10)
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{change(record)}); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if got, err := tr.Apply(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record}); err != nil || len(got.Batches) > 0 {
			t.Fatalf("gathering gave %v, %v", got, err)
		}
	}
	pieces := 0
	err := tr.Finish(t.Context(), func(r Result) error {
		pieces++
		if len(ids(r.Batches)) != 10 {
			t.Errorf("piece %d has ids %v", pieces, ids(r.Batches))
		}
		release(r.Batches)
		return nil
	})
	if err != nil || pieces != 30 {
		t.Errorf("%d pieces, %v", pieces, err)
	}
}

func TestFinishEndsWithTheErrorOfItsConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	tr := w.transform(settings{"collect": true})
	record := owned(t, 10)
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{change(record)}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := tr.Apply(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record}); err != nil {
			t.Fatal(err)
		}
	}
	full := errors.New("the disk is full")
	err := tr.Finish(t.Context(), func(r Result) error {
		release(r.Batches)
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

func TestCallsThatNeedAnEmptyPipeAreRefusedBesideOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	tr := w.transform(settings{})
	record := owned(t, 10)
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{change(record)}); err != nil {
		t.Fatal(err)
	}
	if err := tr.Send(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record}); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{change(record)}); err == nil {
		t.Error("a plan was made while a batch is under way")
	}
	got, err := tr.Receive(t.Context())
	if err != nil {
		t.Fatalf("the refusal disturbed the batch: %v", err)
	}
	release(got.Batches)
}

func TestAWaitThatIsGivenUpLosesNoAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	tr := w.transform(settings{})
	record := owned(t, 10)
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{change(record)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tr.Send(ctx, sdk.Batch{Stream: "rows", Version: 1, Record: record}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	if _, err := tr.Receive(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	got, err := tr.Apply(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record})
	if err != nil {
		t.Fatal(err)
	}
	release(got.Batches)
}

func TestClaimsInAnswersAreChecked(t *testing.T) {
	t.Parallel()
	record := owned(t, 10)
	w := newWorld(t, checked(t))
	batch := sdk.Batch{Stream: "rows", Version: 1, Record: record}
	cases := map[string]func(t *testing.T) error{
		"plan with an unknown cardinality":  func(*testing.T) error { return w.planned(settings{"cardinality": "some"}, record) },
		"plan with an unknown lineage kind": func(*testing.T) error { return w.planned(settings{"kind": "magic"}, record) },
		"rejected row behind the batch":     func(*testing.T) error { return w.applied(settings{"reject": []int{10}}, batch) },
		"rejected row before the batch":     func(*testing.T) error { return w.applied(settings{"reject": []int{-1}}, batch) },
		"row rejected twice":                func(*testing.T) error { return w.applied(settings{"reject": []int{3, 3}}, batch) },
		"finding behind the batch": func(t *testing.T) error {
			return second(w.check(t, settings{"reject": []int{10}}).Rows(t.Context(), batch))
		},
		"unknown verdict": func(t *testing.T) error {
			return second(w.check(t, settings{"verdict": "fine"}).Result(t.Context()))
		},
		"unknown guarantee": func(t *testing.T) error {
			return second(w.Sink(t.Context(), instance("echo", settings{"guarantee": "always"}), sdk.OpenRequest{}))
		},
		"mark of a later epoch": func(t *testing.T) error {
			return second(w.sink(t, settings{"epoch": 9}).Begin(t.Context(), 8))
		},
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			wants[*ProtocolError](t, run(t))
		})
	}
}

func (w *world) planned(config settings, record arrow.RecordBatch) error {
	return second(w.transform(config).Plan(w.Context(), []sdk.SchemaChange{change(record)}))
}

func (w *world) applied(config settings, b sdk.Batch) error {
	tr := w.transform(config)
	if _, err := tr.Plan(w.Context(), []sdk.SchemaChange{change(b.Record)}); err != nil {
		return err
	}
	return second(tr.Apply(w.Context(), b))
}

func (w *world) check(t *testing.T, config settings) *Check {
	t.Helper()
	c, err := w.Check(t.Context(), instance("echo", config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (w *world) sink(t *testing.T, config settings) *Sink {
	t.Helper()
	k, err := w.Sink(t.Context(), instance("echo", config), sdk.OpenRequest{Flow: "orders", Mode: sdk.Upsert, Key: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func TestCheckFindsAndJudges(t *testing.T) {
	t.Parallel()
	c := newWorld(t, checked(t)).check(t, settings{"reject": []int{2}, "verdict": "warn"})
	record := owned(t, 10)
	if err := c.Plan(t.Context(), change(record)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.Send(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		findings, err := c.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []sdk.Finding{{Row: 2, Column: "id", Code: "told", Reason: "it was told so"}}
		if diff := cmp.Diff(want, findings); diff != "" {
			t.Error(diff)
		}
	}
	got, err := c.Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := sdk.CheckResult{Verdict: sdk.Warn, Message: "counted", Metrics: map[string]float64{"rows": 30}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSinkIsTakenThroughAUnit(t *testing.T) {
	t.Parallel()
	k := newWorld(t, checked(t)).sink(t, settings{"reject": []int{4}, "epoch": 2})
	want := sdk.Opened{Guarantee: sdk.ExactlyOnce, PreferredRows: 100, External: sdk.ExternalDataset{Namespace: "orders", Name: "upsert"}}
	if diff := cmp.Diff(want, k.Opened()); diff != "" {
		t.Error(diff)
	}
	record := owned(t, 10)
	actions, err := k.PlanSchema(t.Context(), change(record))
	if err != nil || len(actions) != 1 || actions[0].Object != "rows" {
		t.Errorf("got %v, %v", actions, err)
	}
	if err := k.ApplySchema(t.Context(), change(record)); err != nil {
		t.Fatal(err)
	}
	mark, err := k.Begin(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sdk.Mark{Epoch: 2, Seq: 7, Position: sdk.Position(`{"at":7}`)}, mark); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		rejections, err := k.Write(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record})
		if err != nil || len(rejections) != 1 || rejections[0].Row != 4 {
			t.Fatalf("got %v, %v", rejections, err)
		}
	}
	rejections, err := k.Commit(t.Context(), sdk.Mark{Epoch: 3, Seq: 8, Position: sdk.Position("8")})
	if err != nil || len(rejections) != 1 || rejections[0].Reason != "20" {
		t.Errorf("got %v, %v", rejections, err)
	}
	_, err = k.Commit(t.Context(), sdk.Mark{Epoch: 1})
	if typed := wants[*sdk.Error](t, err); typed.Kind != sdk.KindFenced {
		t.Errorf("got kind %v, want fenced", typed.Kind)
	}
}

func TestSendAlsoReturnsWhyThePluginEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	k := w.sink(t, settings{})
	record := owned(t, 10)
	// Without ApplySchema the sink fails at the first batch.
	received := make(chan error, 1)
	go func() {
		_, err := k.Receive(context.Background())
		received <- err
	}()
	var err error
	for err == nil {
		err = k.Send(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record})
	}
	if typed := wants[*sdk.Error](t, err); typed.Kind != sdk.KindFatal {
		t.Errorf("got kind %v, want fatal", typed.Kind)
	}
	if got := <-received; !errors.Is(got, err) {
		t.Errorf("Receive returned %v, Send %v", got, err)
	}
}

func TestTransformThatDoesNotAnswerIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t), func(s *Settings) { s.Deadlines.Answer = 300 * time.Millisecond })
	tr := w.transform(settings{"hang": true})
	record := numbers(memory.DefaultAllocator, 10)
	defer record.Release()
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{change(record)}); err != nil {
		t.Fatal(err)
	}
	_, err := tr.Apply(t.Context(), sdk.Batch{Stream: "rows", Version: 1, Record: record})
	if late := wants[*DeadlineError](t, err); late.Call != opBatch || late.Name != "echo" {
		t.Errorf("got %+v", late)
	}
	<-tr.s.Done()
	if !Retryable(err) {
		t.Error("a late answer is not retryable")
	}
}

func TestSendThatIsGivenUpInTheMiddleEndsTheHandle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	tr := w.transform(settings{"hang": true})
	record := numbers(memory.DefaultAllocator, 200_000)
	defer record.Release()
	if _, err := tr.Plan(t.Context(), []sdk.SchemaChange{change(record)}); err != nil {
		t.Fatal(err)
	}
	// The plugin takes nothing any more, so what is sent fills the connection up, until Send blocks.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var err error
	for err == nil {
		err = tr.Send(ctx, sdk.Batch{Stream: "rows", Version: 1, Record: record})
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Send: got %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := tr.Receive(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Receive: got %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestPatienceCountsOnlyTheTimeThatTheHostWaits(t *testing.T) {
	t.Parallel()
	late := make(chan promise, 1)
	p := &patience{expired: func(one promise) { late <- one }}
	p.owe("slow consumer", time.Nanosecond)
	p.settle()
	p.owe("first", time.Hour)
	p.wait(true)
	p.wait(false)
	p.settle()
	p.owe("second", time.Nanosecond)
	select {
	case one := <-late:
		t.Fatalf("%q is late while the host does not wait", one.call)
	default:
	}
	p.wait(true)
	if one := <-late; one.call != "second" {
		t.Errorf("%q is late", one.call)
	}
	p.settle()
	p.stop()
}
