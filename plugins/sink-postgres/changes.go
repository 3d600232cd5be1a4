package main

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// changes is what a batch says of each row beside its columns.
type changes struct {
	op    func(row int) (int64, bool)
	moved []bool // nil if no key changed
}

// read looks at a batch of changes for what its merge will need.
func (g *staging) read(st *stream, record arrow.RecordBatch) changes {
	out := changes{op: opOf(record.Column(st.change.Op))}
	for row := range int(record.NumRows()) {
		switch op, _ := out.op(row); change.Op(op) { //nolint:gosec // what is no operation is refused while it is written
		case change.Delete:
			g.gone = true
		case change.Truncate:
			g.empty = true
		}
	}
	out.moved = st.movedRows(record, out.op)
	g.moved = g.moved || slices.Contains(out.moved, true)
	if st.change.Unchanged >= 0 {
		g.readUnsent(st, record.Column(st.change.Unchanged))
	}
	return out
}

// opOf reads _op, which datasets keep as int32; null is a row of which nothing is known.
func opOf(a arrow.Array) func(row int) (int64, bool) {
	return func(row int) (int64, bool) {
		if a.IsNull(row) {
			return int64(change.Snapshot), true
		}
		if wide, ok := a.(*array.Int32); ok {
			return int64(wide.Value(row)), true
		}
		return int64(a.(*array.Uint8).Value(row)), true
	}
}

func (g *staging) readUnsent(st *stream, a arrow.Array) {
	list := a.(*array.List)
	if list.NullN() == list.Len() {
		return
	}
	names := list.ListValues().(*array.String)
	for row := range list.Len() {
		if list.IsNull(row) {
			continue
		}
		from, end := list.ValueOffsets(row)
		for k := from; k < end; k++ {
			name := names.Value(int(k))
			for i, c := range st.columns {
				if c.Name == name && !c.Key {
					g.unsent[i] = true
				}
			}
		}
	}
}

// movedRows marks the updates whose _before has another key.
func (st *stream) movedRows(record arrow.RecordBatch, op func(int) (int64, bool)) []bool {
	if st.before == nil || record.Column(st.change.Before).NullN() == int(record.NumRows()) {
		return nil
	}
	before := record.Column(st.change.Before)
	moved := make([]bool, record.NumRows())
	now, old := st.keyCells(record), st.beforeCells(record)
	var a, b []byte
	for row := range moved {
		if v, _ := op(row); v != int64(change.Update) || before.IsNull(row) {
			continue
		}
		differs, known := false, true
		for i := range now {
			if old[i].Null != nil && old[i].Null(row) || now[i].Null != nil && now[i].Null(row) {
				known = false
				break
			}
			var err, err2 error
			a, err = now[i].Put(a[:0], row)
			b, err2 = old[i].Put(b[:0], row)
			differs = differs || err != nil || err2 != nil || !bytes.Equal(a, b)
		}
		moved[row] = known && differs
	}
	return moved
}

func (st *stream) keyCells(record arrow.RecordBatch) []encode.Cells {
	var out []encode.Cells
	for _, place := range st.keyPlaces() {
		out = append(out, st.columns[place].Cells(record.Column(st.sources[place])))
	}
	return out
}

// beforeCells are the key's columns in _before, in the order of keyPlaces.
func (st *stream) beforeCells(record arrow.RecordBatch) []encode.Cells {
	row := record.Column(st.change.Before).(*array.Struct)
	var out []encode.Cells
	for i, column := range st.before {
		out = append(out, column.Cells(row.Field(st.beforeAt[i])))
	}
	return out
}

// changeFields are the columns of the staging table that only changes have.
func (st *stream) changeFields(record arrow.RecordBatch, c changes) ([]string, []encode.Cells) {
	names := []string{"p"}
	fields := []encode.Cells{st.checkedOp(record, c.op)}
	if st.change.Ts >= 0 {
		names, fields = append(names, "t"), append(fields, st.ts.Cells(record.Column(st.change.Ts)))
	}
	if st.change.Unchanged >= 0 {
		names, fields = append(names, "x"), append(fields, st.unchanged.Cells(record.Column(st.change.Unchanged)))
	}
	if st.before == nil {
		return names, fields
	}
	for i, cells := range st.beforeCells(record) {
		names = append(names, fmt.Sprintf("k%d", i))
		fields = append(fields, encode.Cells{Null: func(row int) bool { return c.moved == nil || !c.moved[row] }, Put: cells.Put})
	}
	return names, fields
}

// checkedOp refuses changes that can't be applied.
func (st *stream) checkedOp(record arrow.RecordBatch, op func(int) (int64, bool)) encode.Cells {
	keys := st.keyCells(record)
	cells := encode.Integer(op)
	put := cells.Put
	cells.Put = func(to []byte, row int) ([]byte, error) {
		v, _ := op(row)
		if v < 0 || v > int64(change.Truncate) {
			return to, &encode.Fault{Column: change.ColumnOp, Code: "malformed", Reason: fmt.Sprintf("%d is no operation", v)}
		}
		if len(keys) == 0 && (v == int64(change.Update) || v == int64(change.Delete)) {
			return to, &encode.Fault{Column: change.ColumnOp, Code: "no_key", Reason: "the stream has no key, so it is not known which row the change is of"}
		}
		for i, key := range keys {
			if v != int64(change.Truncate) && key.Null != nil && key.Null(row) {
				name := st.columns[st.keyPlaces()[i]].Name
				return to, &encode.Fault{Column: name, Code: "not_null", Reason: "the key has no value"}
			}
		}
		return put(to, row)
	}
	return cells
}

// changed prepares a stream for its change columns.
func (st *stream) changed(schema *arrow.Schema) error {
	if !st.isChange() {
		return nil
	}
	text := encode.Type{Declared: 25, Name: "text", Kind: 'b', Builtin: true, Mod: -1, SQL: "text"}
	var err error
	if st.change.Ts >= 0 {
		st.ts, err = encode.New(schema.Field(st.change.Ts), encode.Type{Name: "timestamptz", Kind: 'b', Builtin: true, Mod: -1, SQL: "timestamptz"})
	}
	if err == nil && st.change.Unchanged >= 0 {
		st.unchanged, err = encode.New(schema.Field(st.change.Unchanged), encode.Type{Name: "_text", Kind: 'b', Builtin: true, Mod: -1, Element: &text, SQL: "text[]"})
	}
	if err != nil || st.change.Before < 0 {
		return err
	}
	row := schema.Field(st.change.Before).Type.(*arrow.StructType)
	for _, place := range st.keyPlaces() {
		c := st.columns[place]
		at, there := row.FieldIdx(c.Name)
		if !there {
			return sdk.Fatal(fmt.Errorf("stream %q: %q is in the key, and _before has no such column: changes of the key could not be seen", st.name, c.Name))
		}
		column, err := encode.New(row.Field(at), c.Type)
		if err == nil && column.Wire != c.Wire {
			err = &encode.UnfitError{Column: change.ColumnBefore + "." + c.Name, Arrow: row.Field(at).Type.String(), Type: c.Type.SQL}
		}
		if err != nil {
			return sdk.Fatal(fmt.Errorf("stream %q: %w", st.name, err))
		}
		st.before, st.beforeAt = append(st.before, column), append(st.beforeAt, at)
	}
	return nil
}
