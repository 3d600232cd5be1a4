package flow_test

import (
	"context"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/zone"
)

// A dataset that is added to a flow's inputs after the flow has run.
func TestAnInputThatIsAddedLaterIsReadFromItsBeginning(t *testing.T) {
	p, err := open(t.Context(), t.TempDir(), memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close(context.Background()) }()
	name := func(z string, d string) zone.Name { return zone.Name{Zone: z, Namespace: "test", Dataset: d} }
	l := p.landing()
	l.Source.Instance.Config = []byte(`{"streams":["a","b"],"seed":7,"rows":1000}`)
	l.Target.Dataset = func(s string) (zone.Name, error) { return name(zone.Landing, s), nil }
	c := p.clean()
	c.Transforms = nil
	c.Target.Dataset = func(s string) (zone.Name, error) { return name(zone.Processing, s), nil }
	c.Datasets.Names = []zone.Name{name(zone.Landing, "a")}
	for _, s := range []*flow.Settings{l, c} {
		if err := flow.Run(t.Context(), s, p.runtime, make(chan struct{})); err != nil {
			t.Fatal(err)
		}
	}
	c.Datasets.Names = append(c.Datasets.Names, name(zone.Landing, "b"))
	c.Fingerprint = "changed"
	if err := flow.Run(t.Context(), c, p.runtime, make(chan struct{})); err != nil {
		t.Fatal(err)
	}
	d, err := p.runtime.Zones.Dataset(t.Context(), name(zone.Processing, "b"))
	t.Log(err)
	if err != nil || d.Head().Rows != 1000 {
		t.Errorf("processing.test.b: %v", err)
	}
}
