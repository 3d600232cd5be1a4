package merge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

// Mode is what comes out of a merge.
type Mode int

const (
	// Net gives one row or one deletion for each key.
	Net Mode = iota
	// History gives every version of every row.
	History
)

// Lookup fetches the table's current rows for keys, as they were before the unit: the key columns and at least the columns named, in
// any order, none for keys that are not there. It takes no ownership of keys; what it returns is released by its caller.
type Lookup func(ctx context.Context, keys arrow.RecordBatch, columns []string) (arrow.RecordBatch, error)

// Settings of a merge.
type Settings struct {
	// Table is what the target holds, without system columns. Columns that a batch has not are null, those of narrower type are cast,
	// those that the target has not are left out.
	Table *arrow.Schema
	Key   []string // of Table's columns; no floating-point numbers, nothing nested
	Mode  Mode
	// Lookup completes rows that lack values; nil if there is no table yet: then such rows are rejected.
	Lookup Lookup
	// At is the time of changes that have none; History needs it. See DESIGN.md, "Time".
	At time.Time
	// Since is what Until gave behind earlier units; zero before the first. Only History looks at it.
	Since time.Time
	// Budget is how many bytes of rows and keys are held in memory before they go to files in Folder; 0: DefaultBudget. Besides, there
	// is what is written and read at a time.
	Budget int64
	Folder string // must be there when the budget is used up; what is put there is removed by Close
	Alloc  memory.Allocator

	// What comes out is cut to so many rows and, as far as sizes of rows can be told, bytes; 0: DefaultBatchRows, DefaultBatchBytes.
	BatchRows  int
	BatchBytes int64
	LookupKeys int // at most in one call of Lookup; 0: DefaultLookupKeys
}

// Used where Settings say nothing.
const (
	DefaultBudget     = 128 << 20
	DefaultBatchRows  = 16 << 10
	DefaultBatchBytes = 16 << 20
	DefaultLookupKeys = 64 << 10
)

// Codes of rejections.
const (
	CodeNullKey = "null_key"    // a key column is null in a change that is no truncate
	CodeOp      = "unknown_op"  // _op is null or no operation
	CodeNoRow   = "row_missing" // columns were left out as unchanged, but neither the unit nor the table has the row
)

// Rejection is a row that is not merged.
type Rejection struct {
	Batch  int // ordinal of the call of Add, from 0
	Row    int // in that batch
	Code   string
	Reason string
	Column string // if one is to blame
}

// Counts accounts for rows: In = Merged + Rejected. Rows that lack values are known to be merged when Parts has ended.
type Counts struct{ In, Merged, Rejected int64 }

// Merge takes in a unit with Add, then gives out what it comes to with Parts. It is for one goroutine. Close must be called.
type Merge struct {
	settings Settings
	alloc    memory.Allocator
	compute  context.Context //nolint:containedctx // carries the allocator for casts, no deadline

	columns []arrow.Field  // meta columns, then those of the table; they stay where they are when the table evolves
	byName  map[string]int // of the table's columns that are not in the key
	order   []int          // of the columns in the table's order
	keyAt   []int
	codec   keyCodec
	masks   masks

	layout    *layout
	entries   *arrow.Schema
	top       *level
	batches   int
	counts    Counts
	truncated truncation
	clock     clock
	folder    string
	files     int
	done      bool
}

// truncation remembers what there is to know about truncates of the unit.
type truncation struct {
	happened bool
	first    arrow.Timestamp
	last     arrow.RecordBatch // meta columns of the last one
}

// Columns of every source that are not the table's.
const (
	metaOp = iota
	metaPos
	metaSeq
	metaTs
	metaColumns
)

