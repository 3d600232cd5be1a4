package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// rowCheck finds fault with every row, and counts.
type rowCheck struct{ rows, planned int }

func (k *rowCheck) Plan(_ context.Context, in SchemaChange) error {
	if in.Stream != "orders" || in.Key[0] != "n" {
		return fmt.Errorf("no check for %v", in)
	}
	if in.Schema.Field(0).Name != "n" {
		return Fatal(fmt.Errorf("column %q is missing", "n"))
	}
	k.planned++
	return nil
}

func (k *rowCheck) Rows(_ context.Context, b Batch) ([]Finding, error) {
	defer b.Record.Release()
	var findings []Finding
	for i := range int(b.Record.NumRows()) {
		findings = append(findings, Finding{Row: i, Column: "n", Code: "range", Reason: "is too small", Warning: i%2 == 1})
	}
	k.rows += len(findings)
	if k.rows > 5000 {
		return nil, errors.New("too many rows")
	}
	return findings, nil
}

func (k *rowCheck) Result(context.Context) (CheckResult, error) {
	result := CheckResult{Verdict: Fail, Message: "all rows are bad", Metrics: map[string]float64{"rows": float64(k.rows)}}
	k.rows = 0
	return result, nil
}

func (*rowCheck) Close(context.Context) error { return nil }

func checking(t *testing.T) *call {
	t.Helper()
	h := serve(t, CheckOf(func(context.Context, shopSettings, Env) (*rowCheck, error) { return &rowCheck{}, nil }))
	c := h.call(h.client.Check, &pluginv1.Open{})
	c.done()
	return c
}

func TestACheckFindsRowsAndJudgesUnits(t *testing.T) {
	t.Parallel()
	c := checking(t)
	c.send(planCall(t, "orders", numbers))
	if frames := c.done(); len(frames) != 0 {
		t.Errorf("a plan is answered by %v", frames)
	}
	encoder := c.sendInput("orders", 1, numbers)
	for range 2 {
		const rows = 1025 // more than go into one frame
		c.sendRecord("orders", 1, encoder, record(c.alloc, make([]int64, rows)...))
		n := 0
		for _, g := range c.done() {
			for _, f := range g.GetFindings().GetRows() {
				if f.GetRow() != int64(n) || f.GetColumn() != "n" || f.GetCode() != "range" || f.GetReason() == "" || f.GetWarning() != (n%2 == 1) {
					t.Fatalf("finding %d is %v", n, f)
				}
				n++
			}
		}
		if n != rows {
			t.Errorf("%d findings, want %d", n, rows)
		}
		c.send(&pluginv1.Head{Kind: &pluginv1.Head_Result{Result: &pluginv1.Result{}}})
		result := c.done()[0].GetCheckResult()
		if result.GetVerdict() != "fail" || result.GetMessage() != "all rows are bad" || result.GetMetrics()["rows"] != rows {
			t.Errorf("result %v", result)
		}
	}
	c.end()
}

func TestFaultsOfAChecksCallsAreAnswered(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send func(c *call)
		says string
	}{
		"a schema that it can't check": {func(c *call) { c.send(planCall(t, "orders", texts)) }, `column "n" is missing`},
		"rows that it can't check": {func(c *call) {
			c.sendRecord("orders", 1, c.sendInput("orders", 1, numbers), record(c.alloc, make([]int64, 5001)...))
		}, "too many rows"},
		"a frame of another kind": {func(c *call) { c.send(ackFrame("1")) }, "while checking"},
		"a batch without a schema": {func(c *call) {
			c.send(&pluginv1.Head{Kind: &pluginv1.Head_Batch{Batch: &pluginv1.Batch{Stream: "x", Version: 1}}})
		}, "without its schema"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := checking(t)
			test.send(c)
			c.fails(pluginv1.Error_CODE_FATAL, test.says)
			c.end()
		})
	}
}

// memorySink keeps a story of its calls.
type memorySink struct {
	story *[]string
	epoch uint64
}

func (s *memorySink) tell(format string, args ...any) {
	*s.story = append(*s.story, fmt.Sprintf(format, args...))
}

func (s *memorySink) Open(_ context.Context, req OpenRequest) (Opened, error) {
	s.tell("open %s %s %v", req.Flow, req.Mode, req.Key)
	if req.Mode == Upsert && len(req.Key) == 0 {
		return Opened{}, ConfigError("/key", "an upsert needs a key")
	}
	return Opened{Guarantee: ExactlyOnce, PreferredRows: 10, PreferredBytes: 20, External: ExternalDataset{Namespace: "mem", Name: "x"}}, nil
}

func (s *memorySink) PlanSchema(_ context.Context, c SchemaChange) ([]Action, error) {
	s.tell("plan %s %d %v %s", c.Stream, c.Version, c.Key, c.Schema.Field(0).Name)
	return []Action{{Object: c.Stream, Description: "create", Destructive: true}}, nil
}

func (s *memorySink) ApplySchema(_ context.Context, c SchemaChange) error {
	s.tell("apply %s %d", c.Stream, c.Version)
	return nil
}

func (s *memorySink) Begin(_ context.Context, epoch uint64) (Mark, error) {
	if epoch < 5 {
		return Mark{}, Fenced(5)
	}
	s.epoch = epoch
	s.tell("begin %d", epoch)
	return Mark{Epoch: 3, Seq: 7, Position: Position(`"p"`)}, nil
}

