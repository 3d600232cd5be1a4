package flow

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"sort"
	"strings"
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

// QuarantinedRow is one of them; its texts and bytes are valid until the next one is read. Raw is the row as a JSON object as it came to the stage that rejected it; of rows that a source
// could not read, it is what the source got.
type QuarantinedRow struct {
	ID      RowID // zero if an earlier version set it aside
	Unit    int64
	At      time.Time
	Stream  string
	Stage   string
	Step    string
	Plugin  string
	Code    string
	Reason  string
	Column  string
	Origin  string
	Raw     []byte
	Outcome ledger.Outcome // empty while it is open
}

// Selection chooses quarantined rows; empty fields choose all.
type Selection struct {
	Code, Stage string
	Unit        int64
	IDs         []RowID
	Since       time.Time // set aside then or later
	All         bool      // says that an otherwise empty selection is meant
}

// Empty says that a selection chooses every row without saying so.
func (s *Selection) Empty() bool {
	return s.Code == "" && s.Stage == "" && s.Unit == 0 && len(s.IDs) == 0 && s.Since.IsZero() && !s.All
}

// Rows reads the selected rows in the order of their units.
func (q *Quarantine) Rows(ctx context.Context, s Selection) iter.Seq2[QuarantinedRow, error] {
	return q.rows(ctx, newChoice(s, nil), true)
}

// Count sums up the selected rows by flow, stage and code, without reading what they hold.
func (q *Quarantine) Count(ctx context.Context, s Selection) ([]QuarantineCount, error) {
	groups := map[[4]string]*QuarantineCount{}
	for row, err := range q.rows(ctx, newChoice(s, nil), false) {
		if err != nil {
			return nil, err
		}
		key := [4]string{row.Stage, row.Step, row.Plugin, row.Code}
		g := groups[key]
		if g == nil {
			for i := range key { // a row's texts are its batch's
				key[i] = strings.Clone(key[i])
			}
			g = &QuarantineCount{Flow: q.Flow, Stage: key[0], Step: key[1], Plugin: key[2], Code: key[3], First: row.At}
			groups[key] = g
		}
		g.add(row)
	}
	counts := make([]QuarantineCount, 0, len(groups))
	for _, g := range groups {
		counts = append(counts, *g)
	}
	slices.SortFunc(counts, func(a, b QuarantineCount) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.Code, b.Code))
	})
	return counts, nil
}

// QuarantineCount sums up rows that one stage of a flow rejected for one reason.
type QuarantineCount struct {
	Flow     string    `json:"flow"`
	Stage    string    `json:"stage"`
	Step     string    `json:"step,omitempty"`
	Plugin   string    `json:"plugin,omitempty"`
	Code     string    `json:"code"`
	Rows     int64     `json:"rows"`
	Open     int64     `json:"open"`
	Released int64     `json:"released"`
	Dropped  int64     `json:"dropped"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

func (g *QuarantineCount) add(row QuarantinedRow) {
	g.Rows++
	switch row.Outcome {
	case ledger.Released:
		g.Released++
	case ledger.DroppedRow:
		g.Dropped++
	default:
		g.Open++
	}
	if row.At.Before(g.First) {
		g.First = row.At
	}
	if row.At.After(g.Last) {
		g.Last = row.At
	}
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
func (q *Quarantine) rows(ctx context.Context, c *choice, raw bool) iter.Seq2[QuarantinedRow, error] {
	return func(yield func(QuarantinedRow, error) bool) {
		batches, err := q.scan(ctx, c, raw)
		if err != nil {
			yield(QuarantinedRow{}, err)
			return
		}
		settled, err := q.outcomes(ctx)
		if err != nil {
			yield(QuarantinedRow{}, err)
			return
		}
		for batch, err := range batches {
			if err != nil {
				yield(QuarantinedRow{}, err)
				return
			}
			more := eachRow(batch, func(row QuarantinedRow) bool {
				if !c.wants(row) {
					return true
				}
				row.Outcome = settled.of(row.ID)
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
func (q *Quarantine) scan(ctx context.Context, c *choice, raw bool) (zone.Batches, error) {
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
	for _, field := range quarantineSchema.Fields() {
		if dataset.Schema().HasField(field.Name) && (raw || field.Name != "raw") {
			request.Columns = append(request.Columns, field.Name)
		}
	}
	_, batches, err := dataset.Scan(ctx, request)
	return batches, err
}

// eachRow yields the rows of a batch; what they refer to is the batch's memory.
func eachRow(batch arrow.RecordBatch, yield func(QuarantinedRow) bool) bool {
	var row QuarantinedRow
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

// outcomes know what became of a flow's quarantined rows.
type outcomes map[RowID][]ledger.Settled // by unit: the N of these ids is 0

func (q *Quarantine) outcomes(ctx context.Context) (outcomes, error) {
	settled, err := q.Ledger.Settled(ctx, q.Flow)
	if err != nil {
		return nil, err
	}
	all := outcomes{}
	for _, s := range settled {
		unit := RowID{Unit: s.Unit, Late: s.Late}
		all[unit] = append(all[unit], s)
	}
	return all, nil
}

func (o outcomes) of(id RowID) ledger.Outcome {
	ranges := o[RowID{Unit: id.Unit, Late: id.Late}]
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Last >= id.N })
	if i < len(ranges) && ranges[i].First <= id.N {
		return ranges[i].Outcome
	}
	return ""
}

// choice is a selection that remembers which of the rows that it names it has met.
type choice struct {
	selection Selection
	ids       map[RowID]bool // named, and met
	from      *Corrections
	byFrom    bool // the corrected rows are those that are meant
}

func newChoice(s Selection, from *Corrections) *choice {
	c := &choice{selection: s, from: from, byFrom: from != nil && s.Empty()}
	if len(s.IDs) > 0 {
		c.ids = map[RowID]bool{}
		for _, id := range s.IDs {
			c.ids[id] = false
		}
	}
	return c
}

func (c *choice) wants(row QuarantinedRow) bool {
	s := c.selection
	if c.ids != nil {
		if _, named := c.ids[row.ID]; !named {
			return false
		}
		c.ids[row.ID] = true
	}
	named := c.from.meet(row.ID)
	return (named || !c.byFrom) && (s.Code == "" || s.Code == row.Code) && (s.Stage == "" || s.Stage == row.Stage || s.Stage == row.Step) &&
		(s.Unit == 0 || s.Unit == row.Unit) && !row.At.Before(s.Since)
}

// units are those that the choice can be in; none if it can be in any.
func (c *choice) units() []zone.UnitRange {
	units := map[int64]bool{}
	if c.selection.Unit > 0 {
		units[c.selection.Unit] = true
	} else {
		for id := range c.ids {
			units[id.Unit] = true
		}
	}
	const most = 64 // beyond that, reading everything costs less than the filter
	if len(units) > most {
		return nil
	}
	var ranges []zone.UnitRange
	for unit := range units {
		ranges = append(ranges, zone.UnitRange{After: unit - 1, Upto: unit})
	}
	slices.SortFunc(ranges, func(a, b zone.UnitRange) int { return cmp.Compare(a.After, b.After) })
	return ranges
}

// unknown are ids that were named but not met, the first few of them.
func (c *choice) unknown() []string {
	const most = 20
	var all []RowID
	for id, met := range c.ids {
		if !met {
			all = append(all, id)
		}
	}
	all = append(all, c.from.unmet()...)
	slices.SortFunc(all, func(a, b RowID) int { return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.N, b.N)) })
	var texts []string
	for _, id := range slices.Compact(all[:min(len(all), most)]) {
		texts = append(texts, id.String())
	}
	return texts
}
