package zone

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone/live"
	"github.com/qanat-data/qanat/core/zone/rowkey"
)

// Lookup reads the rows that have one of some keys, at a snapshot (0: the head of main): all user columns, in the table's order, each
// row once, in no order of rows. Keys without a row give none, so the receiver matches rows by their keys. The batch of keys has the
// key's columns and no others, as KeyStage takes them, and stays the caller's. Files are left out by the bounds of their keys.
func (d *Dataset) Lookup(ctx context.Context, keys arrow.RecordBatch, snapshot int64) (Batches, error) {
	ctx = d.zones.arrowContext(ctx)
	var out Batches
	err := d.look(ctx, func(tbl *table.Table) (err error) {
		out, err = d.lookup(ctx, tbl, keys, snapshot)
		return err
	})
	return out, err
}

func (d *Dataset) lookup(ctx context.Context, tbl *table.Table, keys arrow.RecordBatch, snapshot int64) (Batches, error) {
	at, err := d.snapshotFor(tbl, snapshot, "")
	if err != nil {
		return nil, err
	}
	l, err := d.indexed(ctx, tbl, keys)
	if err != nil {
		return nil, err
	}
	if at == nil || l.index.Len() == 0 {
		return func(func(arrow.RecordBatch, error) bool) {}, nil
	}
	schema, err := scanSchema(tbl, at, nil)
	if err != nil {
		return nil, fmt.Errorf("dataset %q: %w", d.name, err)
	}
	p := scanPlan{tbl: tbl, schema: schema, at: at, manifests: d.zones.manifests, options: []table.ScanOption{
		table.WithSnapshotID(at.SnapshotID), table.WithArrowBatchSize(scanBatchRows),
	}}
	r, err := p.liveRequest(ctx)
	if err != nil {
		return nil, fmt.Errorf("dataset %q: look up: %w", d.name, err)
	}
	if r.Survey.Others {
		return nil, fmt.Errorf("dataset %q: look up: somebody else has deleted rows by position files, which only scans know", d.name)
	}
	for _, e := range r.Survey.Data {
		if l.mayBeIn(e.File) {
			r.Parts = append(r.Parts, live.Part{Entry: e, Choose: l.choose})
		}
	}
	return live.Read(ctx, r), nil
}

// keyTarget is the schema of batches of keys, with field ids.
func keyTarget(tbl *table.Table) (ids []int, target *arrow.Schema, err error) {
	ids, columns := keyOf(tbl)
	if len(ids) == 0 {
		return nil, nil, ErrNoKey
	}
	key, err := tbl.Schema().Select(true, columns...)
	if err != nil {
		return nil, nil, err
	}
	target, err = table.SchemaToArrowSchema(key, nil, true, false)
	return ids, target, err
}

// lookedUp are keys to find.
type lookedUp struct {
	index *rowkey.Index
	ids   []int
	names []string
}

func (d *Dataset) indexed(ctx context.Context, tbl *table.Table, keys arrow.RecordBatch) (lookedUp, error) {
	ids, target, err := keyTarget(tbl)
	if err != nil {
		return lookedUp{}, fmt.Errorf("dataset %q: %w", d.name, err)
	}
	a, err := newAdapter(d.name, keys.Schema(), target)
	if err != nil {
		return lookedUp{}, err
	}
	batch, err := a.adapt(ctx, keys, func(string) (arrow.Array, bool) { return nil, false })
	if err != nil {
		return lookedUp{}, fmt.Errorf("dataset %q: %w", d.name, err)
	}
	defer batch.Release()
	l := lookedUp{ids: ids, names: names(target)}
	types := make([]arrow.DataType, target.NumFields())
	for i, f := range target.Fields() {
		types[i] = f.Type
	}
	l.index = rowkey.New(types)
	return l, l.index.Put(batch.Columns(), 0)
}

// mayBeIn tells by a file's statistics whether it may hold one of the keys.
func (l lookedUp) mayBeIn(file iceberg.DataFile) bool {
	lower, upper := file.LowerBoundValues(), file.UpperBoundValues()
	low, high := make([][]byte, len(l.ids)), make([][]byte, len(l.ids))
	for i, id := range l.ids {
		low[i], high[i] = lower[id], upper[id]
	}
	return l.index.Between(low, high)
}

// choose takes the rows that have one of the keys.
func (l lookedUp) choose(b arrow.RecordBatch, take func(row int)) error {
	columns := make([]arrow.Array, len(l.names))
	for i, name := range l.names {
		columns[i] = b.Column(b.Schema().FieldIndices(name)[0])
	}
	return l.index.Match(columns, func(row int, _ int64) { take(row) })
}
