package zone

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/qanat-data/qanat/core/zone/live"
)

// scanBatchRows is the length of the batches that a scan yields.
const scanBatchRows = 8192

// UnitRange selects rows of units: After < seq <= Upto, of one flow or, where Flow
// is empty or the zone has no flow column, of any.
type UnitRange struct {
	Flow        string
	After, Upto int64
}

// ScanRequest says what to read.
type ScanRequest struct {
	Snapshot int64       // 0: the head of Branch
	Branch   string      // empty: main
	Columns  []string    // empty: all user columns; system columns only by name
	Units    []UnitRange // empty: every row
	// Snapshots, if given, are those to read the rows of each flow at, instead of Snapshot and Branch. Units then say which
	// rows, and each names its flow.
	Snapshots map[string]int64
}

// Batches yields batches that the receiver releases; it can be ranged over once.
type Batches = iter.Seq2[arrow.RecordBatch, error]

// Scan reads a dataset in the order of its units. The schema is that of the
// snapshot, with the columns in the table's order. Stopping early leaks nothing.
func (d *Dataset) Scan(ctx context.Context, r ScanRequest) (*arrow.Schema, Batches, error) {
	ctx = d.zones.arrowContext(ctx)
	var schema *arrow.Schema
	var batches Batches
	err := d.look(ctx, func(tbl *table.Table) (err error) {
		schema, batches, err = d.scan(ctx, tbl, r)
		return err
	})
	return schema, batches, err
}

func (d *Dataset) scan(ctx context.Context, tbl *table.Table, r ScanRequest) (*arrow.Schema, Batches, error) {
	if len(r.Snapshots) > 0 {
		return d.scanFlows(ctx, tbl, r)
	}
	at, err := d.snapshotFor(tbl, r.Snapshot, r.Branch)
	if err != nil {
		return nil, nil, err
	}
	schema, err := scanSchema(tbl, at, r.Columns)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset %q: %w", d.name, err)
	}
	if at == nil {
		return schema, func(func(arrow.RecordBatch, error) bool) {}, nil
	}
	p := scanPlan{tbl: tbl, schema: schema, flowColumn: d.hasFlow(), at: at, manifests: d.zones.manifests, options: []table.ScanOption{
		table.WithSnapshotID(at.SnapshotID), table.WithMaxConcurrency(1), table.WithArrowBatchSize(scanBatchRows),
		table.WithSelectedFields(names(schema)...),
	}}
	batches, err := p.read(ctx, r.Units)
	if err != nil {
		return nil, nil, fmt.Errorf("dataset %q: scan: %w", d.name, err)
	}
	return schema, batches, nil
}

func (d *Dataset) hasFlow() bool { return d.name.Zone != Landing }

func names(s *arrow.Schema) []string {
	out := make([]string, s.NumFields())
	for i, f := range s.Fields() {
		out[i] = f.Name
	}
	return out
}

// snapshotFor is nil when the dataset is empty.
func (d *Dataset) snapshotFor(tbl *table.Table, id int64, branch string) (*table.Snapshot, error) {
	if id != 0 {
		s := tbl.SnapshotByID(id)
		if s == nil {
			return nil, fmt.Errorf("dataset %q: snapshot %d: %w", d.name, id, ErrNotFound)
		}
		return s, nil
	}
	if branch == "" || branch == table.MainBranch {
		return tbl.CurrentSnapshot(), nil
	}
	return d.branchTip(tbl, branch)
}

func scanSchema(tbl *table.Table, at *table.Snapshot, columns []string) (*arrow.Schema, error) {
	sc := tbl.Schema()
	if at != nil && at.SchemaID != nil {
		if old, ok := tbl.Schemas()[*at.SchemaID]; ok {
			sc = old
		}
	}
	full, err := plainSchema(sc)
	if err != nil || len(columns) == 0 {
		return userSchema(full), err
	}
	var fields []arrow.Field
	for _, f := range full.Fields() {
		if slices.Contains(columns, f.Name) {
			fields = append(fields, f)
		}
	}
	for _, c := range columns {
		if !full.HasField(c) {
			return nil, fmt.Errorf("column %q: %w, there are %q", c, ErrNotFound, names(full))
		}
	}
	return arrow.NewSchema(fields, nil), nil
}

// scanPlan reads files that lie in the wanted units without looking at their rows,
// and filters only the others.
type scanPlan struct {
	tbl        *table.Table
	schema     *arrow.Schema
	flowColumn bool
	options    []table.ScanOption
	at         *table.Snapshot // whose files are read
	manifests  *live.Cache
	mostKeys   int64 // as live.Request.MostKeys
	// newest says that rows have the table's newest schema, not that of the snapshot.
	newest bool
}

