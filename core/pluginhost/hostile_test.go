package pluginhost

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
)

func liar(mode string) Instance { return instance("liar", settings{"mode": mode}) }

// idBatch is three rows of one column, which the liar knows.
func idBatch(t testing.TB) sdk.Batch {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil))
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2, 3}, nil)
	record := b.NewRecordBatch()
	t.Cleanup(record.Release)
	return sdk.Batch{Stream: "rows", Version: 1, Record: record}
}

// hostileStage drives a liar through all calls of a kind until one fails, and returns that error and the process. With "says
// nothing" and the like, the host is the one that ends it.
func (w *world) hostileStage(t *testing.T, kind registry.Kind, inst Instance) (pid int, err error) {
	t.Helper()
	in := idBatch(t)
	change := sdk.SchemaChange{Stream: "rows", Version: 1, Schema: in.Record.Schema()}
	closing := func(close func() error) {
		if err := close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Logf("close: %v", err)
		}
	}
	switch kind {
	case registry.Transform:
		tr, err := w.Transform(t.Context(), inst)
		if err != nil {
			return 0, err
		}
		defer closing(tr.Close)
		if _, err = tr.Plan(t.Context(), []sdk.SchemaChange{change}); err == nil {
			_, err = tr.Apply(t.Context(), in)
		}
		if err == nil {
			err = tr.Finish(t.Context(), func(Result) error { return nil })
		}
		return tr.s.PID(), err
	case registry.Check:
		c, err := w.Check(t.Context(), inst)
		if err != nil {
			return 0, err
		}
		defer closing(c.Close)
		if err = c.Plan(t.Context(), change); err == nil {
			_, err = c.Rows(t.Context(), in)
		}
		if err == nil {
			_, err = c.Result(t.Context())
		}
		return c.s.PID(), err
	case registry.Sink:
		return w.hostileSink(t, inst, change, in)
	}
	r, err := w.Read(t.Context(), inst, ReadRequest{Streams: []string{"rows"}})
	if err != nil {
		return 0, err
	}
	defer closing(r.Close)
	return r.s.PID(), last(t, r)
}

func (w *world) hostileSink(t *testing.T, inst Instance, change sdk.SchemaChange, in sdk.Batch) (pid int, err error) {
	t.Helper()
	k, err := w.Sink(t.Context(), inst, sdk.OpenRequest{Flow: "orders", Mode: sdk.Append})
	if err != nil {
		return 0, err
	}
	defer func() { _ = k.Close() }()
	if _, err = k.PlanSchema(t.Context(), change); err == nil {
		err = k.ApplySchema(t.Context(), change)
	}
	if err == nil {
		_, err = k.Begin(t.Context(), 1)
	}
	if err == nil {
		_, err = k.Write(t.Context(), in)
	}
	if err == nil {
		_, err = k.Commit(t.Context(), sdk.Mark{Epoch: 1, Seq: 1, Position: sdk.Position("1")})
	}
	return k.s.PID(), err
}

