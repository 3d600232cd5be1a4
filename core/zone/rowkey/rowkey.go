// Package rowkey finds rows by their keys: it remembers the keys of some rows and says which rows of other batches have one of them.
// It is what package zone looks rows up with, and what package upkeep finds the rows with that upserts replaced. It knows Arrow
// arrays only; where they come from is up to its neighbours.
package rowkey

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Index maps keys to numbers. It is filled by one goroutine and may then be read by many.
type Index struct {
	ints    map[int64]int64 // a key of one column of whole numbers
	texts   map[string]int64
	spreads []spread
	sieve   sieve
}

// New makes an index of keys with columns of these types, in this order.
func New(types []arrow.DataType) *Index {
	x := &Index{spreads: make([]spread, len(types))}
	for i, t := range types {
		x.spreads[i].kind = kindOf(t)
	}
	if len(types) == 1 && x.spreads[0].kind == whole {
		x.ints = map[int64]int64{}
	} else {
		x.texts = map[string]int64{}
	}
	return x
}

// Len is the number of keys.
func (x *Index) Len() int { return len(x.ints) + len(x.texts) }

// Put adds the keys of some rows with a number. Of the numbers of equal keys it keeps the highest. Rows with a null are passed over:
// no key has one. It keeps nothing of the arrays.
func (x *Index) Put(columns []arrow.Array, value int64) error {
	if len(columns) != len(x.spreads) {
		return fmt.Errorf("a key of %d columns, expected %d", len(columns), len(x.spreads))
	}
	for i, c := range columns {
		if err := x.spreads[i].add(c); err != nil {
			return err
		}
	}
	return x.each(columns, func(_ int, number int64, text []byte) {
		if x.ints != nil {
			x.ints[number] = raise(x.ints, number, value)
		} else {
			x.texts[string(text)] = raise(x.texts, string(text), value)
		}
	})
}

func raise[K comparable](m map[K]int64, key K, value int64) int64 {
	if have, ok := m[key]; ok && have > value {
		return have
	}
	return value
}

// Match calls hit for the rows that have a key of the index, in order. The index must not be filled any more.
func (x *Index) Match(columns []arrow.Array, hit func(row int, value int64)) error {
	x.sieve.once.Do(x.fillSieve)
	if x.ints != nil {
		return x.matchNumbers(columns[0], hit)
	}
	return x.each(columns, func(row int, _ int64, text []byte) {
		if !x.sieve.mayHave(x.sieve.ofText(text)) {
			return
		}
		if value, ok := x.texts[string(text)]; ok {
			hit(row, value)
		}
	})
}

func (x *Index) matchNumbers(column arrow.Array, hit func(row int, value int64)) error {
	switch c := column.(type) {
	case *array.Int64:
		matchAll(x, c, c.Int64Values(), hit)
	case *array.Int32:
		matchAll(x, c, c.Int32Values(), hit)
	case *array.Date32:
		matchAll(x, c, c.Date32Values(), hit)
	case *array.Time64:
		matchAll(x, c, c.Time64Values(), hit)
	case *array.Timestamp:
		matchAll(x, c, c.TimestampValues(), hit)
	default:
		return fmt.Errorf("a column of %s holds no whole numbers", column.DataType())
	}
	return nil
}

func matchAll[T ~int64 | ~int32](x *Index, column arrow.Array, values []T, hit func(row int, value int64)) {
	nulls := column.NullN() > 0
	for row, v := range values {
		if !x.sieve.mayHave(ofNumber(int64(v))) || (nulls && column.IsNull(row)) {
			continue
		}
		if value, ok := x.ints[int64(v)]; ok {
			hit(row, value)
		}
	}
}

// each goes through rows without nulls, whose keys are a number or a text.
func (x *Index) each(columns []arrow.Array, visit func(row int, number int64, text []byte)) error {
	rows := columns[0].Len()
	if x.ints != nil {
		numbers, err := numbersOf(columns[0])
		if err != nil {
			return err
		}
		for row := range rows {
			if !columns[0].IsNull(row) {
				visit(row, numbers(row), nil)
			}
		}
		return nil
	}
	encoders := make([]encoder, len(columns))
	for i, c := range columns {
		var err error
		if encoders[i], err = encoderOf(c); err != nil {
			return err
		}
	}
	var text []byte
	for row := range rows {
		text = text[:0]
		null := false
		for i, encode := range encoders {
			null = null || columns[i].IsNull(row)
			text = encode(text, row)
		}
		if !null {
			visit(row, 0, text)
		}
	}
	return nil
}

// numbersOf reads a column of whole numbers.
func numbersOf(column arrow.Array) (func(row int) int64, error) {
	switch c := column.(type) {
	case *array.Int64:
		return c.Value, nil
	case *array.Int32:
		return func(row int) int64 { return int64(c.Value(row)) }, nil
	case *array.Date32:
		return func(row int) int64 { return int64(c.Value(row)) }, nil
	case *array.Time64:
		return func(row int) int64 { return int64(c.Value(row)) }, nil
	case *array.Timestamp:
		return func(row int) int64 { return int64(c.Value(row)) }, nil
	}
	return nil, fmt.Errorf("a column of %s holds no whole numbers", column.DataType())
}

// encoder appends the value of a row. Values of one type are as long as each other, or say how long they are.
type encoder func(to []byte, row int) []byte

func encoderOf(column arrow.Array) (encoder, error) {
	switch c := column.(type) {
	case array.ExtensionArray:
		return encoderOf(c.Storage())
	case *array.String:
		return func(to []byte, row int) []byte {
			value := c.Value(row)
			return append(binary.BigEndian.AppendUint32(to, uint32(len(value))), value...) //nolint:gosec // Arrow's own limit
		}, nil
	case *array.Binary:
		return func(to []byte, row int) []byte {
			value := c.Value(row)
			return append(binary.BigEndian.AppendUint32(to, uint32(len(value))), value...) //nolint:gosec // Arrow's own limit
		}, nil
	case *array.FixedSizeBinary:
		return func(to []byte, row int) []byte { return append(to, c.Value(row)...) }, nil
	case *array.Decimal128:
		return func(to []byte, row int) []byte {
			value := c.Value(row)
			to = binary.BigEndian.AppendUint64(to, uint64(value.HighBits())) //nolint:gosec // bits
			return binary.BigEndian.AppendUint64(to, value.LowBits())
		}, nil
	case *array.Boolean:
		return func(to []byte, row int) []byte {
			if c.Value(row) {
				return append(to, 1)
			}
			return append(to, 0)
		}, nil
	}
	numbers, err := numbersOf(column)
	if err != nil {
		return nil, fmt.Errorf("a column of %s can't be part of a key", column.DataType())
	}
	return func(to []byte, row int) []byte {
		return binary.BigEndian.AppendUint64(to, uint64(numbers(row))) //nolint:gosec // bits
	}, nil
}
