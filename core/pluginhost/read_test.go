package pluginhost

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

func TestReadDeliversWhatTheSourceEmitsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	r := w.read(instance("count", settings{"rows": 10, "batch": 4}), ReadRequest{Streams: []string{"rows"}})
	events, rows := drain(t, r)
	if rows != 10 {
		t.Errorf("%d rows, want 10", rows)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("got %v at the end, want io.EOF", err)
	}
	schema, ok := events[0].(SchemaEvent)
	if !ok || schema.Schema.NumFields() != 5 || schema.Key[0] != "id" {
		t.Errorf("first event is %v", events[0])
	}
	batch := BatchEvent{Stream: "rows", Version: 1, Origin: "counter"}
	want := []Event{batch, CheckpointEvent("4"), batch, CheckpointEvent("8"), batch, CheckpointEvent("10")}
	if diff := cmp.Diff(want, events[1:]); diff != "" {
		t.Error(diff)
	}
}

func TestReadGoesOnFromThePosition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	_, rows := drain(t, w.read(instance("count", settings{"rows": 10}), ReadRequest{Position: sdk.Position("8")}))
	if rows != 2 {
		t.Errorf("%d rows, want 2", rows)
	}
}

func TestAcksArriveAlsoAfterTheEndOfInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	acks := filepath.Join(w.dir, "acks")
	r := w.read(instance("count", settings{"rows": 10, "ack_file": acks}), ReadRequest{Acked: sdk.Position("0")})
	drain(t, r)
	if err := r.Ack(sdk.Position("10")); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(acks)
	if err != nil || string(got) != "0\n10\nclosed\n" {
		t.Errorf("the source was acknowledged %q, %v", got, err)
	}
}

func TestStopEndsAReadThatFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	r := w.read(instance("count", settings{"rows": 4}), ReadRequest{Follow: true})
	for range 3 {
		event, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if batch, ok := event.(BatchEvent); ok {
			batch.Record.Release()
		}
	}
	waiting, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := r.Next(waiting); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v while nothing comes, want the end of waiting", err)
	}
	for range 2 {
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want io.EOF", err)
	}
}

func TestCloseEndsAReadThatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	r := w.read(instance("count", settings{"rows": 1 << 40, "batch": 8192}), ReadRequest{})
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Next: got %v, want %v", err, ErrClosed)
	}
	if err := r.Ack(sdk.Position("1")); !errors.Is(err, ErrClosed) {
		t.Errorf("Ack: got %v, want %v", err, ErrClosed)
	}
}

func TestCloseWakesACallerThatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.read(instance("count", settings{"rows": 0, "batch": 0}), ReadRequest{Follow: true})
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	woken := make(chan error, 1)
	go func() {
		_, err := r.Next(context.Background())
		woken <- err
	}()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-woken; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
}

func TestErrorsOfASourceKeepTheirKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, checked(t))
	r := w.read(instance("count", settings{"rows": 10, "fail": "retryable"}), ReadRequest{})
	err := last(t, r)
	if typed := wants[*sdk.Error](t, err); typed.Kind != sdk.KindRetryable {
		t.Errorf("kind %v, want retryable", typed.Kind)
	}
	if got, want := err.Error(), `source plugin "count": the line is down at row 8`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestSettingsThatThePluginRefusesAreAConfigError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inst := instance("count", settings{"rows": 1, "batch": 2})
	if typed := wants[*sdk.Error](t, last(t, w.read(inst, ReadRequest{}))); typed.Kind != sdk.KindConfig || typed.Path != "/batch" {
		t.Errorf("got %+v", typed)
	}
	inst.Kind = "source"
	faults, err := w.Validate(t.Context(), inst)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ConfigFault{{Path: "/batch", Message: "is larger than rows"}}, faults); diff != "" {
		t.Error(diff)
	}
}

func TestDiscoverListsTheStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	streams, err := w.Discover(t.Context(), instance("count", settings{"rows": 12}))
	if err != nil {
		t.Fatal(err)
	}
	if len(streams) != 1 || streams[0].Schema.NumFields() != 5 {
		t.Fatalf("got %v", streams)
	}
	streams[0].Schema = nil
	want := []sdk.Stream{{
		Name: "rows", Description: "numbered rows", Key: []string{"id"}, EstimatedRows: 12,
		External: sdk.ExternalDataset{Namespace: "count", Name: "rows"},
	}}
	if diff := cmp.Diff(want, streams); diff != "" {
		t.Error(diff)
	}
	wants[*ProtocolError](t, second(w.Discover(t.Context(), odd(""))))
}

func second[T any](_ T, err error) error { return err }
