package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/google/go-cmp/cmp"
)

func TestSetsThatOutgrowMemoryStayExact(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	set, err := newKeySet(folder, 1000)
	if err != nil {
		t.Fatal(err)
	}
	source := rand.New(rand.NewPCG(1, 2))
	seen := map[uint64]bool{}
	for range 30000 {
		n := source.Uint64N(20000)
		fresh, err := set.add(binary.LittleEndian.AppendUint64(nil, n))
		if err != nil {
			t.Fatal(err)
		}
		if fresh == seen[n] {
			t.Fatalf("%d is new: %v", n, fresh)
		}
		seen[n] = true
	}
	if len(set.runs) != len(seen)/1000 {
		t.Errorf("%d runs of %d keys", len(set.runs), len(seen))
	}
	if err := set.reset(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for n := range seen {
		if fresh, err := set.add(binary.LittleEndian.AppendUint64(nil, n)); !fresh || err != nil {
			t.Fatalf("%d after a reset: %v %v", n, fresh, err)
		}
		break
	}
	if err := set.close(); err != nil {
		t.Error(err)
	}
}

func TestASetThatCantSpillSaysSo(t *testing.T) {
	t.Parallel()
	set, err := newKeySet("/nowhere/at/all", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.add([]byte("x")); err == nil {
		t.Error("no error")
	}
}

func TestUniqueKeysSpanBatchesAndColumns(t *testing.T) {
	t.Parallel()
	path := write(t, head+`  properties:
  - {name: a, logicalType: string, primaryKey: true, primaryKeyPosition: 1}
  - {name: b, logicalType: string, primaryKey: true, primaryKeyPosition: 2}
  - {name: c, logicalType: integer, unique: true}
`)
	text := arrow.BinaryTypes.String
	schema := columns(nullable("a", text), nullable("b", text), nullable("c", arrow.PrimitiveTypes.Int32))
	b := start(t, Config{Contract: path})
	b.mostKeys = 2
	b.plan(t, schema)
	const first = `[{"a": "x", "b": "yz", "c": 1}, {"a": "xy", "b": "z", "c": 2}, {"a": "x", "b": "y", "c": null}, {"a": "", "b": "y", "c": null}]`
	if got := b.rows(t, schema, first); got != "" {
		t.Error(got)
	}
	wider := columns(nullable("a", arrow.BinaryTypes.LargeString), nullable("b", text), nullable("c", arrow.PrimitiveTypes.Int64))
	b.plan(t, wider)
	const want = `0 a,b unique: "x", "yz" came before, expected it once in a unit
1 c unique: 2 came before, expected it once in a unit
3 a,b unique: "n", "n" came before, expected it once in a unit`
	if diff := cmp.Diff(want, b.rows(t, wider, `[{"a": "x", "b": "yz", "c": 3}, {"a": "m", "b": "m", "c": 2}, {"a": "n", "b": "n"}, {"a": "n", "b": "n"}]`)); diff != "" {
		t.Error(diff)
	}
	if result := b.result(t); result.Metrics["primary_key.violations"] != 2 || result.Metrics["c.unique.violations"] != 1 {
		t.Errorf("%+v", result)
	}
	if got := b.rows(t, wider, `[{"a": "x", "b": "yz", "c": 2}]`); got != "" {
		t.Errorf("the next unit: %s", got)
	}
}

func TestKeysOfAllTypesTellValuesApart(t *testing.T) {
	t.Parallel()
	p := arrow.PrimitiveTypes
	for name, c := range map[string]struct {
		kind   arrow.DataType
		values string
		want   []int // rows whose value came before
	}{
		"bool":       {arrow.FixedWidthTypes.Boolean, `[true,false,true]`, []int{2}},
		"uint64":     {p.Uint64, `[18446744073709551615,1,18446744073709551615]`, []int{2}},
		"uint8":      {p.Uint8, `[1,1]`, []int{1}},
		"uint16":     {p.Uint16, `[1,1]`, []int{1}},
		"uint32":     {p.Uint32, `[1,1]`, []int{1}},
		"int8":       {p.Int8, `[-1,1,-1]`, []int{2}},
		"int16":      {p.Int16, `[-1,1,-1]`, []int{2}},
		"float64":    {p.Float64, `[0.0,-0.0,1.5,null,null]`, []int{1}},
		"float32":    {p.Float32, `[1.5,1.25,1.5]`, []int{2}},
		"decimal":    {&arrow.Decimal128Type{Precision: 30, Scale: 2}, `["1.00","-1.00","1.00","100000000000000000000.00"]`, []int{2}},
		"decimal256": {&arrow.Decimal256Type{Precision: 50, Scale: 2}, `["1.00","2.00","1.00"]`, []int{2}},
		"binary":     {arrow.BinaryTypes.Binary, `["AA==","AAA=","AA=="]`, []int{2}},
		"fixed":      {&arrow.FixedSizeBinaryType{ByteWidth: 1}, `["AA==","AQ==","AA=="]`, []int{2}},
		"textview":   {arrow.BinaryTypes.StringView, `["a","b","a"]`, []int{2}},
		"dictionary": {&arrow.DictionaryType{IndexType: p.Int8, ValueType: arrow.BinaryTypes.String}, `["a","b","a"]`, []int{2}},
		"uuid":       {extensions.NewUUIDType(), `["6ba7b810-9dad-11d1-80b4-00c04fd430c8","6ba7b811-9dad-11d1-80b4-00c04fd430c8","6ba7b810-9dad-11d1-80b4-00c04fd430c8"]`, []int{2}},
		"date":       {arrow.FixedWidthTypes.Date32, `["2024-01-01","2024-01-02","2024-01-01"]`, []int{2}},
		"date64":     {arrow.FixedWidthTypes.Date64, `["2024-01-01","2024-01-02","2024-01-01"]`, []int{2}},
		"time32":     {arrow.FixedWidthTypes.Time32s, `["10:00:00","10:00:01","10:00:00"]`, []int{2}},
		"time64":     {arrow.FixedWidthTypes.Time64us, `["10:00:00","10:00:01","10:00:00"]`, []int{2}},
		"timestamp":  {arrow.FixedWidthTypes.Timestamp_us, `["2024-01-01 00:00:00Z","2024-01-01 00:00:00.000001Z","2024-01-01 00:00:00Z"]`, []int{2}},
		"list":       {arrow.ListOf(p.Int64), `[[1,2],[12],[1,2]]`, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, Config{Rules: []Rule{{Column: "v", Unique: true}}})
			schema := columns(nullable("v", c.kind))
			b.plan(t, schema)
			values, _, err := array.FromJSON(b.alloc, c.kind, strings.NewReader(c.values))
			if err != nil {
				t.Fatal(err)
			}
			defer values.Release()
			findings := b.judge(t, array.NewRecordBatch(schema, []arrow.Array{values}, int64(values.Len())))
			var got []int
			for line := range strings.SplitSeq(findings, "\n") {
				var row int
				if _, err := fmt.Sscanf(line, "%d v unique:", &row); err == nil {
					got = append(got, row)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
