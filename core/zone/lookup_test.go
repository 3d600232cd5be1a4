package zone_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

func TestLookupFindsRowsAtEverySnapshot(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	a, b, c := account{"x", 1}, account{"x", 2}, account{"y", 1}
	if got := lookUp(t, d, 0, a); len(got) != 0 {
		t.Errorf("an empty dataset has %v", got)
	}
	first := mustEdit(t, d, at("f", 1, 1), edit{set: balances{a: 1, b: 1}})
	mustEdit(t, d, at("f", 1, 2), edit{set: balances{a: 2, c: 2}, gone: []account{b}})
	if diff := cmp.Diff(balances{a: 2, c: 2}, lookUp(t, d, 0, a, b, c, account{"z", 3})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(balances{a: 1, b: 1}, lookUp(t, d, first.ID, a, b, c)); diff != "" {
		t.Error(diff)
	}
	if got := lookUp(t, d, 0); len(got) != 0 {
		t.Errorf("no keys have %v", got)
	}
	keys := keyBatch(memory.DefaultAllocator, a)
	defer keys.Release()
	if _, err := create(t, z, "processing.shop.orders", orders).Lookup(t.Context(), keys, 0); !errors.Is(err, zone.ErrNoKey) {
		t.Errorf("error %v", err)
	}
	if _, err := d.Lookup(t.Context(), keys, 99); !errors.Is(err, zone.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

// A file whose keys lie elsewhere is not read: it may as well be gone.
func TestLookupReadsOnlyFilesThatMayHoldTheKeys(t *testing.T) {
	t.Parallel()
	z := zonetest.Open(t, zonetest.Settings(t))
	d := createKeyed(t, z, "processing.bank.accounts")
	mustEdit(t, d, at("f", 1, 1), edit{set: balances{{"x", 10}: 1, {"x", 30}: 1}, truncate: true})
	files, err := d.Files(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	mustEdit(t, d, at("f", 1, 2), edit{set: balances{{"x", 20}: 2, {"x", 40}: 2}})
	if err := os.Remove(files[0].Local); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(balances{{"x", 40}: 2}, lookUp(t, d, 0, account{"x", 40}, account{"x", 5})); diff != "" {
		t.Error(diff)
	}
	keys := keyBatch(memory.DefaultAllocator, account{"x", 20})
	defer keys.Release()
	batches, err := d.Lookup(t.Context(), keys, 0)
	if err != nil {
		t.Fatal(err)
	}
	failed := false
	for b, err := range batches {
		failed = failed || err != nil
		if b != nil {
			b.Release()
		}
	}
	if !failed {
		t.Error("the file that may hold the key was not read")
	}
}

// typedKeys are three keys of each type that a key may have, of which the bytes sort otherwise than the values.
func typedKeys() map[string]arrow.Array {
	long := "a prefix that is longer than the part of a text that statistics of files hold, which is sixty-four characters: "
	build := func(b array.Builder, values ...string) arrow.Array {
		defer b.Release()
		for _, v := range values {
			if err := b.AppendValueFromString(v); err != nil {
				panic(err)
			}
		}
		return b.NewArray()
	}
	alloc := memory.DefaultAllocator
	decimals := array.NewDecimal128Builder(alloc, &arrow.Decimal128Type{Precision: 30, Scale: 2})
	for _, v := range []int64{-5, 7, 1 << 40} {
		decimals.Append(decimal128.FromI64(v))
	}
	return map[string]arrow.Array{
		"int32":     build(array.NewInt32Builder(alloc), "-5", "7", "70000"),
		"int64":     build(array.NewInt64Builder(alloc), "-5", "7", "5000000000"),
		"text":      build(array.NewStringBuilder(alloc), long+"b", long+"a", ""),
		"binary":    build(array.NewBinaryBuilder(alloc, arrow.BinaryTypes.Binary), "AP8=", "/wA=", ""),
		"fixed":     build(array.NewFixedSizeBinaryBuilder(alloc, &arrow.FixedSizeBinaryType{ByteWidth: 3}), "AAD/", "/wAA", "AQID"),
		"uuid":      build(extensions.NewUUIDBuilder(alloc), "ffffffff-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "7fffffff-0000-4000-8000-000000000003"),
		"date":      build(array.NewDate32Builder(alloc), "1969-12-31", "2024-02-29", "1970-01-01"),
		"time":      build(array.NewTime64Builder(alloc, &arrow.Time64Type{Unit: arrow.Microsecond}), "00:00:00.000001", "23:59:59", "12:00:00"),
		"timestamp": build(array.NewTimestampBuilder(alloc, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}), "1969-12-31T23:59:59Z", "2024-02-29T00:00:00Z", "1970-01-01T00:00:00Z"),
		"local":     build(array.NewTimestampBuilder(alloc, &arrow.TimestampType{Unit: arrow.Microsecond}), "1969-12-31T23:59:59", "2024-02-29T00:00:00", "1970-01-01T00:00:00"),
		"decimal":   decimals.NewArray(),
	}
}

// typed is a unit on a dataset with a key k: the given keys get the unit's number, or go.
func typed(t *testing.T, d *zone.Dataset, seq int64, keys arrow.Array, rows bool) {
	t.Helper()
	o := zone.StageOptions{Flow: "f", Seq: seq, IngestedAt: time.Unix(0, 0)}
	r := zone.CommitRequest{Mark: at("f", 1, seq), Mode: zone.Upsert}
	k, err := d.StageKeys(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Write(t.Context(), typedBatch(keys, nil)); err != nil {
		t.Fatal(err)
	}
	if r.Keys, err = k.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows {
		s, err := d.Stage(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), typedBatch(keys, &seq), ""); err != nil {
			t.Fatal(err)
		}
		if r.Files, err = s.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func typedBatch(keys arrow.Array, value *int64) arrow.RecordBatch {
	fields, columns := []arrow.Field{{Name: "k", Type: keys.DataType()}}, []arrow.Array{keys}
	if value != nil {
		b := array.NewInt64Builder(memory.DefaultAllocator)
		defer b.Release()
		for range keys.Len() {
			b.Append(*value)
		}
		fields, columns = append(fields, arrow.Field{Name: "v", Type: arrow.PrimitiveTypes.Int64, Nullable: true}), append(columns, b.NewArray())
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(keys.Len()))
}

func texts(t *testing.T, batches zone.Batches) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(b.NumRows()) {
			out[b.Column(0).ValueStr(i)] = b.Column(1).(*array.Int64).Value(i)
		}
		b.Release()
	}
	return out
}

func TestKeysOfAllTypesFindTheirRows(t *testing.T) {
	t.Parallel()
	z := zonetest.Open(t, server(t))
	for name, keys := range typedKeys() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := arrow.NewSchema([]arrow.Field{{Name: "k", Type: keys.DataType()}, {Name: "v", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
			d, err := z.Create(t.Context(), zone.Name{Zone: "curated", Namespace: "keys", Dataset: name}, schema, zone.CreateOptions{Key: []string{"k"}})
			if err != nil {
				t.Fatal(err)
			}
			typed(t, d, 1, keys, true)
			typed(t, d, 2, array.NewSlice(keys, 0, 1), true)
			typed(t, d, 3, array.NewSlice(keys, 1, 2), false)
			want := map[string]int64{keys.ValueStr(0): 2, keys.ValueStr(2): 1}
			check := func(when string) {
				t.Helper()
				_, batches, err := d.Scan(t.Context(), zone.ScanRequest{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, texts(t, batches)); diff != "" {
					t.Errorf("%s: %s", when, diff)
				}
				for i := range int64(3) {
					one := array.NewSlice(keys, i, i+1)
					batches, err := d.Lookup(t.Context(), typedBatch(one, nil), 0)
					if err != nil {
						t.Fatal(err)
					}
					there := map[string]int64{}
					if value, ok := want[one.ValueStr(0)]; ok {
						there[one.ValueStr(0)] = value
					}
					if diff := cmp.Diff(there, texts(t, batches)); diff != "" {
						t.Errorf("%s, %s looked up: %s", when, one.ValueStr(0), diff)
					}
				}
			}
			check("keys")
			p := tight()
			p.Convert, p.Compact.Off = 1, true
			keep(t, d, p, map[string]int64{"f": 3})
			check("vectors")
			keep(t, d, tight(), map[string]int64{"f": 3})
			check("compacted")
		})
	}
}
