package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// allKinds is a plugin of every kind, with the abilities that there are.
func allKinds() []Component {
	return []Component{
		SourceOf(func(_ context.Context, c pointerRules, _ Env) (*ackingSource, error) {
			if c.A == 1 {
				return nil, Retryable(errors.New("no connection"), 0)
			}
			return &ackingSource{source: source{streams: []Stream{
				{Name: "known", Description: "d", Schema: numbers, Key: []string{"n"}, Tags: []string{"t"}, EstimatedRows: 9, External: ExternalDataset{"ns", "x"}},
				{Name: "unknown"},
			}}}, nil
		}).Describe("reads the shop", "network"),
		TransformOf(func(context.Context, shopSettings, Env) (*collector, error) { return &collector{}, nil }),
		CheckOf(func(context.Context, shopSettings, Env) (*rowCheck, error) { return &rowCheck{}, nil }),
		SinkOf(func(context.Context, shopSettings, Env) (*memorySink, error) {
			return &memorySink{story: new([]string)}, nil
		}),
	}
}

func TestDescribeTellsWhatThePluginIs(t *testing.T) {
	t.Parallel()
	h := serve(t, allKinds()...)
	got, err := h.client.Describe(t.Context(), &pluginv1.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetName() != "shop" || got.GetVersion() != "1.2.3" || got.GetDescription() != "a shop" || got.GetPublisher() != "tests" || got.GetSdkVersion() != Version {
		t.Errorf("got %v", got)
	}
	abilities := map[string][]string{}
	for _, c := range got.GetComponents() {
		abilities[kindName(c.GetKind())] = c.GetAbilities()
		var schema map[string]any
		if err := json.Unmarshal(c.GetConfigSchema(), &schema); err != nil || schema["type"] != "object" {
			t.Errorf("%s: the schema of the settings is %s, %v", c.GetKind(), c.GetConfigSchema(), err)
		}
	}
	want := map[string][]string{"source": {"acker", "tester"}, "transform": {"collector"}, "check": nil, "sink": nil}
	if diff := cmp.Diff(want, abilities); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c := got.GetComponents()[0]; c.GetDescription() != "reads the shop" || c.GetCapabilities()[0] != "network" {
		t.Errorf("the source is described as %v", c)
	}
}

func TestAPluginThatCannotBeDescribedDoesNotStart(t *testing.T) {
	t.Parallel()
	if _, err := describe(Info{Name: "shop"}, nil); err == nil {
		t.Error("a plugin without a version")
	}
	if _, err := describe(Info{Version: "1.0.0"}, nil); err == nil {
		t.Error("a plugin without a name")
	}
	bad := SourceOf(func(context.Context, string, Env) (*source, error) { return &source{}, nil })
	if _, err := describe(Info{Name: "shop", Version: "1.0.0"}, []Component{bad}); err == nil {
		t.Error("a plugin whose settings are a text")
	}
}

func TestValidateListsEveryFault(t *testing.T) {
	t.Parallel()
	h := serve(t, allKinds()...)
	for config, want := range map[string][]string{
		`{}`: nil, ``: nil, `{"a": 6, "b": 7}`: {"/a", "/b", ""}, `{"c": 1, "d": 2}`: {"/c", "/d"}, `{"a": "x"}`: {"/a"},
	} {
		got, err := h.client.Validate(t.Context(), &pluginv1.ValidateRequest{Kind: pluginv1.Kind_KIND_SOURCE, Config: []byte(config)})
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, fault := range got.GetFaults() {
			if fault.GetMessage() == "" {
				t.Errorf("%s: a fault without a message", config)
			}
			paths = append(paths, fault.GetPath())
		}
		if diff := cmp.Diff(want, paths); diff != "" {
			t.Errorf("%s (-want +got):\n%s", config, diff)
		}
	}
	_, err := h.client.Validate(t.Context(), &pluginv1.ValidateRequest{Kind: pluginv1.Kind_KIND_UNSPECIFIED})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("a kind that the plugin is not: %v", err)
	}
}

func TestTestAsksTheInstanceIfItCan(t *testing.T) {
	t.Parallel()
	h := serve(t, allKinds()...)
	for kind, want := range map[pluginv1.Kind]string{
		pluginv1.Kind_KIND_SOURCE: "3 tables", pluginv1.Kind_KIND_SINK: "the plugin has no test of its own; its settings were accepted",
	} {
		got, err := h.client.Test(t.Context(), &pluginv1.TestRequest{Kind: kind})
		if err != nil || got.GetSummary() != want {
			t.Errorf("%s: %q, %v", kind, got.GetSummary(), err)
		}
	}
}