func (p scanPlan) read(ctx context.Context, units []UnitRange) (Batches, error) {
	if isKeyed(p.tbl) {
		batches, known, err := p.live(ctx, units)
		if known || err != nil {
			return batches, err
		}
	}
	options := p.options
	filter := p.filter(units)
	if filter != nil {
		options = append(slices.Clone(p.options), table.WithRowFilter(filter))
	}
	planning := options
	if p.newest {
		planning = append(slices.Clone(options), table.WithSnapshotID(p.at.SnapshotID), table.WithSelectedFields(ColumnSeq))
	}
	tasks, err := p.tbl.Scan(planning...).PlanFiles(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(tasks, func(a, b table.FileScanTask) int {
		return cmp.Or(p.order(a.File, b.File), cmp.Compare(a.Start, b.Start))
	})
	var parts []func() (Batches, error)
	for _, run := range p.runs(tasks, filter, units) {
		parts = append(parts, func() (Batches, error) {
			if run.whole {
				return p.tasks(ctx, p.options, run.tasks)
			}
			return p.tasks(ctx, options, run.tasks)
		})
	}
	return p.concat(parts...), nil
}

// order sorts files by their units, and those of one unit as they were written.
func (p scanPlan) order(a, b iceberg.DataFile) int {
	first, last := p.span(a)
	first2, last2 := p.span(b)
	return cmp.Or(cmp.Compare(first, first2), cmp.Compare(last, last2), cmp.Compare(partOf(a.FilePath()), partOf(b.FilePath())),
		cmp.Compare(a.FilePath(), b.FilePath()))
}

// run is files that lie side by side and are read in the same way.
type run struct {
	tasks []table.FileScanTask
	whole bool // every row is wanted
}

// runs cuts files, in their order, where the way of reading changes.
func (p scanPlan) runs(tasks []table.FileScanTask, filter iceberg.BooleanExpression, units []UnitRange) []run {
	var out []run
	for _, t := range tasks {
		if t.File.Count() == 0 {
			continue
		}
		whole := filter == nil || p.covered(t.File, units)
		if whole || p.newest { // a residual is bound to the schema of the snapshot; the scan's own filter does
			t.Residual = nil
		}
		if len(out) == 0 || out[len(out)-1].whole != whole {
			out = append(out, run{whole: whole})
		}
		last := &out[len(out)-1]
		last.tasks = append(last.tasks, t)
	}
	return out
}

func (p scanPlan) filter(units []UnitRange) iceberg.BooleanExpression {
	var out iceberg.BooleanExpression
	for _, u := range units {
		e := iceberg.NewAnd(
			iceberg.GreaterThan(iceberg.Reference(ColumnSeq), u.After),
			iceberg.LessThanEqual(iceberg.Reference(ColumnSeq), u.Upto))
		if p.flowColumn && u.Flow != "" {
			e = iceberg.NewAnd(e, iceberg.EqualTo(iceberg.Reference(ColumnFlow), u.Flow))
		}
		if out == nil {
			out = e
		} else {
			out = iceberg.NewOr(out, e)
		}
	}
	return out
}

// bounds are the lowest and highest value of a column in a file, as stored.
func (p scanPlan) bounds(file iceberg.DataFile, column string) (low, high []byte) {
	f, ok := p.tbl.Schema().FindFieldByName(column)
	if !ok {
		return nil, nil
	}
	return file.LowerBoundValues()[f.ID], file.UpperBoundValues()[f.ID]
}

// span is the first and the last unit of a file, 0 where they can't be told.
func (p scanPlan) span(file iceberg.DataFile) (first, last int64) {
	low, high := p.bounds(file, ColumnSeq)
	first, _ = decodeSeq(low)
	last, _ = decodeSeq(high)
	return first, last
}

func decodeSeq(b []byte) (int64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint64(b)), true //nolint:gosec // Iceberg stores longs as two's complement
}

// covered tells whether every row of a file is in one of the ranges.
func (p scanPlan) covered(file iceberg.DataFile, units []UnitRange) bool {
	low, high := p.bounds(file, ColumnSeq)
	first, ok := decodeSeq(low)
	last, ok2 := decodeSeq(high)
	if !ok || !ok2 {
		return false
	}
	for _, u := range units {
		if first <= u.After || last > u.Upto {
			continue
		}
		if !p.flowColumn || u.Flow == "" {
			return true
		}
		low, high := p.bounds(file, ColumnFlow)
		if string(low) == u.Flow && string(high) == u.Flow {
			return true
		}
	}
	return false
}

func (p scanPlan) tasks(ctx context.Context, options []table.ScanOption, tasks []table.FileScanTask) (Batches, error) {
	if len(tasks) == 0 {
		return func(func(arrow.RecordBatch, error) bool) {}, nil
	}
	_, batches, err := p.tbl.Scan(options...).ReadTasks(ctx, tasks)
	return batches, err
}

// concat reads one part after the other; a part is opened when its turn comes.
func (p scanPlan) concat(parts ...func() (Batches, error)) Batches {
	return func(yield func(arrow.RecordBatch, error) bool) {
		for _, open := range parts {
			batches, err := open()
			if err != nil {
				yield(nil, err)
				return
			}
			for b, err := range batches {
				if err != nil {
					yield(nil, err)
					return
				}
				out, err := p.project(b)
				b.Release()
				if !yield(out, err) || err != nil {
					return
				}
			}
		}
	}
}

// project picks the columns by name and drops the reader's metadata.
func (p scanPlan) project(b arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, p.schema.NumFields())
	for i, f := range p.schema.Fields() {
		at := b.Schema().FieldIndices(f.Name)
		if len(at) != 1 {
			return nil, fmt.Errorf("column %q: the reader gave %d of it", f.Name, len(at))
		}
		columns[i] = b.Column(at[0])
	}
	return array.NewRecordBatch(p.schema, columns, b.NumRows()), nil
}
