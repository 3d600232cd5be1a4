package flow_test

import (
	"context"
	"errors"
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

// A table that has fewer rows than the ledger says, here because readers are sent to a snapshot from before the last unit, is not read
// as if nothing were amiss.
func TestRowsThatAreGoneAreMissed(t *testing.T) {
	p, err := open(t.Context(), t.TempDir(), memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close(context.Background()) }()
	l, c := p.landing(), p.clean()
	if err := flow.Run(t.Context(), l, p.runtime, make(chan struct{})); err != nil {
		t.Fatal(err)
	}
	units, err := p.runtime.Ledger.Units(t.Context(), l.Name, 0, 10)
	if err != nil || len(units) != 3 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	send := func(to int) {
		snapshot := units[to].Datasets[landed.String()].Snapshot
		if _, err := p.instance.DB().ExecContext(t.Context(), "update qanat_writers set snapshot = ? where dataset = ?", snapshot, landed.String()); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	err = flow.Run(t.Context(), c, p.runtime, make(chan struct{}))
	lost, ok := errors.AsType[*flow.LostRowsError](err)
	if !ok || lost.Dataset != landed.String() || lost.Upto[l.Name] != 3 || lost.Entered-lost.Read != units[2].Datasets[landed.String()].Rows {
		t.Errorf("error %v", err)
	}
	sound := units[0].Datasets[landed.String()].Rows + units[1].Datasets[landed.String()].Rows
	if d, err := p.runtime.Zones.Dataset(t.Context(), processed); err == nil && d.Head().Rows != 0 && d.Head().Rows != sound {
		t.Errorf("%d rows went on, sound are %d", d.Head().Rows, sound) // whether these do is a matter of which half of the flow is faster
	}
	send(2)
	if err := flow.Run(t.Context(), c, p.runtime, make(chan struct{})); err != nil {
		t.Fatal(err)
	}
	if d, err := p.runtime.Zones.Dataset(t.Context(), processed); err != nil || d.Head().Rows != int64(p.rows-p.rows/rejectEvery) {
		t.Errorf("processed: %v", err)
	}
}
