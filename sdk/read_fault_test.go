package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

func TestErrorsKeepTheirKindOnTheWay(t *testing.T) {
	t.Parallel()
	cause := errors.New("the cause")
	for name, test := range map[string]struct {
		err  error
		want *pluginv1.Error
	}{
		"plain":        {cause, &pluginv1.Error{Code: pluginv1.Error_CODE_FATAL, Message: "the cause"}},
		"fatal":        {Fatal(cause), &pluginv1.Error{Code: pluginv1.Error_CODE_FATAL, Message: "the cause"}},
		"retryable":    {Retryable(cause, 2*time.Second), &pluginv1.Error{Code: pluginv1.Error_CODE_RETRYABLE, Message: "the cause", RetryAfterMs: 2000}},
		"rate limited": {RateLimited(cause, time.Time{}), &pluginv1.Error{Code: pluginv1.Error_CODE_RATE_LIMITED, Message: "the cause"}},
		"config":       {ConfigError("/a", "is %d", 1), &pluginv1.Error{Code: pluginv1.Error_CODE_CONFIG, Message: "is 1", Path: "/a"}},
		"fenced":       {Fenced(7), &pluginv1.Error{Code: pluginv1.Error_CODE_FENCED, Message: "a newer writer with epoch 7 has taken over"}},
		"wrapped":      {fmt.Errorf("while reading: %w", Retryable(cause, 0)), &pluginv1.Error{Code: pluginv1.Error_CODE_RETRYABLE, Message: "while reading: the cause"}},
		"joined":       {errors.Join(cause, Fenced(8)), &pluginv1.Error{Code: pluginv1.Error_CODE_FENCED, Message: "the cause\na newer writer with epoch 8 has taken over"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := reading(t, func(context.Context, ReadRequest, Emitter, Env) error { return test.err }).read(nil)
			got := c.fails(test.want.GetCode(), "")
			if got.GetMessage() != test.want.GetMessage() || got.GetRetryAfterMs() != test.want.GetRetryAfterMs() || got.GetPath() != test.want.GetPath() {
				t.Errorf("got %v, want %v", got, test.want)
			}
			c.end()
		})
	}
	if limited := RateLimited(cause, time.Now().Add(time.Hour)); !errors.Is(limited, cause) || KindOf(limited) != KindRateLimited {
		t.Errorf("%v has lost its cause or kind", limited)
	}
}

func TestARowThatIsTooLargeBecomesARejectionAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	h := reading(t, func(ctx context.Context, _ ReadRequest, out Emitter, env Env) error {
		return errors.Join(
			out.Schema(ctx, SchemaChange{Stream: "a", Version: 1, Schema: texts}),
			out.Batch(ctx, Batch{Stream: "a", Version: 1, Origin: "f", Record: textRecord(env.Alloc, 1, wire.MaxRow, 2, wire.MaxRow+1, wire.MaxRow)}),
			out.Batch(ctx, Batch{Stream: "a", Version: 1, Record: textRecord(env.Alloc, wire.MaxRow)}),
		)
	})
	c := h.read(nil)
	var story []string
	for _, g := range c.done()[1:] {
		if g.GetBatch() != nil {
			story = append(story, g.rows)
		}
		for _, r := range g.GetReject().GetRows() {
			story = append(story, r.GetCode()+" "+r.GetOrigin())
			if len(r.GetRaw()) != wire.MaxRaw || !strings.Contains(r.GetReason(), fmt.Sprint(wire.MaxRow)) || r.GetRow() != NoRow {
				t.Errorf("%d raw bytes, row %d: %s", len(r.GetRaw()), r.GetRow(), r.GetReason())
			}
		}
	}
	want := []string{`[{"s":"x"}]`, "row_too_large f", `[{"s":"xx"}]`, "row_too_large f", "row_too_large f", "row_too_large "}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.end()
}

func TestASourceIsHeldToItsSchemasAndPositions(t *testing.T) {
	t.Parallel()
	first := SchemaChange{Stream: "a", Version: 2, Schema: numbers}
	for name, test := range map[string]struct {
		emit func(ctx context.Context, out Emitter, env Env) error
		says string
	}{
		"a batch without a schema": {func(ctx context.Context, out Emitter, env Env) error {
			return out.Batch(ctx, Batch{Stream: "b", Version: 1, Record: record(env.Alloc, 1)})
		}, "without that version's schema"},
		"a batch of an older version": {func(ctx context.Context, out Emitter, env Env) error {
			return out.Batch(ctx, Batch{Stream: "a", Version: 1, Record: record(env.Alloc, 1)})
		}, "without that version's schema"},
		"a batch of another schema": {func(ctx context.Context, out Emitter, env Env) error {
			return out.Batch(ctx, Batch{Stream: "a", Version: 2, Record: textRecord(env.Alloc, 1)})
		}, `stream "a" version 2`},
		"a version that goes back": {func(ctx context.Context, out Emitter, _ Env) error {
			return out.Schema(ctx, SchemaChange{Stream: "a", Version: 2, Schema: texts})
		}, "version 2 follows version 2"},
		"a position that is too large": {func(ctx context.Context, out Emitter, _ Env) error {
			return out.Checkpoint(ctx, make(Position, MaxPosition+1))
		}, "a position of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := reading(t, func(ctx context.Context, _ ReadRequest, out Emitter, env Env) error {
				if err := out.Schema(ctx, first); err != nil {
					return err
				}
				return test.emit(ctx, out, env)
			})
			c := h.read(nil)
			c.fails(pluginv1.Error_CODE_FATAL, test.says)
			c.end()
		})
	}
}

func TestWhatCanNotBeOpenedIsAnswered(t *testing.T) {
	t.Parallel()
	h := serve(t, SourceOf(func(_ context.Context, c shopSettings, _ Env) (*source, error) {
		return nil, Retryable(fmt.Errorf("no shop has %d rows", c.Rows), 0)
	}))
	c := h.call(h.client.Read, &pluginv1.Open{Config: []byte(`{"rows": "x"}`)})
	if fault := c.fails(pluginv1.Error_CODE_CONFIG, "expected int"); fault.GetPath() != "/rows" {
		t.Errorf("blames %q", fault.GetPath())
	}
	h.read(nil).fails(pluginv1.Error_CODE_RETRYABLE, "no shop has 5 rows")
	for name, m := range map[string]method{"transform": h.client.Transform, "check": h.client.Check, "sink": h.client.Write} {
		h.call(m, &pluginv1.Open{}).fails(pluginv1.Error_CODE_FATAL, `plugin "shop" is no `+name)
	}
	for _, m := range []method{h.client.Read, h.client.Transform, h.client.Check, h.client.Write} {
		c := h.call(m, nil)
		c.send(ackFrame("1"))
		if _, err := c.receive(); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "expected Open") {
			t.Errorf("a stream that does not begin with Open: %v", err)
		}
	}
}