func (s *memorySink) Write(_ context.Context, b Batch) ([]Rejection, error) {
	defer b.Record.Release()
	s.tell("write %d rows of %s from %s", b.Record.NumRows(), b.Stream, b.Origin)
	return []Rejection{{Code: "odd", Reason: "is odd", Row: 1}}, nil
}

func (s *memorySink) Commit(_ context.Context, m Mark) ([]Rejection, error) {
	s.tell("commit %d %d %s", m.Epoch, m.Seq, m.Position)
	return []Rejection{{Code: "late", Row: NoRow}}, nil
}

func (s *memorySink) Close(context.Context) error { s.tell("close"); return nil }

func writing(t *testing.T, story *[]string, w *pluginv1.Write) *call {
	t.Helper()
	h := serve(t, SinkOf(func(context.Context, shopSettings, Env) (*memorySink, error) { return &memorySink{story: story}, nil }))
	return h.call(h.client.Write, &pluginv1.Open{Write: w})
}

func schemaCall(t *testing.T, schema *arrow.Schema) *pluginv1.SchemaCall {
	t.Helper()
	return &pluginv1.SchemaCall{Stream: "a", Version: 3, Schema: schemaMessage(t, schema), Key: []string{"n"}}
}

func TestASinkIsCalledInOrderAndAnswers(t *testing.T) {
	t.Parallel()
	var story []string
	c := writing(t, &story, &pluginv1.Write{Flow: "orders", Mode: "upsert", Key: []string{"n"}})
	opened := c.done()[0].GetOpened()
	if opened.GetGuarantee() != "exactly_once" || opened.GetPreferredRows() != 10 || opened.GetPreferredBytes() != 20 || opened.GetExternal().GetNamespace() != "mem" {
		t.Errorf("opened %v", opened)
	}
	c.send(&pluginv1.Head{Kind: &pluginv1.Head_PlanSchema{PlanSchema: schemaCall(t, numbers)}})
	if a := c.done()[0].GetActions().GetActions()[0]; a.GetObject() != "a" || a.GetDescription() != "create" || !a.GetDestructive() {
		t.Errorf("action %v", a)
	}
	c.send(&pluginv1.Head{Kind: &pluginv1.Head_ApplySchema{ApplySchema: schemaCall(t, numbers)}})
	c.done()
	c.send(&pluginv1.Head{Kind: &pluginv1.Head_Begin{Begin: &pluginv1.Begin{Epoch: 6}}})
	if m := c.done()[0].GetMark(); m.GetEpoch() != 3 || m.GetSeq() != 7 || string(m.GetPosition()) != `"p"` {
		t.Errorf("mark %v", m)
	}
	c.sendRecord("a", 3, c.sendInput("a", 3, numbers), record(c.alloc, 1, 2, 3))
	if r := c.done()[0].GetReject().GetRows()[0]; r.GetCode() != "odd" || r.GetReason() != "is odd" || r.GetRow() != 1 {
		t.Errorf("rejection %v", r)
	}
	c.send(&pluginv1.Head{Kind: &pluginv1.Head_Commit{Commit: &pluginv1.Commit{Mark: &pluginv1.Mark{Epoch: 6, Seq: 8, Position: []byte(`"q"`)}}}})
	if r := c.done()[0].GetReject().GetRows()[0]; r.GetCode() != "late" || r.GetRow() != NoRow {
		t.Errorf("rejection %v", r)
	}
	c.end()
	want := []string{
		"open orders upsert [n]", "plan a 3 [n] n", "apply a 3", "begin 6", "write 3 rows of a from f.csv", `commit 6 8 "q"`, "close",
	}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFaultsOfASinksCallsKeepTheirKind(t *testing.T) {
	t.Parallel()
	var story []string
	c := writing(t, &story, &pluginv1.Write{Mode: "upsert"})
	if fault := c.fails(pluginv1.Error_CODE_CONFIG, "needs a key"); fault.GetPath() != "/key" {
		t.Errorf("blames %q", fault.GetPath())
	}
	for name, test := range map[string]struct {
		head *pluginv1.Head
		code pluginv1.Error_Code
		says string
	}{
		"an old epoch":          {&pluginv1.Head{Kind: &pluginv1.Head_Begin{Begin: &pluginv1.Begin{Epoch: 4}}}, pluginv1.Error_CODE_FENCED, "epoch 5"},
		"another kind of frame": {ackFrame("1"), pluginv1.Error_CODE_FATAL, "while writing"},
		"no schema to plan": {
			&pluginv1.Head{Kind: &pluginv1.Head_PlanSchema{PlanSchema: &pluginv1.SchemaCall{Stream: "a"}}}, pluginv1.Error_CODE_FATAL, `schema of "a"`,
		},
		"no schema to apply": {
			&pluginv1.Head{Kind: &pluginv1.Head_ApplySchema{ApplySchema: &pluginv1.SchemaCall{Stream: "a"}}}, pluginv1.Error_CODE_FATAL, `schema of "a"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var story []string
			c := writing(t, &story, &pluginv1.Write{Mode: "append"})
			c.done()
			c.send(test.head)
			c.fails(test.code, test.says)
			c.end()
			if got := strings.Join(story, ","); !strings.HasSuffix(got, "close") {
				t.Errorf("after a fault: %s", got)
			}
		})
	}
}
