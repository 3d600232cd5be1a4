package zone_test

import (
	"maps"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/zone"
)

// accounts has a key of two columns, as it comes from change data: nullable.
var accounts = arrow.NewSchema([]arrow.Field{
	{Name: "bank", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "balance", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
}, nil)

var accountKeys = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "bank", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// account tells rows apart.
type account struct {
	bank string
	id   int64
}

// balances are the rows of a dataset of accounts.
type balances map[account]int64

func accountBatch(alloc memory.Allocator, rows balances) arrow.RecordBatch {
	b := array.NewRecordBuilder(alloc, accounts)
	defer b.Release()
	for key, balance := range rows {
		b.Field(0).(*array.StringBuilder).Append(key.bank)
		b.Field(1).(*array.Int64Builder).Append(balance)
		b.Field(2).(*array.Int64Builder).Append(key.id)
	}
	return b.NewRecordBatch()
}

func keyBatch(alloc memory.Allocator, keys ...account) arrow.RecordBatch {
	b := array.NewRecordBuilder(alloc, accountKeys)
	defer b.Release()
	for _, key := range keys {
		b.Field(0).(*array.Int64Builder).Append(key.id)
		b.Field(1).(*array.StringBuilder).Append(key.bank)
	}
	return b.NewRecordBatch()
}

func createKeyed(t testing.TB, z *zone.Zones, name string) *zone.Dataset {
	t.Helper()
	n, err := zone.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := z.Create(t.Context(), n, accounts, zone.CreateOptions{Key: []string{"id", "bank"}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// edit is what a unit does: the rows of set replace those of the same keys, the others of gone go, and all before if truncate.
type edit struct {
	set      balances
	gone     []account
	truncate bool
}

func (e edit) apply(to balances) balances {
	out := maps.Clone(to)
	if e.truncate || out == nil {
		out = balances{}
	}
	for _, key := range e.gone {
		delete(out, key)
	}
	maps.Copy(out, e.set)
	return out
}

// stageEdit stages the rows and keys of a unit.
func stageEdit(t testing.TB, d *zone.Dataset, mark zone.Mark, e edit) zone.CommitRequest {
	t.Helper()
	r := zone.CommitRequest{Mark: mark, Mode: zone.Upsert, Truncate: e.truncate}
	o := zone.StageOptions{Flow: mark.Flow, Seq: mark.Seq, IngestedAt: time.Unix(1700000000, 0)}
	if len(e.set) > 0 {
		rows, err := d.Stage(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		b := accountBatch(memory.DefaultAllocator, e.set)
		err = rows.Write(t.Context(), b, "")
		b.Release()
		if err != nil {
			t.Fatal(err)
		}
		if r.Files, err = rows.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if e.truncate || len(e.set)+len(e.gone) == 0 {
		return r
	}
	all := map[account]bool{}
	for key := range e.set {
		all[key] = true
	}
	for _, key := range e.gone {
		all[key] = true
	}
	r.Keys = stageKeys(t, d, o, mapKeys(all)...)
	return r
}

func mapKeys[K comparable, V any](m map[K]V) []K {
	var out []K
	for k := range m {
		out = append(out, k)
	}
	return out
}

func stageKeys(t testing.TB, d *zone.Dataset, o zone.StageOptions, keys ...account) zone.Files {
	t.Helper()
	s, err := d.StageKeys(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	b := keyBatch(memory.DefaultAllocator, keys...)
	err = s.Write(t.Context(), b)
	b.Release()
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func mustEdit(t testing.TB, d *zone.Dataset, mark zone.Mark, e edit) zone.Snapshot {
	t.Helper()
	s, err := d.Commit(t.Context(), stageEdit(t, d, mark, e))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// balancesOf reads a dataset of accounts; a key that two rows have is a failure.
func balancesOf(t testing.TB, d *zone.Dataset, r zone.ScanRequest) balances {
	t.Helper()
	_, batches, err := d.Scan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return gathered(t, batches)
}

func gathered(t testing.TB, batches zone.Batches) balances {
	t.Helper()
	out := balances{}
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		bank, balance, id := b.Column(0).(*array.String), b.Column(1).(*array.Int64), b.Column(2).(*array.Int64)
		for i := range int(b.NumRows()) {
			key := account{bank.Value(i), id.Value(i)}
			if _, twice := out[key]; twice {
				t.Errorf("two rows have the key %v", key)
			}
			out[key] = balance.Value(i)
		}
		b.Release()
	}
	return out
}

func lookUp(t testing.TB, d *zone.Dataset, snapshot int64, keys ...account) balances {
	t.Helper()
	b := keyBatch(memory.DefaultAllocator, keys...)
	defer b.Release()
	batches, err := d.Lookup(t.Context(), b, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	return gathered(t, batches)
}
