package main

import (
	"encoding/json"
	"math"
	"time"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// filler writes the values of the rows from on, as many as dst is long.
type filler[T any] func(dst []T, from int64)

// bounds of a uniform column without min or max, as its type stores them (a decimal's still to be scaled).
func bounds(kind string) (int64, int64) {
	switch kind {
	case "timestamp":
		return firstDay * microsPerDay, (firstDay+366)*microsPerDay - 1
	case "date":
		return firstDay, firstDay + 365
	case "bool":
		return 0, 1
	case "decimal":
		return 0, 1000
	}
	return 0, 1_000_000
}

// firstDay is 2024-01-01 in days since 1970, where timestamps begin if nothing else is said.
const firstDay = 19723

// whole makes integers: of int64, timestamp, date, bool, and decimal with its scale.
func (m *maker) whole(scale int) (filler[int64], error) {
	parse := func(raw json.RawMessage) (int64, error) { return parseWhole(m.Type, scale, raw) }
	numeric := m.Type == "int64" || m.Type == "decimal"
	switch {
	case m.Generator == "choice", m.Generator == "constant":
		values, err := choices(m, parse)
		return chosen(m.random, values), err
	case m.Generator == "uniform":
		return m.uniformWhole(scale, parse)
	case m.Generator == "sequence" && numeric:
		return m.sequence(parse)
	case m.Generator == "normal" && numeric:
		return m.normalWhole(scale, parse)
	case m.Generator == "timestamp" && (m.Type == "timestamp" || m.Type == "date"):
		return m.ticks()
	}
	switch m.Type {
	case "bool":
		return nil, m.unfit("uniform", "choice", "constant")
	case "timestamp", "date":
		return nil, m.unfit("timestamp", "uniform", "choice", "constant")
	}
	return nil, m.unfit("sequence", "uniform", "normal", "choice", "constant")
}

func (m *maker) uniformWhole(scale int, parse func(json.RawMessage) (int64, error)) (filler[int64], error) {
	low, high := bounds(m.Type)
	if m.Type == "decimal" {
		high *= int64(math.Pow10(scale))
	}
	low, err := setting(m, "min", m.Min, low, parse)
	if err != nil {
		return nil, err
	}
	if high, err = setting(m, "max", m.Max, max(low, high), parse); err != nil {
		return nil, err
	}
	if low > high {
		return nil, sdk.ConfigError(m.path+"/min", "min %s is greater than max", unquote(m.Min))
	}
	span, random := uint64(high)-uint64(low), m.random //nolint:gosec // the difference wraps to the right result
	if span < math.MaxUint64 {
		span++
	}
	return func(dst []int64, from int64) {
		for i := range dst {
			dst[i] = low + int64(below(random.at(from+int64(i)), span)) //nolint:gosec // wraps to the right result
		}
	}, nil
}

func (m *maker) sequence(parse func(json.RawMessage) (int64, error)) (filler[int64], error) {
	first, err := setting(m, "min", m.Min, 0, parse)
	if err != nil {
		return nil, err
	}
	step, err := setting(m, "step", m.Step, 1, parse)
	if err != nil {
		return nil, err
	}
	return func(dst []int64, from int64) {
		for i := range dst {
			dst[i] = first + (from+int64(i))*step
		}
	}, nil
}

// ticks makes a timestamp a step after that of the row before; a date is that of such a timestamp.
func (m *maker) ticks() (filler[int64], error) {
	first, err := setting(m, "min", m.Min, firstDay*microsPerDay, func(raw json.RawMessage) (int64, error) {
		value, err := parseWhole(m.Type, 0, raw)
		if m.Type == "date" {
			value *= microsPerDay
		}
		return value, err
	})
	if err != nil {
		return nil, err
	}
	step, err := setting(m, "step", m.Step, sdk.Duration(time.Second), func(raw json.RawMessage) (d sdk.Duration, err error) {
		return d, d.UnmarshalJSON(raw)
	})
	if err != nil {
		return nil, err
	}
	micros, unit := time.Duration(step).Microseconds(), int64(1)
	if m.Type == "date" {
		unit = microsPerDay
	}
	return func(dst []int64, from int64) {
		for i := range dst {
			dst[i] = (first + (from+int64(i))*micros) / unit
		}
	}, nil
}

func (m *maker) normalWhole(scale int, parse func(json.RawMessage) (int64, error)) (filler[int64], error) {
	low, err := setting(m, "min", m.Min, math.MinInt64/2, parse)
	if err != nil {
		return nil, err
	}
	high, err := setting(m, "max", m.Max, math.MaxInt64/2, parse)
	if err != nil {
		return nil, err
	}
	unit, random := math.Pow10(scale), m.random
	mean, deviation := m.Mean, m.deviation()
	return func(dst []int64, from int64) {
		for i := range dst {
			v := math.Round(normal(random.at(from+int64(i)), mean, deviation) * unit)
			dst[i] = int64(max(float64(low), min(float64(high), v)))
		}
	}, nil
}

func (m *maker) deviation() float64 {
	if m.Stddev == 0 {
		return 1
	}
	return m.Stddev
}

// normal is the Box-Muller transform of the two halves of a random number. The conversions forbid fused operations, which would
// make rows differ between processors.
func normal(h uint64, mean, deviation float64) float64 {
	u, v := (float64(h>>32)+1)*0x1p-32, float64(h&math.MaxUint32)*0x1p-32
	z := float64(math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v))
	return mean + float64(z*deviation)
}

