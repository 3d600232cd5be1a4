package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/plan"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/sdk/change"
)

// changing is a world whose source follows a table.
func changing() *world {
	w := newWorld()
	w.streams[0].Schema, w.streams[0].Key = change.Schema(orders, []string{"id"}), []string{"id"}
	return w
}

func keptFlow(mode string, key ...string) spec.Flow {
	return spec.Flow{
		Name: "orders", Path: "/flows/0", From: []string{"landing.shop.orders"}, To: "processing.shop.orders", Write: spec.Write{Mode: mode, Key: key},
	}
}

func columnNames(columns []plan.Column) string {
	var names []string
	for _, c := range columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

func TestAHistoryHasTheRowsAndWhenTheyHeld(t *testing.T) {
	t.Parallel()
	w, flows := changing(), pipeline(
		keptFlow("history"),
		spec.Flow{Name: "behind", Path: "/flows/1", From: []string{"processing.shop.orders"}, To: "curated.shop.orders", Write: spec.Write{Mode: "upsert"}},
	)
	made := makePlan(t, w, flows)
	if len(made.Faults) > 0 {
		t.Fatal(made.Faults)
	}
	there := plan.Table{Schema: change.Versions(change.Keyed(orders, []string{"id"})), Upsert: true, Key: []string{"id", change.ColumnVersion}}
	w.tables["processing.shop.orders"], w.tables["curated.shop.orders"] = there, there
	if again := makePlan(t, w, flows); len(again.Faults) > 0 {
		t.Error(again.Faults)
	}
	kept, behind := made.Flows[1], made.Flows[2]
	out := kept.Outputs[0]
	if got := columnNames(out.Columns); got != "id amount valid_from valid_to _version" || out.Mode != "history" || !slices.Equal(out.Key, []string{"id"}) {
		t.Errorf("%s, %s by %q", got, out.Mode, out.Key)
	}
	if len(kept.Notes) != 1 || !strings.Contains(kept.Notes[0], "keeps every version") {
		t.Errorf("notes: %q", kept.Notes)
	}
	var lineage []string
	for _, l := range kept.Lineage {
		lineage = append(lineage, l.Column+" <- "+strings.Join(l.From, ",")+" "+string(l.Kind))
	}
	want := []string{
		"id <- landing.shop.orders.id identity", "amount <- landing.shop.orders.amount identity",
		"valid_from <- landing.shop.orders._ts derived", "valid_to <- landing.shop.orders._ts derived",
	}
	if diff := cmp.Diff(want, lineage); diff != "" {
		t.Errorf("lineage (-want +got)\n%s", diff)
	}
	if !behind.Inputs[0].Changes || !slices.Equal(behind.Outputs[0].Key, []string{"id", change.ColumnVersion}) {
		t.Errorf("what comes behind reads %+v and replaces by %q", behind.Inputs[0], behind.Outputs[0].Key)
	}
}

func TestADatasetStaysInTheModeThatItWasMadeFor(t *testing.T) {
	t.Parallel()
	upserted := plan.Table{Schema: change.Keyed(orders, []string{"id"}), Upsert: true, Key: []string{"id"}}
	history := plan.Table{Schema: change.Versions(upserted.Schema), Upsert: true, Key: []string{"id", change.ColumnVersion}}
	appended := plan.Table{Schema: orders}
	for name, c := range map[string]struct {
		have plan.Table
		flow spec.Flow
		want string // of the fault, empty for none
	}{
		"history goes on":            {history, keptFlow("history"), ""},
		"upsert goes on":             {upserted, keptFlow("upsert"), ""},
		"another key":                {history, keptFlow("history", "amount"), `/flows/0/write/key: dataset "processing.shop.orders" has the key ["id"], the flow's is ["amount"]`},
		"history where upserts were": {upserted, keptFlow("history"), `/flows/0/to: dataset "processing.shop.orders" was made for another mode than history`},
		"upserts where history was":  {history, keptFlow("upsert"), `/flows/0/to: dataset "processing.shop.orders" was made for another mode than upsert`},
		"history where rows were":    {appended, keptFlow("history"), `/flows/0/to: dataset "processing.shop.orders" was made for another mode than history`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := changing()
			w.tables["processing.shop.orders"] = c.have
			got := ""
			for _, f := range makePlan(t, w, pipeline(c.flow)).Faults {
				got += f.Path + ": " + f.Message
			}
			if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("got %q, expected %q", got, c.want)
			}
		})
	}
}

func TestColumnsThatHistoryAddsMustBeFree(t *testing.T) {
	t.Parallel()
	w := changing()
	taken := arrow.NewSchema(append(orders.Fields(), arrow.Field{Name: "valid_to", Type: arrow.BinaryTypes.String}), nil)
	w.streams[0].Schema = change.Schema(taken, []string{"id"})
	faults := makePlan(t, w, pipeline(keptFlow("history"))).Faults
	if len(faults) != 1 || faults[0].Path != "/flows/0/write/mode" || !strings.Contains(faults[0].Message, `column "valid_to"`) ||
		!strings.Contains(faults[0].Hint, "in a transform") {
		t.Errorf("%+v", faults)
	}
	if faults := makePlan(t, w, pipeline(keptFlow("upsert"))).Faults; len(faults) > 0 {
		t.Errorf("upserts need them not: %+v", faults)
	}
}
