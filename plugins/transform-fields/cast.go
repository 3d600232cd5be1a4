package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// cast changes the types of columns, in the order of their names.
type cast struct {
	path    string
	targets map[string]target
}

// target is a type that columns can be cast to.
type target struct {
	name string // as it was written
	kind arrow.DataType
	json bool // text that is JSON
}

func compileCast(path string, types map[string]string) (step, error) {
	if len(types) == 0 {
		return nil, sdk.ConfigError(path, "no columns, expected at least one")
	}
	c := cast{path: path, targets: map[string]target{}}
	for _, name := range sortedKeys(types) {
		to, err := parseTarget(types[name])
		if err != nil {
			return nil, sdk.ConfigError(pointer(path, name), "%w", err)
		}
		c.targets[name] = to
	}
	return c, nil
}

var decimalName = regexp.MustCompile(`^decimal\(\s*([0-9]{1,2})\s*,\s*([0-9]{1,2})\s*\)$`)

// maxPrecision is that of Arrow's 128-bit decimals, and of Iceberg's.
const maxPrecision = 38

func parseTarget(name string) (target, error) {
	kinds := map[string]arrow.DataType{
		"bool": arrow.FixedWidthTypes.Boolean, "int32": arrow.PrimitiveTypes.Int32, "int64": arrow.PrimitiveTypes.Int64,
		"float32": arrow.PrimitiveTypes.Float32, "float64": arrow.PrimitiveTypes.Float64,
		"string": arrow.BinaryTypes.String, "json": arrow.BinaryTypes.String, "binary": arrow.BinaryTypes.Binary,
		"date": arrow.FixedWidthTypes.Date32, "timestamp": &arrow.TimestampType{Unit: arrow.Microsecond},
		"timestamp_tz": arrow.FixedWidthTypes.Timestamp_us,
	}
	if kind, ok := kinds[name]; ok {
		return target{name: name, kind: kind, json: name == "json"}, nil
	}
	m := decimalName.FindStringSubmatch(name)
	if m == nil {
		return target{}, fmt.Errorf("%q is not a type, allowed are %s, decimal(p,s)", name, strings.Join(sortedKeys(kinds), ", "))
	}
	precision, _ := strconv.ParseInt(m[1], 10, 32)
	scale, _ := strconv.ParseInt(m[2], 10, 32)
	if precision < 1 || precision > maxPrecision || scale > precision {
		return target{}, fmt.Errorf("%q: expected a precision of 1 to %d and a scale within it", name, maxPrecision)
	}
	return target{name: name, kind: &arrow.Decimal128Type{Precision: int32(precision), Scale: int32(scale)}}, nil
}

func (c cast) apply(t *table) error {
	for _, name := range sortedKeys(c.targets) {
		at, err := t.index(pointer(c.path, name), name)
		if err != nil {
			return err
		}
		to, from := c.targets[name], &t.columns[at]
		if arrow.TypeEqual(from.field.Type, to.kind) && !to.json {
			continue
		}
		values, err := to.cast(t.alloc, from.values, func(row int, why error) {
			if !t.spares(row, from) {
				t.reject(failure(from, row, to, why))
			}
		})
		if err != nil {
			return sdk.ConfigError(pointer(c.path, name), "column %q of input %q: %w", name, t.input, err)
		}
		from.values.Release()
		from.values, from.field.Type, from.kind = values, to.kind, derivedFrom(*from)
	}
	return nil
}

// failure rejects a row for one value. Where the value is told, it is cut to what a person needs to recognise it.
func failure(c *column, row int, to target, why error) sdk.Rejection {
	const shown = 64
	value := c.values.ValueStr(row)
	if len(value) > shown {
		value = strings.ToValidUTF8(value[:shown], "") + "…"
	}
	return sdk.Rejection{
		Row: row, Code: "cast_failed",
		Reason: fmt.Sprintf("column %q: %q can't be cast to %s: %v", c.field.Name, value, to.name, why),
	}
}

// cast converts an array. Rows that can't be cast become null and are told to fail. The error says that no value of the
// array's type can be cast.
func (to target) cast(alloc memory.Allocator, in arrow.Array, fail func(row int, why error)) (arrow.Array, error) {
	b := array.NewBuilder(alloc, to.kind)
	defer b.Release()
	b.Reserve(in.Len())
	put, err := to.putter(b, in)
	if err != nil {
		return nil, err
	}
	for row := range in.Len() {
		if in.IsNull(row) {
			b.AppendNull()
			continue
		}
		if why := put(row); why != nil {
			b.AppendNull()
			fail(row, why)
		}
	}
	return b.NewArray(), nil
}

// putter gives the function that casts a row and appends it to the builder, or says why it can't be.
func (to target) putter(b array.Builder, in arrow.Array) (func(row int) error, error) {
	switch b := b.(type) {
	case *array.BooleanBuilder:
		return putting(b.Append, booleans(in), to, in, "booleans, integers and text")
	case *array.Int32Builder:
		return putting(b.Append, narrowed(wholes(in)), to, in, wholeSources)
	case *array.Int64Builder:
		return putting(b.Append, wholes(in), to, in, wholeSources)
	case *array.Float32Builder:
		return putting(b.Append, shortened(fractions(in, 32)), to, in, wholeSources)
	case *array.Float64Builder:
		return putting(b.Append, fractions(in, 64), to, in, wholeSources)
	case *array.Date32Builder:
		return putting(b.Append, dates(in), to, in, "dates, timestamps and text")
	case *array.TimestampBuilder:
		return putting(b.Append, timestamps(in, to.name == "timestamp_tz"), to, in, "dates, timestamps and text")
	case *array.Decimal128Builder:
		return putting(b.Append, decimals(in, to.kind.(*arrow.Decimal128Type)), to, in, "integers, floats, decimals and text")
	case *array.BinaryBuilder:
		return putting(b.Append, bytesOf(in), to, in, "binary and text")
	case *array.StringBuilder:
		if to.json {
			return putting(b.Append, documents(in), to, in, "all but dictionaries")
		}
		return putting(b.Append, texts(in), to, in, "all but dictionaries")
	}
	return nil, fmt.Errorf("no cast to %s", to.name)
}

const wholeSources = "booleans, integers, floats, decimals and text"

// reader gives the value of a row that is not null, or says why there is none. A nil reader means that the type has none.
type reader[T any] func(row int) (T, error)

func putting[T any](put func(T), read reader[T], to target, in arrow.Array, sources string) (func(row int) error, error) {
	if read == nil {
		return nil, fmt.Errorf("%s can't be cast to %s, which takes %s", in.DataType(), to.name, sources)
	}
	return func(row int) error {
		v, err := read(row)
		if err == nil {
			put(v)
		}
		return err
	}, nil
}
