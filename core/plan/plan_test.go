package plan_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/plan"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
)

var orders = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "amount", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
}, nil)

// world is a fake of plugins and tables: what exists, and what each plugin would say.
type world struct {
	streams    []sdk.Stream
	tables     map[string]plan.Table
	transforms map[string]func([]sdk.SchemaChange) (sdk.Plan, error)
	missing    string // a plugin that is not there
	provision  []sdk.Action
}

func (w *world) Manifest(_ context.Context, kind registry.Kind, use *spec.Use) (registry.Manifest, error) {
	if use.Plugin == w.missing {
		return registry.Manifest{}, &registry.MissingError{Kind: kind, Name: use.Plugin}
	}
	component := registry.Component{Kind: kind}
	if w.provision != nil {
		component.Abilities = []string{registry.Provisioner}
	}
	return registry.Manifest{Name: use.Plugin, Version: "1", Components: []registry.Component{component}}, nil
}

func (w *world) Streams(context.Context, *spec.Use) ([]sdk.Stream, error) { return w.streams, nil }

func (w *world) Provision(context.Context, *spec.Use) ([]sdk.Action, error) { return w.provision, nil }

func (w *world) Transform(_ context.Context, use *spec.Use, in []sdk.SchemaChange) (sdk.Plan, error) {
	return w.transforms[use.Plugin](in)
}

func (w *world) Check(context.Context, *spec.Use, []sdk.SchemaChange) error { return nil }

func (w *world) Sink(_ context.Context, _ *spec.Use, _ sdk.OpenRequest, in []sdk.SchemaChange) (sdk.Opened, map[string][]sdk.Action, error) {
	actions := map[string][]sdk.Action{}
	for _, c := range in {
		actions[c.Stream] = []sdk.Action{{Object: "out/" + c.Stream, Description: "create"}}
	}
	return sdk.Opened{Guarantee: sdk.AtLeastOnce, External: sdk.ExternalDataset{Namespace: "file", Name: "/out"}}, actions, nil
}

func (w *world) Datasets(context.Context) ([]spec.Dataset, error) {
	var names []spec.Dataset
	for text := range w.tables {
		d, err := spec.ParseDataset(text)
		if err != nil {
			return nil, err
		}
		names = append(names, d)
	}
	return names, nil
}

func (w *world) Table(_ context.Context, name spec.Dataset) (plan.Table, bool, error) {
	t, ok := w.tables[name.String()]
	return t, ok, nil
}

func (w *world) Store(s *arrow.Schema) (*arrow.Schema, []string, error) { return s, nil, nil }

func (w *world) Follow(_ spec.Dataset, _ []string, from, to *arrow.Schema) (*arrow.Schema, []string, error) {
	if !from.Field(0).Equal(to.Field(0)) {
		return nil, nil, errors.New("column id can't change")
	}
	return to, nil, nil
}

func doubled(in []sdk.SchemaChange) (sdk.Plan, error) {
	out := sdk.PlannedOutput{Name: in[0].Stream, Schema: arrow.NewSchema([]arrow.Field{{Name: "twice", Type: arrow.PrimitiveTypes.Float64}}, nil)}
	return sdk.Plan{
		Outputs: []sdk.PlannedOutput{out}, Cardinality: sdk.OneToOne, Deterministic: true,
		Lineage: []sdk.ColumnLineage{{
			Output: out.Name, Column: "twice", Kind: sdk.Derived, Inputs: []sdk.ColumnRef{{Input: in[0].Stream, Column: "amount"}},
		}},
	}, nil
}

func collected(in []sdk.SchemaChange) (sdk.Plan, error) {
	planned, err := doubled(in)
	planned.Collects = true
	return planned, err
}

func newWorld() *world {
	return &world{
		streams: []sdk.Stream{{Name: "orders", Schema: orders, External: sdk.ExternalDataset{Namespace: "s3://shop", Name: "orders.csv"}}},
		tables:  map[string]plan.Table{},
		transforms: map[string]func([]sdk.SchemaChange) (sdk.Plan, error){
			"double": doubled, "collect": collected,
		},
	}
}

func use(plugin, path string) spec.Use { return spec.Use{Plugin: plugin, Path: path} }

func pipeline(flows ...spec.Flow) *spec.Pipeline {
	for i := range flows {
		if flows[i].Write.Mode == "" {
			flows[i].Write.Mode = "append"
		}
	}
	return &spec.Pipeline{
		Name: "shop", Source: &spec.Source{Use: use("file", "/source")},
		Landing: &spec.LandingHop{Dataset: "landing.shop.{stream}"}, Flows: flows,
	}
}

