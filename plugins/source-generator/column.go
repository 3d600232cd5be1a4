package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/bits"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// column makes the values of one column of one stream.
type column struct {
	field  arrow.Field
	random random
	nulls  float64
	// values gives the buffers behind the validity bitmap for rows [from, from+n).
	values func(alloc memory.Allocator, from int64, n int) []*memory.Buffer
}

// random gives each row a number that depends on nothing but its index and the key: a counter-based generator, SplitMix64
// (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014), of which any element can be had at once.
type random uint64

// newRandom derives the key of a column from seed, stream and name, so that the order of columns does not matter.
func newRandom(seed int64, stream, column string) random {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s\x00%s", seed, stream, column)
	return random(h.Sum64())
}

func (r random) at(i int64) uint64 {
	z := uint64(r) + uint64(i)*0x9e3779b97f4a7c15 //nolint:gosec // rows are not negative
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit maps a random number to [0, 1).
func unit(h uint64) float64 { return float64(h>>11) * 0x1p-53 }

// below maps a random number to [0, n).
func below(h, n uint64) uint64 {
	hi, _ := bits.Mul64(h, n)
	return hi
}

// newColumn checks a column's settings and prepares to make its values. The path leads to the settings.
func newColumn(c Column, path string, key random) (*column, error) {
	if c.Name == "" {
		return nil, sdk.ConfigError(path+"/name", "a column needs a name")
	}
	if c.NullFraction < 0 || c.NullFraction > 1 {
		return nil, sdk.ConfigError(path+"/null_fraction", "%v is out of range, expected 0 to 1", c.NullFraction)
	}
	m := &maker{Column: c, path: path, random: key}
	if m.Generator == "" {
		m.Generator = map[string]string{"string": "text", "timestamp": "timestamp"}[c.Type]
	}
	if m.Generator == "" {
		m.Generator = "uniform"
	}
	kind, values, err := m.make()
	if err != nil {
		return nil, err
	}
	return &column{
		field: arrow.Field{
			Name: c.Name, Type: kind, Nullable: c.NullFraction > 0, Metadata: arrow.MetadataFrom(c.metadata()),
		},
		random: key, nulls: c.NullFraction, values: values,
	}, nil
}

type valuesFunc = func(alloc memory.Allocator, from int64, n int) []*memory.Buffer

// maker turns the settings of a column into a function.
type maker struct {
	Column
	path   string
	random random
}

func (m *maker) make() (arrow.DataType, valuesFunc, error) {
	switch m.Type {
	case "string":
		values, err := m.strings()
		return arrow.BinaryTypes.String, values, err
	case "float64":
		fill, err := m.floats()
		return arrow.PrimitiveTypes.Float64, fixed(fill), err
	case "int64":
		fill, err := m.whole(0)
		return arrow.PrimitiveTypes.Int64, fixed(fill), err
	case "timestamp":
		fill, err := m.whole(0)
		return arrow.FixedWidthTypes.Timestamp_us, fixed(fill), err
	case "date":
		fill, err := m.whole(0)
		return arrow.FixedWidthTypes.Date32, days(fill), err
	case "bool":
		fill, err := m.whole(0)
		return arrow.FixedWidthTypes.Boolean, booleans(fill), err
	case "decimal":
		return m.decimals()
	}
	return nil, nil, sdk.ConfigError(m.path+"/type", "%q is not a type, allowed are int64, float64, string, bool, timestamp, date, decimal", m.Type)
}

func (m *maker) decimals() (arrow.DataType, valuesFunc, error) {
	precision, scale := m.Precision, 2
	if precision == 0 {
		precision = 12
	}
	if m.Scale != nil {
		scale = *m.Scale
	}
	if precision < 1 || precision > 18 {
		return nil, nil, sdk.ConfigError(m.path+"/precision", "%d is out of range, expected 1 to 18", precision)
	}
	if scale < 0 || scale > min(9, precision) {
		return nil, nil, sdk.ConfigError(m.path+"/scale", "%d is out of range, expected 0 to %d", scale, min(9, precision))
	}
	fill, err := m.whole(scale)
	if err != nil {
		return nil, nil, err
	}
	limit := int64(math.Pow10(precision)) - 1
	kind := &arrow.Decimal128Type{Precision: int32(precision), Scale: int32(scale)}
	return kind, decimals(clamped(fill, -limit, limit)), nil
}

// unfit reports a generator that does not make values of the type.
func (m *maker) unfit(allowed ...string) error {
	return sdk.ConfigError(m.path+"/generator", "%q does not make values of type %s, allowed are %s", m.Generator, m.Type, strings.Join(allowed, ", "))
}

// setting reads one setting, or takes the value for its absence.
func setting[T any](m *maker, name string, raw json.RawMessage, absent T, parse func(json.RawMessage) (T, error)) (T, error) {
	if len(raw) == 0 {
		return absent, nil
	}
	value, err := parse(raw)
	if err != nil {
		return value, sdk.ConfigError(m.path+"/"+name, "%w", err)
	}
	return value, nil
}

// choices reads the values of choice and constant.
func choices[T any](m *maker, parse func(json.RawMessage) (T, error)) ([]T, error) {
	if m.Generator == "constant" {
		if len(m.Value) == 0 {
			return nil, sdk.ConfigError(m.path+"/value", "a constant needs a value")
		}
		value, err := setting(m, "value", m.Value, *new(T), parse)
		return []T{value}, err
	}
	if len(m.Values) == 0 {
		return nil, sdk.ConfigError(m.path+"/values", "a choice needs values")
	}
	if len(m.Values) > maxChoices {
		return nil, sdk.ConfigError(m.path+"/values", "%d values, expected at most %d", len(m.Values), maxChoices)
	}
	values := make([]T, len(m.Values))
	for i, raw := range m.Values {
		var err error
		if values[i], err = setting(m, fmt.Sprintf("values/%d", i), raw, *new(T), parse); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// build makes rows [from, from+n) of the column.
func (c *column) build(alloc memory.Allocator, from int64, n int) arrow.Array {
	validity, nulls := c.validity(alloc, from, n)
	buffers := append([]*memory.Buffer{validity}, c.values(alloc, from, n)...)
	data := array.NewData(c.field.Type, n, buffers, nil, nulls, 0)
	defer data.Release()
	for _, b := range buffers {
		if b != nil {
			b.Release()
		}
	}
	return array.MakeFromData(data)
}

// validity draws the nulls, from other numbers than the values, or gives nil if there are none.
func (c *column) validity(alloc memory.Allocator, from int64, n int) (*memory.Buffer, int) {
	if c.nulls == 0 {
		return nil, 0
	}
	b := resized(alloc, int(bitutil.BytesForBits(int64(n))))
	clear(b.Bytes())
	nulls, draw := 0, ^c.random
	for i := range n {
		if unit(draw.at(from+int64(i))) < c.nulls {
			nulls++
			continue
		}
		bitutil.SetBit(b.Bytes(), i)
	}
	return b, nulls
}

func resized(alloc memory.Allocator, size int) *memory.Buffer {
	b := memory.NewResizableBuffer(alloc)
	b.Resize(size)
	return b
}
