package main

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk/change"
)

// former puts the rows that were there before through the query. It returns _before of the result, nil if the input has none, and
// those columns of the result that tell of rows that were left out after a change of their key: gone is what was under the old one.
func (c *changed) former(ctx context.Context, own arrow.RecordBatch, passes []bool, now []arrow.Array) (arrow.Array, map[int]arrow.Array, error) {
	if c.at.Before < 0 {
		return nil, nil, nil
	}
	given, ok := own.Column(c.at.Before).(*array.Struct)
	if !ok || given.NullN() == given.Len() {
		return nullsOf(c.alloc, c.before, int(own.NumRows())), nil, nil
	}
	old, release := c.oldRows(given)
	defer release()
	asked, moved := c.askedBefore(own, given, old, passes)
	a, err := c.answersBefore(ctx, old, asked)
	if err != nil {
		return nil, nil, err
	}
	defer a.release()
	keys, err := c.movedKeys(a, now, moved)
	if err != nil {
		return nil, nil, err
	}
	return c.structOf(given, passes, a.columns), keys, nil
}

// oldRows are the old values of the table's columns; those of which nothing is known are null.
func (c *changed) oldRows(given *array.Struct) ([]arrow.Array, func()) {
	kind := given.DataType().(*arrow.StructType)
	columns := make([]arrow.Array, len(c.table))
	for i, place := range c.table {
		field := c.input.Field(place)
		at, ok := kind.FieldIdx(field.Name)
		if !ok || !arrow.TypeEqual(kind.Field(at).Type, field.Type) {
			columns[i] = nullsOf(c.alloc, field.Type, given.Len())
			continue
		}
		columns[i] = given.Field(at)
		columns[i].Retain()
	}
	return columns, func() {
		for _, column := range columns {
			column.Release()
		}
	}
}

// askedBefore says what is asked of each old row: all, or only what tells whose row it was if nothing else of it is known. moved are
// the rows that were left out after a change of their key.
func (c *changed) askedBefore(own arrow.RecordBatch, given *array.Struct, old []arrow.Array, passes []bool) (asked []*demand, moved []bool) {
	all := &demand{wanted: c.set(func(int, projected) bool { return true })}
	keyOnly := &demand{wanted: c.set(func(_ int, p projected) bool { return p.ofKey })}
	none := &demand{wanted: c.set(func(int, projected) bool { return false })}
	op := opsOf(own.Column(c.at.Op))
	asked, moved = make([]*demand, len(passes)), make([]bool, len(passes))
	for row := range asked {
		kind, _ := op(row)
		switch {
		case given.IsNull(row):
			asked[row] = none
		case !passes[row]:
			asked[row] = none
			if moved[row] = kind == change.Update && c.keyChanged(own, old, row); moved[row] {
				asked[row] = keyOnly
			}
		case len(c.key) == 0 || c.knowsMore(old, row):
			asked[row] = all
		default:
			asked[row] = keyOnly
		}
	}
	return asked, moved
}

// keyChanged compares the key with the old one, if that is known.
func (c *changed) keyChanged(own arrow.RecordBatch, old []arrow.Array, row int) bool {
	differs := false
	from, to := int64(row), int64(row)+1
	for _, column := range c.key {
		if old[column].IsNull(row) {
			return false
		}
		differs = differs || !array.SliceEqual(old[column], from, to, own.Column(c.table[column]), from, to)
	}
	return differs
}

// knowsMore says whether an old row has a value outside the key.
func (c *changed) knowsMore(old []arrow.Array, row int) bool {
	inKey := map[int]bool{}
	for _, column := range c.key {
		inKey[column] = true
	}
	for i, column := range old {
		if !inKey[i] && column.IsValid(row) {
			return true
		}
	}
	return false
}

// answersBefore asks until no row fails: an old row that the query fails on is asked less, for nobody needs all of it.
func (c *changed) answersBefore(ctx context.Context, old []arrow.Array, asked []*demand) (*answers, error) {
	keyOnly := &demand{wanted: c.set(func(_ int, p projected) bool { return p.ofKey })}
	none := &demand{wanted: make(columnSet, len(keyOnly.wanted))}
	for _, less := range []*demand{keyOnly, none} {
		s, err := c.ask(ctx, old, asked)
		if err != nil {
			return nil, err
		}
		if len(s.faults) == 0 {
			defer s.release()
			return c.read(s)
		}
		for _, fault := range s.faults {
			asked[fault.row] = less
		}
		s.release()
	}
	s, err := c.ask(ctx, old, asked)
	if err != nil {
		return nil, err
	}
	defer s.release()
	return c.read(s)
}

// movedKeys puts the old row's values in the place of those that tell whose row a deletion is.
func (c *changed) movedKeys(a *answers, now []arrow.Array, moved []bool) (map[int]arrow.Array, error) {
	out := map[int]arrow.Array{}
	any := false
	for _, one := range moved {
		any = any || one
	}
	for i, p := range c.columns {
		if !any || !p.ofKey {
			continue
		}
		column, err := either(c.alloc, now[i], a.columns[i], moved)
		if err != nil {
			for _, made := range out {
				made.Release()
			}
			return nil, err
		}
		out[i] = column
	}
	return out, nil
}

// either takes each row from one of two arrays: the second where so is set.
func either(alloc memory.Allocator, first, second arrow.Array, so []bool) (arrow.Array, error) {
	var parts []arrow.Array
	defer func() {
		for _, part := range parts {
			part.Release()
		}
	}()
	for begin := 0; begin < len(so); {
		end := begin + 1
		for end < len(so) && so[end] == so[begin] {
			end++
		}
		from := first
		if so[begin] {
			from = second
		}
		parts = append(parts, array.NewSlice(from, int64(begin), int64(end)))
		begin = end
	}
	return array.Concatenate(parts, alloc)
}

// structOf makes _before of its columns: null where it was, and where a row was left out.
func (c *changed) structOf(given *array.Struct, passes []bool, columns []arrow.Array) arrow.Array {
	validity := memory.NewResizableBuffer(c.alloc)
	defer validity.Release()
	validity.Resize(int(bitutil.BytesForBits(int64(len(passes)))))
	clear(validity.Bytes())
	nulls := 0
	for row, pass := range passes {
		if pass && given.IsValid(row) {
			bitutil.SetBit(validity.Bytes(), row)
		} else {
			nulls++
		}
	}
	children := make([]arrow.ArrayData, len(columns))
	for i, column := range columns {
		children[i] = column.Data()
	}
	data := array.NewData(c.before, len(passes), []*memory.Buffer{validity}, children, nulls, 0)
	defer data.Release()
	return array.NewStructData(data)
}

// nullsOf is an array of nulls. Arrow's own way to make one panics at columns of type null.
func nullsOf(alloc memory.Allocator, kind arrow.DataType, rows int) arrow.Array {
	builder := array.NewBuilder(alloc, kind)
	defer builder.Release()
	builder.AppendNulls(rows)
	return builder.NewArray()
}
