package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// Codes of rejections of changes.
const (
	codeUnchanged = "unchanged_input" // what is asked of a row needs a value that was not sent
	codeOp        = "unknown_op"
)

// columnSet is a set of the query's columns.
type columnSet []int64

func (q *changeQuery) set(in func(i int, p projected) bool) columnSet {
	s := make(columnSet, wordsFor(len(q.columns)))
	for i, p := range q.columns {
		if in(i, p) {
			s[i/wantedBits] |= 1 << (i % wantedBits)
		}
	}
	return s
}

// demand is what is asked of a row.
type demand struct {
	wanted    columnSet
	judged    bool
	unchanged []string // columns of the result that did not change
	fault     string   // why it can't be answered at all
	mixed     string   // why it can't be answered if the row passes
}

// demands knows what to ask of each row of change data.
type demands struct {
	*changeQuery
	live, gone, emptied *demand
	partial             map[string]*demand // by the names in _unchanged
}

func (q *changeQuery) newDemands() *demands {
	return &demands{
		changeQuery: q, partial: map[string]*demand{},
		live:    &demand{wanted: q.set(func(int, projected) bool { return true }), judged: true},
		gone:    &demand{wanted: q.set(func(_ int, p projected) bool { return p.ofKey })},
		emptied: &demand{wanted: q.set(func(_ int, p projected) bool { return p.ofKey && p.same >= 0 })},
	}
}

// of says what is asked of each row of a batch.
func (d *demands) of(record arrow.RecordBatch) []*demand {
	asked := make([]*demand, record.NumRows())
	op := opsOf(record.Column(d.at.Op))
	var lists *array.List
	if d.at.Unchanged >= 0 {
		lists, _ = record.Column(d.at.Unchanged).(*array.List)
	}
	for row := range asked {
		kind, ok := op(row)
		switch {
		case !ok:
			asked[row] = &demand{fault: "no operation: expected 0 (snapshot), 1 (insert), 2 (update), 3 (delete) or 4 (truncate)"}
		case kind == change.Truncate:
			asked[row] = d.emptied
		case kind == change.Delete:
			asked[row] = d.gone
		case lists == nil || lists.IsNull(row):
			asked[row] = d.live
		default:
			asked[row] = d.without(lists, row)
		}
	}
	return asked
}

// opsOf reads _op in either of its types.
func opsOf(column arrow.Array) func(row int) (change.Op, bool) {
	return func(row int) (change.Op, bool) {
		if column.IsNull(row) {
			return 0, false
		}
		var value int64
		switch column := column.(type) {
		case *array.Uint8:
			value = int64(column.Value(row))
		case *array.Int32:
			value = int64(column.Value(row))
		}
		if value < 0 || value > int64(change.Truncate) {
			return 0, false
		}
		return change.Op(value), true
	}
}

// without is what is asked of a row of which some values were not sent.
func (d *demands) without(lists *array.List, row int) *demand {
	names, ok := lists.ListValues().(*array.String)
	begin, end := lists.ValueOffsets(row)
	if !ok || begin == end {
		return d.live
	}
	var key strings.Builder
	for i := begin; i < end; i++ {
		fmt.Fprintf(&key, "%q", names.Value(int(i)))
	}
	if known, ok := d.partial[key.String()]; ok {
		return known
	}
	missing := map[int]bool{}
	for i := begin; i < end; i++ {
		for column := range d.table {
			if d.columnName(column) == names.Value(int(i)) {
				missing[column] = true
			}
		}
	}
	made := d.lacking(missing)
	d.partial[key.String()] = made
	return made
}

func (d *demands) lacking(missing map[int]bool) *demand {
	out := &demand{judged: true}
	lacks := func(column int) bool { return missing[column] }
	if d.where != nil && slices.ContainsFunc(d.where.reads, lacks) {
		out.fault = fmt.Sprintf("the condition needs %s, which %s", quoted(d.namesOf(d.where.reads), d.namesOf(keys(missing))), notSent)
	}
	out.wanted = d.set(func(_ int, p projected) bool {
		switch {
		case !slices.ContainsFunc(p.reads, lacks):
			return true
		case slices.ContainsFunc(p.reads, func(column int) bool { return !missing[column] }):
			if out.mixed == "" {
				out.mixed = fmt.Sprintf("column %q needs %s, which %s", p.name, quoted(d.namesOf(p.reads), d.namesOf(keys(missing))), notSent)
			}
		default:
			out.unchanged = append(out.unchanged, p.name)
		}
		return false
	})
	return out
}

const notSent = "the source did not send because it did not change: set the table's replica identity to full"

// quoted lists the names that are in both.
func quoted(names, among []string) string {
	var both []string
	for _, name := range names {
		if slices.Contains(among, name) {
			both = append(both, fmt.Sprintf("%q", name))
		}
	}
	return strings.Join(both, ", ")
}

func keys(set map[int]bool) []int {
	var out []int
	for i := range set {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// sort parts the rows that are asked something from those that can't be.
func (d *demands) sort(in sdk.Batch, asked []*demand) (rows []int, rejected []sdk.Rejection) {
	for row, one := range asked {
		if one.fault == "" {
			rows = append(rows, row)
			continue
		}
		code := codeUnchanged
		if one.wanted == nil {
			code = codeOp
		}
		rejected = append(rejected, sdk.Rejection{Stream: in.Stream, Origin: in.Origin, Row: row, Code: code, Reason: one.fault})
	}
	return rows, rejected
}

// feedOf is what the query runs on: the table's columns, and what is asked of each row.
func (q *changeQuery) feedOf(alloc memory.Allocator, schema *arrow.Schema, columns []arrow.Array, asked []*demand) arrow.RecordBatch {
	builder := array.NewRecordBuilder(alloc, arrow.NewSchema(schema.Fields()[len(columns):], nil))
	defer builder.Release()
	for row, one := range asked {
		builder.Field(0).(*array.Int64Builder).Append(int64(row))
		builder.Field(1).(*array.BooleanBuilder).Append(one.judged)
		for word, bits := range one.wanted {
			builder.Field(2 + word).(*array.Int64Builder).Append(bits)
		}
	}
	extra := builder.NewRecordBatch()
	defer extra.Release()
	return array.NewRecordBatch(schema, slices.Concat(columns, extra.Columns()), int64(len(asked)))
}
