package conformance

import (
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// hashSeed is the same for all values of a process, so that they can be compared.
var hashSeed = maphash.MakeSeed()

// nullHash stands for a null.
const nullHash = 0

// hashes gives each value of a column as a number that equal values share. Integers of different widths that are the same number
// are equal; so are texts of different layouts.
func hashes(column arrow.Array) []uint64 {
	text := texter(column)
	out := make([]uint64, column.Len())
	buffer := make([]byte, 0, 64)
	for row := range out {
		if column.IsNull(row) {
			continue
		}
		buffer = text(buffer[:0], row)
		out[row] = maphash.Bytes(hashSeed, buffer) | 1 // never that of a null
	}
	return out
}

// texter appends the text of a value that is not null.
func texter(column arrow.Array) func(dst []byte, row int) []byte {
	switch a := column.(type) {
	case *array.Int64:
		return func(dst []byte, row int) []byte { return strconv.AppendInt(dst, a.Value(row), 10) }
	case *array.Int32:
		return func(dst []byte, row int) []byte { return strconv.AppendInt(dst, int64(a.Value(row)), 10) }
	case *array.Float64:
		return func(dst []byte, row int) []byte { return appendFloat(dst, a.Value(row), 64) }
	case *array.Float32:
		return func(dst []byte, row int) []byte { return appendFloat(dst, float64(a.Value(row)), 32) }
	case *array.Timestamp:
		return func(dst []byte, row int) []byte { return strconv.AppendInt(dst, int64(a.Value(row)), 10) }
	case *array.Date32:
		return func(dst []byte, row int) []byte { return strconv.AppendInt(dst, int64(a.Value(row)), 10) }
	case *array.String:
		return func(dst []byte, row int) []byte { return append(dst, a.Value(row)...) }
	case *array.Binary:
		return func(dst []byte, row int) []byte { return append(dst, a.Value(row)...) }
	}
	return func(dst []byte, row int) []byte { return append(dst, shown(column, row)...) }
}

func appendFloat(dst []byte, v float64, bits int) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits)
}

// shown is a value as text. Arrow's own text of nested values fails on numbers that JSON can't carry.
func shown(column arrow.Array, row int) (text string) {
	defer func() {
		if recover() != nil {
			one := array.NewSlice(column, int64(row), int64(row)+1)
			defer one.Release()
			text = fmt.Sprint(one)
		}
	}()
	return column.ValueStr(row)
}

// grid is rows as hashes of their values.
type grid struct {
	columns []string
	rows    [][]uint64
}

// add appends the rows of a batch.
func (g *grid) add(record arrow.RecordBatch) {
	if g.columns == nil {
		for _, f := range record.Schema().Fields() {
			g.columns = append(g.columns, f.Name)
		}
	}
	columns := make([][]uint64, record.NumCols())
	for i, column := range record.Columns() {
		columns[i] = hashes(column)
	}
	for row := range int(record.NumRows()) {
		values := make([]uint64, len(columns))
		for i := range columns {
			values[i] = columns[i][row]
		}
		g.rows = append(g.rows, values)
	}
}

// sums are the rows as one number each: nulls and the order of columns don't count, so that a column that is added without values
// changes nothing.
func (g *grid) sums() []uint64 {
	names := make([]uint64, len(g.columns))
	for i, name := range g.columns {
		names[i] = maphash.String(hashSeed, name) | 1
	}
	sums := make([]uint64, len(g.rows))
	for row, values := range g.rows {
		for i, v := range values {
			if v != nullHash {
				sums[row] += v * names[i]
			}
		}
	}
	return sums
}

// column is the values of a column, nil if there is none of that name.
func (g *grid) column(name string) []uint64 {
	at := slices.Index(g.columns, name)
	if g == nil || at < 0 {
		return nil
	}
	values := make([]uint64, len(g.rows))
	for row := range g.rows {
		values[row] = g.rows[row][at]
	}
	return values
}

// bag counts values.
func bag(values []uint64) map[uint64]int {
	counts := make(map[uint64]int, len(values))
	for _, v := range values {
		counts[v]++
	}
	return counts
}

// difference says how many values of a are missing in b, and how many of b are not in a.
func difference(a, b []uint64) (missing, extra int) {
	counts := bag(a)
	for _, v := range b {
		counts[v]--
	}
	for _, n := range counts {
		if n > 0 {
			missing += n
		} else {
			extra -= n
		}
	}
	return missing, extra
}

func sameBag(a, b []uint64) bool { return maps.Equal(bag(a), bag(b)) }
