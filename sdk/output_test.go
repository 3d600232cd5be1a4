package sdk

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

const large = wire.MaxRow + 1

// told are the frames of an answer in words.
func told(frames []got) []string {
	var story []string
	for _, g := range frames {
		switch kind := g.GetKind().(type) {
		case *pluginv1.Head_Batch:
			story = append(story, fmt.Sprint(g.n, " rows"))
		case *pluginv1.Head_Reject:
			for _, r := range kind.Reject.GetRows() {
				story = append(story, fmt.Sprint(r.GetCode(), " of row ", r.GetRow(), " of ", r.GetStream()))
			}
		case *pluginv1.Head_Error:
			story = append(story, kind.Error.GetMessage())
		}
	}
	return story
}

func TestOutputRowsThatAreTooLargeAreRejectedByTheirInputRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in, out []int // lengths of texts
		reject  bool
		shape   Cardinality
		want    []string
	}{
		"of one row":       {in: []int{1}, out: []int{large}, want: []string{"row_too_large of row 0 of a"}},
		"many of one row":  {in: []int{1}, out: []int{3, large, large}, shape: AnyRows, want: []string{"row_too_large of row 0 of a"}},
		"row for row":      {in: []int{1, 2, 3}, out: []int{1, large, 3}, want: []string{"1 rows", "row_too_large of row 1 of a", "1 rows"}},
		"first and last":   {in: []int{1, 2, 3}, out: []int{large, 2, large}, want: []string{"row_too_large of row 0 of a", "1 rows", "row_too_large of row 2 of a"}},
		"filtered":         {in: []int{1, 2, 3}, out: []int{1, large}, shape: Filters, want: []string{"1 rows", `output "a": row 1 is too large`}},
		"after rejections": {in: []int{1, 2, 3}, out: []int{1, large, 3}, reject: true, want: []string{"odd of row 0 of ", `output "a": row 1 is too large`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serve(t, TransformOf(func(_ context.Context, _ shopSettings, env Env) (*transform, error) {
				plan := func(in []SchemaChange) (Plan, error) {
					p, err := same(in)
					if c.shape != "" {
						p.Cardinality = c.shape
					}
					return p, err
				}
				return &transform{plan: plan, apply: func(ctx context.Context, in Batch, out Output) error {
					in.Record.Release()
					if c.reject {
						if err := out.Reject(ctx, Rejection{Code: "odd", Row: 0}); err != nil {
							return err
						}
					}
					if c.shape == Filters {
						if err := out.Batch(ctx, Batch{Stream: "a", Record: textRecord(env.Alloc, c.out[0])}); err != nil {
							return err
						}
					}
					return out.Batch(ctx, Batch{Stream: "a", Record: textRecord(env.Alloc, c.out...)})
				}}, nil
			}))
			call := h.call(h.client.Transform, &pluginv1.Open{})
			call.done()
			call.send(&pluginv1.Head{Kind: &pluginv1.Head_Plan{Plan: &pluginv1.PlanCall{Inputs: []*pluginv1.Input{{Name: "a", Schema: schemaMessage(t, texts)}}}}})
			call.done()
			encoder := call.sendInput("a", 1, texts)
			call.sendRecord("a", 1, encoder, textRecord(call.alloc, c.in...))
			begins := cmp.Comparer(func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) })
			if diff := cmp.Diff(c.want, told(call.until()), begins); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCollectedRowsThatAreTooLargeAreRejectedWithoutARow(t *testing.T) {
	t.Parallel()
	h := serve(t, TransformOf(func(_ context.Context, _ shopSettings, env Env) (*collector, error) {
		return &collector{
			transform: transform{plan: same, apply: func(_ context.Context, in Batch, _ Output) error { in.Record.Release(); return nil }},
			finish: func(ctx context.Context, out Output) error {
				return out.Batch(ctx, Batch{Stream: "a", Record: textRecord(env.Alloc, 1, large, 2)})
			},
		}, nil
	}))
	call := h.call(h.client.Transform, &pluginv1.Open{})
	call.done()
	call.send(&pluginv1.Head{Kind: &pluginv1.Head_Plan{Plan: &pluginv1.PlanCall{Inputs: []*pluginv1.Input{{Name: "a", Schema: schemaMessage(t, texts)}}}}})
	call.done()
	call.send(&pluginv1.Head{Kind: &pluginv1.Head_Finish{Finish: &pluginv1.Finish{}}})
	if diff := cmp.Diff([]string{"1 rows", "row_too_large of row -1 of ", "1 rows"}, told(call.done())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	call.end()
}
