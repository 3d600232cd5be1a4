package quarantine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Misfit is a row that a schema can't hold, and why.
type Misfit struct {
	Row    []byte
	Reason string
}

// Fit makes batches of rows that are JSON objects, in their order, and returns those that don't fit the schema: all of a row's
// columns must be there, or be optional, and none may be unknown. The caller releases the batches.
func Fit(schema *arrow.Schema, rows [][]byte, alloc memory.Allocator) ([]arrow.RecordBatch, []Misfit) {
	if len(rows) == 0 {
		return nil, nil
	}
	batch, err := buildRows(schema, rows, alloc)
	if err == nil {
		return []arrow.RecordBatch{batch}, nil
	}
	if len(rows) == 1 {
		return nil, []Misfit{{Row: rows[0], Reason: err.Error()}}
	}
	half := len(rows) / 2 // a builder that failed can't be rolled back, and few rows are bad
	batches, misfits := Fit(schema, rows[:half], alloc)
	more, others := Fit(schema, rows[half:], alloc)
	return append(batches, more...), append(misfits, others...)
}

func buildRows(schema *arrow.Schema, rows [][]byte, alloc memory.Allocator) (batch arrow.RecordBatch, err error) {
	defer func() { // builders of some types panic on text that they can't hold
		if failure := recover(); failure != nil {
			batch, err = nil, fmt.Errorf("the row can't be read: %v", failure)
		}
	}()
	doc := bytes.NewBufferString("[")
	for i, row := range rows {
		if err := fits(schema, row); err != nil {
			return nil, err
		}
		if i > 0 {
			doc.WriteByte(',')
		}
		doc.Write(row)
	}
	doc.WriteByte(']')
	batch, _, err = array.RecordFromJSON(alloc, schema, doc)
	if err != nil {
		return nil, fmt.Errorf("the row does not fit its columns' types: %w", err)
	}
	if batch.NumRows() != int64(len(rows)) {
		batch.Release()
		return nil, fmt.Errorf("%d rows were read as %d", len(rows), batch.NumRows())
	}
	return batch, nil
}

// fits checks a row's names, which builders pass over, and that nothing required is missing.
func fits(schema *arrow.Schema, raw []byte) error {
	var row map[string]json.RawMessage
	if err := json.Unmarshal(raw, &row); err != nil || row == nil {
		return errors.New("the row is not a JSON object")
	}
	for _, name := range slices.Sorted(maps.Keys(row)) {
		at := schema.FieldIndices(name)
		if len(at) != 1 {
			return fmt.Errorf("there is no column %q, only %s", name, columnsOf(schema))
		}
		if err := known(schema.Field(at[0]).Type, row[name]); err != nil {
			return fmt.Errorf("column %q: %w", name, err)
		}
	}
	for _, field := range schema.Fields() {
		if value := row[field.Name]; !field.Nullable && (value == nil || bytes.Equal(value, []byte("null"))) {
			return fmt.Errorf("column %q is required, but null or missing", field.Name)
		}
	}
	return nil
}

// known refuses names that a struct does not have, which builders pass over.
func known(of arrow.DataType, value json.RawMessage) error {
	switch t := of.(type) {
	case *arrow.StructType:
		var object map[string]json.RawMessage
		if err := json.Unmarshal(value, &object); err != nil {
			return err
		}
		for name, inner := range object {
			field, ok := t.FieldByName(name)
			if !ok {
				return fmt.Errorf("there is no %q in %s", name, t)
			}
			if err := known(field.Type, inner); err != nil {
				return err
			}
		}
	case arrow.ListLikeType:
		if _, flat := t.Elem().(arrow.NestedType); !flat {
			return nil
		}
		var elements []json.RawMessage
		if err := json.Unmarshal(value, &elements); err != nil {
			return err
		}
		for _, element := range elements {
			if err := known(t.Elem(), element); err != nil {
				return err
			}
		}
	}
	return nil
}

func columnsOf(schema *arrow.Schema) string {
	names := make([]string, schema.NumFields())
	for i, field := range schema.Fields() {
		names[i] = field.Name
	}
	return fmt.Sprintf("%q", names)
}