func TestDiscoverListsStreams(t *testing.T) {
	t.Parallel()
	h := serve(t, allKinds()...)
	got, err := h.client.Discover(t.Context(), &pluginv1.DiscoverRequest{})
	if err != nil {
		t.Fatal(err)
	}
	known, unknown := got.GetStreams()[0], got.GetStreams()[1]
	schema, err := wire.DecodeSchema(known.GetSchema())
	if err != nil || !schema.Equal(numbers) {
		t.Errorf("schema %v, %v", schema, err)
	}
	if known.GetName() != "known" || known.GetDescription() != "d" || known.GetKey()[0] != "n" || known.GetTags()[0] != "t" ||
		known.GetEstimatedRows() != 9 || known.GetExternal().GetNamespace() != "ns" || known.GetExternal().GetName() != "x" {
		t.Errorf("got %v", known)
	}
	if unknown.GetName() != "unknown" || len(unknown.GetSchema()) != 0 {
		t.Errorf("got %v", unknown)
	}
}

func TestErrorsOfUnaryCallsCarryTheirKindAsADetail(t *testing.T) {
	t.Parallel()
	h := serve(t, allKinds()...)
	for config, want := range map[string]struct {
		status codes.Code
		code   pluginv1.Error_Code
		path   string
	}{
		`{"a": 1}`: {codes.Internal, pluginv1.Error_CODE_RETRYABLE, ""}, `{"a": 6}`: {codes.InvalidArgument, pluginv1.Error_CODE_CONFIG, "/a"},
	} {
		_, discover := h.client.Discover(t.Context(), &pluginv1.DiscoverRequest{Config: []byte(config)})
		_, test := h.client.Test(t.Context(), &pluginv1.TestRequest{Kind: pluginv1.Kind_KIND_SOURCE, Config: []byte(config)})
		for _, err := range []error{discover, test} {
			st := status.Convert(err)
			if st.Code() != want.status || len(st.Details()) != 1 {
				t.Fatalf("%s: %v", config, err)
			}
			if detail, ok := st.Details()[0].(*pluginv1.Error); !ok || detail.GetCode() != want.code || detail.GetPath() != want.path {
				t.Errorf("%s: detail %v", config, st.Details())
			}
		}
	}
}

// provisioned is a source that keeps a list of slots in the other system.
type provisioned struct {
	source
	slots map[string]bool
}

func (p *provisioned) PlanProvision(_ context.Context, req ProvisionRequest) ([]Action, error) {
	var actions []Action
	for _, name := range req.Streams {
		if p.slots[name] == req.Remove {
			actions = append(actions, Action{Object: "slot " + name, Description: map[bool]string{false: "create", true: "drop"}[req.Remove], Destructive: req.Remove})
		}
	}
	return actions, nil
}

func (p *provisioned) Provision(ctx context.Context, req ProvisionRequest) ([]Action, error) {
	actions, err := p.PlanProvision(ctx, req)
	for _, name := range req.Streams {
		p.slots[name] = !req.Remove
	}
	return actions, err
}

func TestProvisionDoesWhatItPlansAndOnlyOnce(t *testing.T) {
	t.Parallel()
	slots := map[string]bool{}
	h := serve(t, SourceOf(func(context.Context, pointerRules, Env) (*provisioned, error) { return &provisioned{slots: slots}, nil }))
	call := func(remove, dryRun bool) []string {
		t.Helper()
		got, err := h.client.Provision(t.Context(), &pluginv1.ProvisionRequest{
			Config: []byte(`{"a": 2}`), Streams: []string{"orders"}, Remove: remove, DryRun: dryRun,
		})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, a := range got.GetActions() {
			texts = append(texts, a.GetDescription()+" "+a.GetObject())
		}
		return texts
	}
	got := [][]string{call(false, true), call(false, false), call(false, false), call(true, true), call(true, false), call(true, false)}
	want := [][]string{{"create slot orders"}, {"create slot orders"}, nil, {"drop slot orders"}, {"drop slot orders"}, nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestASourceWithoutNeedsProvisionsNothing(t *testing.T) {
	t.Parallel()
	h := serve(t, allKinds()...)
	if _, err := h.client.Provision(t.Context(), &pluginv1.ProvisionRequest{Config: []byte(`{"a": 2}`)}); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
}
