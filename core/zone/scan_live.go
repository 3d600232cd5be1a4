package zone

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone/live"
)

// live reads a dataset with a key, but for one that somebody else has deleted rows of in a way that package live does not know.
func (p scanPlan) live(ctx context.Context, units []UnitRange) (_ Batches, known bool, err error) {
	r, err := p.liveRequest(ctx)
	if err != nil || r.Survey.Others {
		return nil, false, err
	}
	slices.SortStableFunc(r.Survey.Data, func(a, b live.Entry) int {
		return p.order(a.File, b.File)
	})
	for _, e := range r.Survey.Data {
		switch {
		case len(units) == 0 || p.covered(e.File, units):
			r.Parts = append(r.Parts, live.Part{Entry: e})
		case !p.apart(e.File, units):
			r.Parts = append(r.Parts, live.Part{Entry: e, Choose: p.inUnits(units)})
			r.More = p.unitColumns()
		}
	}
	return live.Read(ctx, r), true, nil
}

// liveRequest asks for the rows of all files, none of which it names yet.
func (p scanPlan) liveRequest(ctx context.Context) (live.Request, error) {
	fs, err := p.tbl.FS(ctx)
	if err != nil {
		return live.Request{}, err
	}
	_, key := keyOf(p.tbl)
	r := live.Request{Table: p.tbl, Key: key, Schema: p.schema, Options: p.options, MostKeys: p.mostKeys}
	r.Survey, err = live.Look(fs, p.at, p.manifests)
	return r, err
}

func (p scanPlan) unitColumns() []string {
	if p.flowColumn {
		return []string{ColumnSeq, ColumnFlow}
	}
	return []string{ColumnSeq}
}

// inUnits chooses the rows of some units.
func (p scanPlan) inUnits(units []UnitRange) live.Choice {
	return func(b arrow.RecordBatch, take func(row int)) error {
		seqs, ok := b.Column(b.Schema().FieldIndices(ColumnSeq)[0]).(*array.Int64)
		if !ok {
			return fmt.Errorf("column %q holds no whole numbers", ColumnSeq)
		}
		flow := func(int) string { return "" }
		if p.flowColumn {
			flows, ok := b.Column(b.Schema().FieldIndices(ColumnFlow)[0]).(*array.String)
			if !ok {
				return fmt.Errorf("column %q holds no texts", ColumnFlow)
			}
			flow = flows.Value
		}
		for row := range int(b.NumRows()) {
			seq := seqs.Value(row)
			if slices.ContainsFunc(units, func(u UnitRange) bool {
				return seq > u.After && seq <= u.Upto && (!p.flowColumn || u.Flow == "" || flow(row) == u.Flow)
			}) {
				take(row)
			}
		}
		return nil
	}
}

// Count is the number of rows at a snapshot (0: the head of main). As long as keys of upserts wait it reads those, and the keys of the
// files that they may apply to.
func (d *Dataset) Count(ctx context.Context, snapshot int64) (int64, error) {
	ctx = d.zones.arrowContext(ctx)
	var rows int64
	err := d.look(ctx, func(tbl *table.Table) (err error) {
		rows, err = d.count(ctx, tbl, snapshot)
		return err
	})
	return rows, err
}

func (d *Dataset) count(ctx context.Context, tbl *table.Table, snapshot int64) (int64, error) {
	at, err := d.snapshotFor(tbl, snapshot, "")
	if err != nil || at == nil {
		return 0, err
	}
	s, err := snapshotOf(at)
	if err != nil || s.Keys == 0 {
		return s.Rows, err
	}
	p := scanPlan{tbl: tbl, at: at, manifests: d.zones.manifests}
	r, err := p.liveRequest(ctx)
	if err != nil {
		return 0, fmt.Errorf("dataset %q: count rows: %w", d.name, err)
	}
	return live.Count(ctx, tbl, r.Key, r.Survey)
}