var metaFields = [metaColumns]arrow.Field{
	{Name: change.ColumnOp, Type: arrow.PrimitiveTypes.Uint8, Nullable: true},
	{Name: change.ColumnPos, Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: change.ColumnTxSeq, Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: change.ColumnTs, Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
}

// New begins a unit.
func New(s Settings) (*Merge, error) {
	if s.Table == nil || len(s.Key) == 0 {
		return nil, errors.New("merge: a table and a key are needed")
	}
	if s.Mode == History && s.At.IsZero() {
		return nil, errors.New("merge: history needs a time for changes that have none")
	}
	s.Budget, s.BatchBytes = or(s.Budget, DefaultBudget), or(s.BatchBytes, DefaultBatchBytes)
	s.BatchRows, s.LookupKeys = or(s.BatchRows, DefaultBatchRows), or(s.LookupKeys, DefaultLookupKeys)
	if s.Alloc == nil {
		s.Alloc = memory.DefaultAllocator
	}
	m := &Merge{settings: s, alloc: s.Alloc, masks: newMasks(), columns: metaFields[:]}
	m.compute = compute.WithAllocator(context.Background(), s.Alloc)
	m.clock = newClock(s.Since, s.At)
	if err := m.setTable(s.Table); err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	m.top = newLevel(m, 0, false)
	return m, nil
}

func or[T int | int64](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// Evolve changes the table's schema between two batches: columns may be added anywhere and become wider, none may go, and the encoding
// of the key must stay: of its columns, only integers may become wider.
func (m *Merge) Evolve(table *arrow.Schema) error {
	if m.done {
		return errEnded
	}
	if err := m.setTable(table); err != nil {
		return fmt.Errorf("merge: new schema: %w", err)
	}
	return m.top.evolve()
}

// setTable puts new columns behind those that are known.
func (m *Merge) setTable(table *arrow.Schema) error {
	columns, places := append([]arrow.Field(nil), m.columns...), map[string]int{}
	for i := metaColumns; i < len(columns); i++ {
		places[columns[i].Name] = i
	}
	order := make([]int, table.NumFields())
	seen := map[string]bool{}
	for i, f := range table.Fields() {
		if reserved(f.Name) || seen[f.Name] || (m.settings.Mode == History && slices.Contains(change.VersionNames(), f.Name)) {
			return fmt.Errorf("the table must not have two columns %q, or one, if the name is that of a change column", f.Name)
		}
		seen[f.Name] = true
		at, known := places[f.Name]
		if !known {
			at = len(columns)
			columns = append(columns, arrow.Field{})
		}
		columns[at] = arrow.Field{Name: f.Name, Type: f.Type, Nullable: true}
		order[i] = at
	}
	for name := range places {
		if !seen[name] {
			return fmt.Errorf("column %q is gone", name)
		}
	}
	keyAt, codec, err := newKey(columns, m.settings.Key)
	if err != nil {
		return err
	}
	if m.keyAt != nil && !codec.agrees(&m.codec) {
		return errors.New("the key's type changes within a unit")
	}
	m.columns, m.order, m.keyAt, m.codec = columns, order, keyAt, codec
	m.settings.Table, m.layout, m.entries = table, nil, entrySchema(columns)
	m.byName = map[string]int{}
	for i := metaColumns; i < len(columns); i++ {
		m.byName[columns[i].Name] = i
	}
	for _, at := range keyAt {
		delete(m.byName, columns[at].Name)
	}
	return nil
}

func reserved(name string) bool {
	return slices.Contains(change.Names(), name)
}

func newKey(columns []arrow.Field, names []string) ([]int, keyCodec, error) {
	var at []int
	var parts []keyColumn
	for _, name := range names {
		found := -1
		for i := metaColumns; i < len(columns); i++ {
			if columns[i].Name == name {
				found = i
			}
		}
		if found < 0 {
			return nil, keyCodec{}, fmt.Errorf("the table has no key column %q", name)
		}
		k, err := newKeyColumn(found, columns[found])
		if err != nil {
			return nil, keyCodec{}, err
		}
		at, parts = append(at, found), append(parts, k)
	}
	return at, newKeyCodec(parts), nil
}

// agrees says whether two codecs give equal bytes for equal keys.
func (c *keyCodec) agrees(o *keyCodec) bool {
	for i := range c.columns {
		a, b := &c.columns[i], &o.columns[i]
		bothInts := a.integer && b.integer && a.signed == b.signed
		if a.at != b.at || (!bothInts && !arrow.TypeEqual(a.field.Type, b.field.Type)) {
			return false
		}
	}
	return true
}

// Counts accounts for the rows so far.
func (m *Merge) Counts() Counts { return m.counts }

// Until is the latest time that changes have had by now, or Since: no change to come is earlier. It is zero if none has had any.
func (m *Merge) Until() time.Time { return m.clock.until() }

// Truncated says whether the unit has emptied the table.
func (m *Merge) Truncated() bool { return m.truncated.happened }

var errEnded = errors.New("merge: the unit has ended")

// Close frees everything and removes the files. It can be called at any time.
func (m *Merge) Close() error {
	m.done = true
	if m.top != nil {
		m.top.close()
		m.top = nil
	}
	m.layout = nil
	if m.truncated.last != nil {
		m.truncated.last.Release()
		m.truncated.last = nil
	}
	if m.folder == "" {
		return nil
	}
	folder := m.folder
	m.folder = ""
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("merge: remove spilled changes: %w", err)
	}
	return nil
}