func (m *maker) floats() (filler[float64], error) {
	switch m.Generator {
	case "choice", "constant":
		values, err := choices(m, parseFloat)
		return chosen(m.random, values), err
	case "sequence":
		return m.floatSequence()
	case "uniform":
		return m.uniformFloat()
	case "normal":
		return m.normalFloat()
	}
	return nil, m.unfit("sequence", "uniform", "normal", "choice", "constant")
}

func (m *maker) floatSequence() (filler[float64], error) {
	first, err := setting(m, "min", m.Min, 0, parseFloat)
	if err != nil {
		return nil, err
	}
	step, err := setting(m, "step", m.Step, 1, parseFloat)
	if err != nil {
		return nil, err
	}
	return func(dst []float64, from int64) {
		for i := range dst {
			dst[i] = first + float64(float64(from+int64(i))*step)
		}
	}, nil
}

func (m *maker) uniformFloat() (filler[float64], error) {
	low, err := setting(m, "min", m.Min, 0, parseFloat)
	if err != nil {
		return nil, err
	}
	high, err := setting(m, "max", m.Max, max(low, 1000), parseFloat)
	if err != nil {
		return nil, err
	}
	if low > high {
		return nil, sdk.ConfigError(m.path+"/min", "min %v is greater than max", low)
	}
	random, span := m.random, high-low
	if m.Scale == nil {
		return func(dst []float64, from int64) {
			for i := range dst {
				dst[i] = low + float64(unit(random.at(from+int64(i)))*span)
			}
		}, nil
	}
	ten := math.Pow10(*m.Scale)
	first, steps := math.Ceil(low*ten), uint64(max(0, math.Floor(high*ten)-math.Ceil(low*ten)))+1
	return func(dst []float64, from int64) {
		for i := range dst {
			dst[i] = (first + float64(below(random.at(from+int64(i)), steps))) / ten
		}
	}, nil
}

func (m *maker) normalFloat() (filler[float64], error) {
	low, err := setting(m, "min", m.Min, math.Inf(-1), parseFloat)
	if err != nil {
		return nil, err
	}
	high, err := setting(m, "max", m.Max, math.Inf(1), parseFloat)
	if err != nil {
		return nil, err
	}
	random, mean, deviation := m.random, m.Mean, m.deviation()
	return func(dst []float64, from int64) {
		for i := range dst {
			dst[i] = max(low, min(high, normal(random.at(from+int64(i)), mean, deviation)))
		}
	}, nil
}

func chosen[T any](random random, values []T) filler[T] {
	return func(dst []T, from int64) {
		for i := range dst {
			dst[i] = values[below(random.at(from+int64(i)), uint64(len(values)))]
		}
	}
}

func clamped(fill filler[int64], low, high int64) filler[int64] {
	return func(dst []int64, from int64) {
		fill(dst, from)
		for i, v := range dst {
			dst[i] = max(low, min(high, v))
		}
	}
}

// fixed stores eight-byte values as they are.
func fixed[T int64 | float64](fill filler[T]) valuesFunc {
	return func(alloc memory.Allocator, from int64, n int) []*memory.Buffer {
		b := resized(alloc, n*8)
		if n > 0 {
			fill(unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b.Bytes()))), n), from) //nolint:gosec // Arrow's buffers are aligned to 64 bytes
		}
		return []*memory.Buffer{b}
	}
}

// chunk is how many values are converted at a time on the stack.
const chunk = 512

// converted makes integers and stores each in its type's form.
func converted(fill filler[int64], from int64, n int, store func(i int, v int64)) {
	var values [chunk]int64
	for begin := 0; begin < n; begin += chunk {
		part := values[:min(chunk, n-begin)]
		fill(part, from+int64(begin))
		for i, v := range part {
			store(begin+i, v)
		}
	}
}

func days(fill filler[int64]) valuesFunc {
	return func(alloc memory.Allocator, from int64, n int) []*memory.Buffer {
		b := resized(alloc, arrow.Date32Traits.BytesRequired(n))
		dst := arrow.Date32Traits.CastFromBytes(b.Bytes())
		converted(fill, from, n, func(i int, v int64) { dst[i] = arrow.Date32(v) }) //nolint:gosec // settings hold four-digit years
		return []*memory.Buffer{b}
	}
}

func booleans(fill filler[int64]) valuesFunc {
	return func(alloc memory.Allocator, from int64, n int) []*memory.Buffer {
		b := resized(alloc, int(bitutil.BytesForBits(int64(n))))
		converted(fill, from, n, func(i int, v int64) { bitutil.SetBitTo(b.Bytes(), i, v == 1) })
		return []*memory.Buffer{b}
	}
}

func decimals(fill filler[int64]) valuesFunc {
	return func(alloc memory.Allocator, from int64, n int) []*memory.Buffer {
		b := resized(alloc, arrow.Decimal128Traits.BytesRequired(n))
		dst := arrow.Decimal128Traits.CastFromBytes(b.Bytes())
		converted(fill, from, n, func(i int, v int64) { dst[i] = decimal128.FromI64(v) })
		return []*memory.Buffer{b}
	}
}
