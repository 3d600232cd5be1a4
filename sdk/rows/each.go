package rows

import (
	"errors"
	"fmt"
	"iter"
	"reflect"

	"github.com/apache/arrow-go/v18/arrow"
)

// Each reads the rows of a record as structs, or as map[string]any. Columns are found by name and may come in any order; columns
// that T does not have are passed over. Integers, floats, texts and timestamps are read from columns of another width as well, if
// the values fit.
//
// The values are copies and outlive the record. A row that can't be read (a null without a pointer, a number that is too large)
// comes with an error that names the field, the value and what was expected, and the next rows follow; a column that is missing
// or of another type is one error alone.
//
// In maps, a value is nil, bool, int64, uint64, float64, string, []byte, time.Time, time.Duration, Date, Decimal, []any for
// lists, map[string]any for structs and for maps with texts as keys.
func Each[T any](record arrow.RecordBatch) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var row T
		into := reflect.ValueOf(&row).Elem()
		read, err := rowReader(into.Type(), record)
		if err != nil {
			yield(row, err)
			return
		}
		for i := range int(record.NumRows()) {
			into.SetZero()
			err := read(i, into)
			if err != nil {
				into.SetZero()
				err = fmt.Errorf("row %d: %w", i, err)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func rowReader(t reflect.Type, record arrow.RecordBatch) (reader, error) {
	if t == reflect.TypeFor[map[string]any]() {
		return mapReader(record)
	}
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	return readFields(fields, func(name string) arrow.Array {
		if at := record.Schema().FieldIndices(name); len(at) > 0 {
			return record.Column(at[0])
		}
		return nil
	})
}

// readFields reads a struct from the arrays of its fields.
func readFields(fields []field, column func(name string) arrow.Array) (reader, error) {
	readers := make([]reader, len(fields))
	var faults []error
	for i, f := range fields {
		a := column(f.name)
		if a == nil {
			faults = append(faults, fmt.Errorf("field %q: there is no such column, expected %s", f.name, f.typ))
			continue
		}
		var err error
		if readers[i], err = orNull(f.kind, a); err != nil {
			faults = append(faults, fmt.Errorf("field %q: %w", f.name, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return func(row int, into reflect.Value) error {
		for i, read := range readers {
			if err := read(row, into.FieldByIndex(fields[i].index)); err != nil {
				return fmt.Errorf("field %q: %w", fields[i].name, err)
			}
		}
		return nil
	}, nil
}

// orNull reads a null as the zero value of a nullable type: a nil pointer, a nil slice, an invalid Optional.
func orNull(k kind, a arrow.Array) (reader, error) {
	read, err := k.read(a)
	if err != nil {
		return nil, err
	}
	if a.NullN() == 0 {
		return read, nil
	}
	return func(row int, into reflect.Value) error {
		switch {
		case a.IsValid(row):
			return read(row, into)
		case k.nullable:
			into.SetZero()
			return nil
		}
		return fmt.Errorf("null, expected %s; a pointer or an Optional takes nulls", k.typ)
	}, nil
}