func makePlan(t *testing.T, w *world, p *spec.Pipeline) *plan.Plan {
	t.Helper()
	made, err := plan.Make(t.Context(), p, w)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestLineageIsComposedOverFlowsInTheirOrder(t *testing.T) {
	t.Parallel()
	made := makePlan(t, newWorld(), pipeline(
		spec.Flow{Name: "late", From: []string{"processing.shop.orders"}, To: "curated.shop.orders"},
		spec.Flow{
			Name: "early", From: []string{"landing.shop.*"}, To: "processing.shop.{name}",
			Transforms: []spec.Transform{{Use: use("double", "/flows/1/transforms/0")}},
		},
	))
	if len(made.Faults) > 0 {
		t.Fatal(made.Faults)
	}
	var got []string
	for _, f := range made.Flows {
		for _, l := range f.Lineage {
			got = append(got, f.Name+": "+l.Output+"."+l.Column+" <- "+strings.Join(l.From, ",")+" "+string(l.Kind))
		}
	}
	want := []string{
		"shop.landing: landing.shop.orders.id <- s3://shop/orders.csv.id identity",
		"shop.landing: landing.shop.orders.amount <- s3://shop/orders.csv.amount identity",
		"shop.early: processing.shop.orders.twice <- landing.shop.orders.amount derived",
		"shop.late: curated.shop.orders.twice <- processing.shop.orders.twice identity",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if after := made.Flows[2].After; len(after) != 1 || after[0] != "shop.early" {
		t.Errorf("the last flow comes after %q", after)
	}
}

func TestFaultsAreGatheredWithTheirPaths(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tables["curated.shop.daily"] = plan.Table{Schema: orders, Overwrite: true}
	w.missing = "gone"
	made := makePlan(t, w, pipeline(
		spec.Flow{Name: "a", Path: "/flows/0", From: []string{"landing.shop.nothing"}, To: "processing.shop.a"},
		spec.Flow{Name: "b", Path: "/flows/1", From: []string{"landing.shop.orders"}, To: "processing.shop.b", Write: spec.Write{Mode: "history", Key: []string{"no"}}},
		spec.Flow{
			Name: "c", Path: "/flows/2", From: []string{"landing.shop.orders"}, To: "processing.shop.c",
			Transforms: []spec.Transform{{Use: use("collect", "/flows/2/transforms/0")}},
		},
		spec.Flow{Name: "d", Path: "/flows/3", From: []string{"curated.shop.daily"}, Sink: &spec.Sink{Use: use("file", "/flows/3/sink")}},
		spec.Flow{
			Name: "e", Path: "/flows/4", From: []string{"landing.shop.orders"}, To: "processing.shop.e",
			Transforms: []spec.Transform{{Use: use("gone", "/flows/4/transforms/0")}},
		},
		spec.Flow{Name: "f", Path: "/flows/5", From: []string{"landing.shop.*", "curated.shop.*"}, To: "processing.shop.one", Write: spec.Write{Mode: "overwrite"}},
	))
	got := map[string]bool{}
	for _, f := range made.Faults {
		got[f.Path] = f.Environment
	}
	want := map[string]bool{
		"/flows/0/from/0": false, "/flows/1/write/key": false, "/flows/2/write/mode": false, "/flows/3/write/mode": false,
		"/flows/4/transforms/0": true, "/flows/5/to": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestASchemaThatATableCantFollowIsAFaultUnlessItIsQuarantined(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tables["landing.shop.orders"] = plan.Table{Schema: arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}}, nil)}
	p := pipeline()
	if made := makePlan(t, w, p); len(made.Faults) != 1 || made.Faults[0].Path != "/landing/dataset" {
		t.Errorf("faults: %v", made.Faults)
	}
	p.Landing.OnSchemaChange = "quarantine"
	if made := makePlan(t, w, p); len(made.Faults) != 0 || len(made.Warnings) != 1 {
		t.Errorf("faults: %v, warnings: %v", made.Faults, made.Warnings)
	}
}

func TestTheGuaranteeOfASinkIsStated(t *testing.T) {
	t.Parallel()
	made := makePlan(t, newWorld(), pipeline(
		spec.Flow{Name: "out", From: []string{"landing.shop.orders"}, Sink: &spec.Sink{Use: use("file", "/flows/0/sink")}},
	))
	out := made.Flows[1]
	if out.Guarantee != "at_least_once" || out.Outputs[0].Target != "file:/out" || len(out.Outputs[0].Changes) != 1 {
		t.Errorf("%+v", out)
	}
}

func TestPlanSaysWhatIsMadeInTheSourcesSystem(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.provision = []sdk.Action{{Object: "slot shop", Description: "create"}}
	made := makePlan(t, w, pipeline())
	if diff := cmp.Diff([]string{"slot shop: create"}, made.Flows[0].Provision); diff != "" {
		t.Error(diff)
	}
}
