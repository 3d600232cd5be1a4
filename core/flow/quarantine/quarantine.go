package quarantine

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
)

// Quarantine is the rows that a flow has rejected, as far as its ledger goes.
type Quarantine struct {
	Zones   *zone.Zones
	Ledger  *ledger.Ledger
	Flow    string
	Dataset zone.Name
}

// Row is one of them; its texts and bytes are valid until the next one is read.
type Row struct {
	Rejected
	ID      RowID // zero if an earlier version set it aside
	Unit    int64
	At      time.Time
	Outcome ledger.Outcome // empty while it is open
}

// Rows reads the chosen rows in the order of their units.
func (q *Quarantine) Rows(ctx context.Context, c *Choice) iter.Seq2[Row, error] {
	return q.rows(ctx, c, Schema().Fields())
}

// Labels is Rows without what the rows hold: their Raw is nil.
func (q *Quarantine) Labels(ctx context.Context, c *Choice) iter.Seq2[Row, error] {
	return q.rows(ctx, c, slices.DeleteFunc(Schema().Fields(), func(f arrow.Field) bool { return f.Name == rawColumn }))
}

// Open counts the rows that were neither released nor dropped.
func (q *Quarantine) Open(ctx context.Context) (int64, error) {
	view, err := q.Ledger.View(ctx, q.Dataset.String())
	if err != nil || view.Empty() {
		return 0, err
	}
	dataset, err := q.Zones.Dataset(ctx, q.Dataset)
	if errors.Is(err, zone.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	files, err := dataset.Files(ctx, view.Snapshot)
	if err != nil {
		return 0, err
	}
	settled, err := q.Ledger.SettledRows(ctx, q.Flow, 0)
	if err != nil {
		return 0, err
	}
	open := -settled[ledger.Released] - settled[ledger.DroppedRow]
	for _, file := range files {
		open += file.Rows
	}
	return open, nil
}

// rows reads what the choice wants of the visible units.
func (q *Quarantine) rows(ctx context.Context, c *Choice, fields []arrow.Field) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		batches, err := q.scan(ctx, c, fields)
		if err != nil {
			yield(Row{}, err)
			return
		}
		settled, err := q.Ledger.Settled(ctx, q.Flow)
		if err != nil {
			yield(Row{}, err)
			return
		}
		outcomes := OutcomesOf(settled)
		for batch, err := range batches {
			if err != nil {
				yield(Row{}, err)
				return
			}
			more := eachRow(batch, func(row Row) bool {
				if !c.wants(row) {
					return true
				}
				row.Outcome = outcomes.Of(row.ID)
				return yield(row, nil)
			})
			batch.Release()
			if !more {
				return
			}
		}
	}
}

// scan reads the quarantine dataset as far as the ledger goes. Taken first, so that rows that are settled meanwhile are open here at
// most once more.
func (q *Quarantine) scan(ctx context.Context, c *Choice, fields []arrow.Field) (zone.Batches, error) {
	none := func(func(arrow.RecordBatch, error) bool) {}
	view, err := q.Ledger.View(ctx, q.Dataset.String())
	if err != nil || view.Empty() {
		return none, err
	}
	dataset, err := q.Zones.Dataset(ctx, q.Dataset)
	if errors.Is(err, zone.ErrNotFound) {
		return none, nil
	}
	if err != nil {
		return nil, err
	}
	request := zone.ScanRequest{Snapshot: view.Snapshot, Columns: []string{zone.ColumnSeq, zone.ColumnIngestedAt}, Units: c.units()}
	for _, field := range fields {
		if dataset.Schema().HasField(field.Name) {
			request.Columns = append(request.Columns, field.Name)
		}
	}
	_, batches, err := dataset.Scan(ctx, request)
	return batches, err
}

// eachRow yields the rows of a batch; what they refer to is the batch's memory.
func eachRow(batch arrow.RecordBatch, yield func(Row) bool) bool {
	var row Row
	texts := map[string]*string{
		"stream": &row.Stream, "stage": &row.Stage, "step": &row.Step, "plugin": &row.Plugin, "code": &row.Code,
		"reason": &row.Reason, "column": &row.Column, "origin": &row.Origin,
	}
	for i := range int(batch.NumRows()) {
		for c, field := range batch.Schema().Fields() {
			switch a := batch.Column(c).(type) {
			case *array.String:
				if text := texts[field.Name]; text != nil {
					*text = a.Value(i)
				} else { // an id that can't be read is none
					row.ID, _ = ParseRowID(a.Value(i))
				}
			case *array.Int64:
				row.Unit = a.Value(i)
			case *array.Timestamp:
				row.At = time.UnixMicro(int64(a.Value(i)))
			case *array.Binary:
				row.Raw = a.Value(i)
			}
		}
		if !yield(row) {
			return false
		}
	}
	return true
}
