package quarantine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

// RowID names a quarantined row of a flow: the unit that it was rejected in and its number there, from 1. Rows that a sink refused
// only when it committed are numbered apart.
type RowID struct {
	Unit int64
	Late bool
	N    int64
}

const lateMark = "-late-"

// String is the id as it stands in the quarantine dataset: 12-3, or 12-late-3.
func (id RowID) String() string {
	if id.Late {
		return fmt.Sprintf("%d%s%d", id.Unit, lateMark, id.N)
	}
	return fmt.Sprintf("%d-%d", id.Unit, id.N)
}

// ParseRowID reads an id.
func ParseRowID(text string) (RowID, error) {
	unit, n, late := strings.Cut(text, lateMark)
	if !late {
		unit, n, _ = strings.Cut(text, "-")
	}
	id := RowID{Late: late}
	var err error
	if id.Unit, err = strconv.ParseInt(unit, 10, 64); err == nil {
		id.N, err = strconv.ParseInt(n, 10, 64)
	}
	if err != nil || id.Unit <= 0 || id.N <= 0 || id.String() != text {
		return RowID{}, fmt.Errorf("id %q of a quarantined row: expected a unit and a number, such as 12-3 or 12-late-3", text)
	}
	return id, nil
}

// Extend adds a row to ranges, which hold the rows before it.
func Extend(ranges []ledger.Range, id RowID) []ledger.Range {
	if n := len(ranges); n > 0 {
		last := &ranges[n-1]
		if last.Unit == id.Unit && last.Late == id.Late && last.Last+1 == id.N {
			last.Last = id.N
			return ranges
		}
	}
	return append(ranges, ledger.Range{Unit: id.Unit, Late: id.Late, First: id.N, Last: id.N})
}

// Renumber gives quarantined rows of a unit to another one. The ownership of the batch passes, and that of the new one is the caller's.
func Renumber(batch arrow.RecordBatch, unit int64, alloc memory.Allocator) arrow.RecordBatch {
	defer batch.Release()
	columns := slices.Clone(batch.Columns())
	at := batch.Schema().FieldIndices("id")
	if len(at) != 1 {
		batch.Retain()
		return batch
	}
	builder := array.NewStringBuilder(alloc)
	defer builder.Release()
	before, _ := columns[at[0]].(*array.String)
	for row := range int(batch.NumRows()) {
		id, err := ParseRowID(before.Value(row))
		if before.IsNull(row) || err != nil {
			builder.AppendNull()
			continue
		}
		id.Unit = unit
		builder.Append(id.String())
	}
	columns[at[0]] = builder.NewArray()
	defer columns[at[0]].Release()
	return array.NewRecordBatch(batch.Schema(), columns, batch.NumRows())
}