// TestEveryLieEndsInAnErrorThatNamesThePlugin has what a plugin could say wrongly on each stream, and what the host says to it.
func TestEveryLieEndsInAnErrorThatNamesThePlugin(t *testing.T) {
	t.Parallel()
	patient := newWorld(t, func(s *Settings) { s.Deadlines.Close = time.Second })
	hurried := newWorld(t, func(s *Settings) {
		s.Deadlines.Answer, s.Deadlines.Finish, s.Deadlines.Close = time.Second, time.Second, time.Second
	})
	for _, w := range []*world{patient, hurried} {
		if _, err := w.Manifest(t.Context(), registry.Transform, "liar"); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("lies", func(t *testing.T) {
		for _, c := range hostileCases() {
			w := patient
			if strings.Contains(c.as, "deadline") {
				w = hurried
			}
			for _, kind := range c.kinds {
				t.Run(fmt.Sprintf("%s %s", kind, c.mode), func(t *testing.T) {
					t.Parallel()
					c.check(t, w, kind)
				})
			}
		}
	})
	if left := len(patient.running) + len(hurried.running); left > 0 {
		t.Errorf("the hosts still count %d processes as running", left)
	}
}

func (c hostileCase) check(t *testing.T, w *world, kind registry.Kind) {
	t.Helper()
	pid, err := w.hostileStage(t, kind, liar(c.mode))
	if err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("got %v, want an error that contains %q", err, c.want)
	}
	text := err.Error()
	if !strings.Contains(text, c.want) || !strings.Contains(text, fmt.Sprintf(`%s plugin "liar"`, kind)) {
		t.Errorf("got %.300q, want it to contain %q and the plugin's name", text, c.want)
	}
	if len(text) > 20<<10 {
		t.Errorf("the error has %d bytes", len(text))
	}
	if typed, want := errorType(err), or(c.as, "protocol"); !strings.Contains(want, typed) {
		t.Errorf("got a %s error, want a %s error", typed, want)
	}
	if pid != 0 && !gone(pid) {
		t.Errorf("process %d is still there", pid)
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// errorType is the kind of error that a caller would find.
func errorType(err error) string {
	if _, ok := errors.AsType[*ProtocolError](err); ok {
		return "protocol"
	}
	if _, ok := errors.AsType[*DeadlineError](err); ok {
		return "deadline"
	}
	if _, ok := errors.AsType[*CrashError](err); ok {
		return "crash"
	}
	if _, ok := errors.AsType[*sdk.Error](err); ok {
		return "plugin's own"
	}
	return fmt.Sprintf("%T", err)
}

type hostileCase struct {
	kinds      []registry.Kind
	mode, want string
	as         string // the type of the error; a protocol error by default
}

// The kinds whose streams a case is for.
func kinds(all ...registry.Kind) []registry.Kind { return all }

func hostileCases() []hostileCase {
	return slices.Concat(everywhere(), inTransforms(), inChecks(), inSinks(), inSources())
}

// everywhere are lies that make sense on any stream, and in answer to any call.
func everywhere() []hostileCase {
	all := kinds(registry.Transform, registry.Check, registry.Sink, registry.Source)
	pipes := all[:3]
	return []hostileCase{
		{all, "open: hangs up", "it ended the stream before it was asked to", ""},
		{all, "open: exits", "exited with status 0", "crash"},
		{all, "open: closes mid-frame", "closed the connection", ""},
		{all, "open: an empty frame", "a frame <nil>", ""},
		{all, "open: a wrong answer", "a frame *pluginv1.Head_Ack", ""},
		{all, "open: too large", "larger than max", ""},
		{all, "open: garbage", "plugin frame", ""},
		{all, "open: millions of rows", "more than 1048576 elements", ""},
		{all, "open: a long error", "eeee", "plugin's own"},
		{all, "open: an unknown error", `plugin "liar"`, "plugin's own"},
		{pipes, "batch: hangs up", "it ended the stream before it was asked to", ""},
		{pipes, "batch: exits", "exited with status 0", "crash"},
		{pipes, "batch: closes mid-frame", "closed the connection", ""},
		{all[:2], "batch: says nothing", `it did not answer "batch" within 1s`, "deadline"},
	}
}

func inTransforms() []hostileCase {
	transform := kinds(registry.Transform)
	return []hostileCase{
		{transform, "batch: an empty frame", `a frame <nil> in the answer to "batch"`, ""},
		{transform, "batch: too large", "larger than max", ""},
		{transform, "batch: millions of rows", "more than 1048576 elements", ""},
		{transform, "open: many answers", "its plan: there is none in the answer", ""},
		{transform, "plan: hangs up", "it ended the stream before it was asked to", ""},
		{transform, "batch: other columns", `output "rows": its schema is not the planned one`, ""},
		{transform, "batch: an unplanned output", `output "elsewhere": its schema is not the planned one`, ""},
		{transform, "batch: an unasked batch", "whose schema did not come before it", ""},
		{transform, "batch: a version again", "schema version 1, expected one after the last", ""},
		{transform, "batch: fewer rows", "a batch of 3 rows was announced with 4", ""},
		{transform, "batch: half a body", "malformed", ""},
		{transform, "batch: a row behind", "row 3 is rejected, expected one from 0 to 2", ""},
		{transform, "batch: a row before", "row -2 is rejected", ""},
		{transform, "batch: a row twice", "row 1 is rejected twice", ""},
		{transform, "batch: long raw bytes", "65537 raw bytes, at most 65536 are allowed", ""},
		{transform, "batch: endless batches", `more than 256 MiB in the answer to "batch"`, ""},
		{transform, "batch: endless empty batches", `"batch"`, "deadline or protocol"},
		{transform, "finish: says nothing", `it did not answer "finish" within`, "deadline"},
		{transform, "finish: endless batches", `it did not answer "finish" within`, "deadline"},
	}
}

func inChecks() []hostileCase {
	check := kinds(registry.Check)
	return []hostileCase{
		{check, "batch: a wrong answer", `a frame *pluginv1.Head_Ack in the answer to "batch"`, ""},
		{check, "open: many answers", "that nothing was asked for", ""},
		{check, "batch: a finding behind", "a finding on row 3 of a batch of 3 rows", ""},
		{check, "batch: a finding before", "a finding on row -1 of a batch of 3 rows", ""},
		{check, "batch: a finding nowhere", "a finding on row -9223372036854775808", ""},
		{check, "batch: a long code", "expected a short word", ""},
		{check, "batch: endless findings", `more than 256 MiB in the answer to "batch"`, ""},
		{check, "batch: endless empty findings", "batch", "deadline or protocol"},
		{check, "result: no result", "its result: there is none in the answer", ""},
		{check, "result: two results", `in the answer to "result"`, ""},
		{check, "result: unknown verdict", `verdict "fine"`, ""},
		{check, "result: not a number", "expected a finite number", ""},
		{check, "result: unnamed metric", "expected a finite number under a short name", ""},
	}
}

func inSinks() []hostileCase {
	sink := kinds(registry.Sink)
	return []hostileCase{
		{sink, "apply schema: says nothing", `it did not answer "apply schema" within 1s`, "deadline"},
		{sink, "batch: garbage", "plugin frame", ""},
		{sink, "open: many answers", "what was opened is missing", ""},
		{sink, "open: unknown guarantee", `guarantee "always", allowed are`, ""},
		{sink, "open: negative size", "a preferred size is negative", ""},
		{sink, "plan schema: no result", "no actions in the answer", ""},
		{sink, "begin: no result", "no mark in the answer", ""},
		{sink, "begin: a later epoch", "a mark of the later epoch 1099511627776", ""},
		{sink, "begin: a position of 10 MB", "a position of 10485762 bytes, at most 4194304 are allowed", ""},
		{sink, "begin: a position of another kind", "a position that is not JSON", ""},
		{sink, "batch: a row behind", "row 3 is rejected", ""},
		{sink, "commit: a row behind", "row 3 is rejected", ""},
		{sink, "commit: endless rejections", `more than 256 MiB in the answer to "commit"`, ""},
	}
}

func inSources() []hostileCase {
	source := kinds(registry.Source)
	cases := []hostileCase{
		{source, "open: a checkpoint of 10 MB", "a position of 10485762 bytes, at most 4194304 are allowed", ""},
		{source, "open: endless streams", "was not asked for", ""},
	}
	for lie, want := range map[string]string{
		"an unasked batch": "whose schema did not come before it", "a lost schema": "whose schema did not come before it",
		"a batch of no stream": "whose schema did not come before it", "an empty column": "is empty, longer than 512 bytes or there twice",
		"a long column": "is empty, longer than 512 bytes or there twice", "a column twice": "is empty, longer than 512 bytes or there twice",
		"an unplanned output": `stream "elsewhere" was not asked for`, "version zero": "expected one after the last",
		"a version again": "expected one after the last", "a huge version": "expected one after the last", "no schema": "malformed",
		"a key that is missing": `key column "nope" is not a column`, "fewer rows": "a batch of 3 rows was announced with 4",
		"no rows": "a batch of 3 rows was announced with 0", "endless rows": "a batch of 3 rows was announced with 18446744073709551615",
		"an empty body": "malformed", "half a body": "malformed", "two bodies": "malformed", "a length of 2 GB": "malformed",
		"a negative length": "malformed", "an offset outside": "malformed", "a negative offset": "malformed",
		"an index outside": "malformed", "a negative index": "malformed",
	} {
		cases = append(cases, hostileCase{source, "open: " + lie, want, ""})
	}
	return cases
}

func TestColumnsOfUnknownExtensionTypesArriveAsWhatTheyAreStoredAs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.read(liar("open: an extension"), ReadRequest{})
	for range 2 {
		event, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if batch, ok := event.(BatchEvent); ok {
			if batch.Record.Column(0).DataType().ID() != arrow.INT64 {
				t.Errorf("the column is %v", batch.Record.Column(0).DataType())
			}
			batch.Record.Release()
		}
	}
}
