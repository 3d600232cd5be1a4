package zone_test

import (
	"errors"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
)

func at(flow string, epoch uint64, seq int64) zone.Mark {
	return zone.Mark{Flow: flow, Epoch: epoch, Seq: seq}
}

func TestAKeyIsReadBackAndItsColumnsAreRequired(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := reload(t, createKeyed(t, z, "processing.bank.accounts"))
	if diff := cmp.Diff([]string{"bank", "id"}, d.Key()); diff != "" {
		t.Error(diff)
	}
	for _, f := range d.Schema().Fields() {
		if want := f.Name == "balance"; f.Nullable != want {
			t.Errorf("column %q: nullable is %t", f.Name, f.Nullable)
		}
	}
	if key := create(t, z, "processing.shop.orders", orders).Key(); len(key) != 0 {
		t.Errorf("a dataset without a key has %q", key)
	}
}

func TestKeysThatCanNotBeAreRefused(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "price", Type: arrow.PrimitiveTypes.Float64},
		{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String)},
	}, nil)
	n := zone.Name{Zone: "processing", Namespace: "shop", Dataset: "orders"}
	_, err := z.Create(t.Context(), n, schema, zone.CreateOptions{Key: []string{"id", "id", "price", "tags", "nothing"}})
	fault, ok := errors.AsType[*zone.SchemaError](err)
	if !ok || len(fault.Faults) != 4 {
		t.Errorf("error %v", err)
	}
	_, err = z.Create(t.Context(), zone.Name{Zone: "landing", Namespace: "shop", Dataset: "orders"}, schema, zone.CreateOptions{Key: []string{"id"}})
	if _, ok := errors.AsType[*zone.SchemaError](err); !ok {
		t.Errorf("landing: error %v", err)
	}
}

func TestAnUpsertReplacesDeletesAndAdds(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	a, b, c := account{"x", 1}, account{"x", 2}, account{"y", 1}
	var want balances
	for i, e := range []edit{
		{set: balances{a: 1, b: 2, c: 3}},
		{set: balances{a: 10}, gone: []account{b, {"z", 9}}}, // a key that no row has
		{set: balances{b: 20}},
		{gone: []account{c}},
		{},
		{truncate: true, set: balances{c: 7}},
		{truncate: true},
		{truncate: true},
		{set: balances{a: 5}},
	} {
		want = e.apply(want)
		s := mustEdit(t, d, at("f", 1, int64(i+1)), e)
		if s.Mark != at("f", 1, int64(i+1)) || s.Kind != "" {
			t.Errorf("snapshot %+v", s)
		}
		if s.Rows < int64(len(want)) || s.Rows-s.Keys > int64(len(want)) {
			t.Errorf("unit %d: %d rows, %d keys, %d rows are there", i+1, s.Rows, s.Keys, len(want))
		}
		if diff := cmp.Diff(want, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
			t.Errorf("unit %d: %s", i+1, diff)
		}
	}
}

func TestAnUpsertIsCommittedOnce(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	a := account{"x", 1}
	mustEdit(t, d, at("f", 1, 1), edit{set: balances{a: 1}})
	r := stageEdit(t, d, at("f", 1, 2), edit{set: balances{a: 2}})
	first, err := d.Commit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Commit(t.Context(), r)
	if err != nil || again.ID != first.ID {
		t.Errorf("snapshot %d, then %d, error %v", first.ID, again.ID, err)
	}
	if diff := cmp.Diff(balances{a: 2}, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	r = stageEdit(t, d, at("f", 1, 3), edit{set: balances{a: 3}})
	r.CheckOwner = fencing(t, another(t, d), "f", 2)
	if _, err := d.Commit(t.Context(), r); !errors.Is(err, zone.ErrFenced) {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(balances{a: 2}, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestUndoBringsOldVersionsBack(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	a, b := account{"x", 1}, account{"x", 2}
	states := []balances{{}}
	for i, e := range []edit{
		{set: balances{a: 1, b: 1}}, {set: balances{a: 2}}, {gone: []account{b}}, {truncate: true, set: balances{b: 4}}, {set: balances{a: 5}},
	} {
		mustEdit(t, d, at("f", 1, int64(i+1)), e)
		states = append(states, e.apply(states[i]))
	}
	if _, err := d.Fence(t.Context(), "f", 2); err != nil {
		t.Fatal(err)
	}
	for _, to := range []int64{4, 2, 1, 0} {
		s, err := d.Undo(t.Context(), "f", 2, to)
		if err != nil {
			t.Fatal(err)
		}
		if s.Mark != at("f", 2, to) || s.Kind != zone.KindUndo {
			t.Errorf("snapshot %+v", s)
		}
		if diff := cmp.Diff(states[to], balancesOf(t, d, zone.ScanRequest{})); diff != "" {
			t.Errorf("undone to %d: %s", to, diff)
		}
	}
	mustEdit(t, d, at("f", 2, 1), edit{set: balances{b: 9}})
	if diff := cmp.Diff(balances{b: 9}, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyDatasetsWithAKeyTakeUpserts(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := create(t, z, "processing.shop.orders", orders)
	if _, err := d.StageKeys(t.Context(), zone.StageOptions{Flow: "f", Seq: 1}); !errors.Is(err, zone.ErrNoKey) {
		t.Errorf("error %v", err)
	}
	if _, err := unit(t, d, at("f", 1, 1), zone.Upsert, 1); !errors.Is(err, zone.ErrNoKey) {
		t.Errorf("error %v", err)
	}
	keyed := createKeyed(t, z, "processing.bank.accounts")
	r := stageEdit(t, keyed, at("f", 1, 1), edit{set: balances{{"x", 1}: 1}})
	r.Mode = zone.Append
	if _, err := keyed.Commit(t.Context(), r); err == nil {
		t.Error("an append with keys was taken")
	}
}

func TestKeysAreCheckedAndAbortLeavesNothing(t *testing.T) {
	t.Parallel()
	z, alloc := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	s, err := d.StageKeys(t.Context(), zone.StageOptions{Flow: "f", Seq: 1})
	if err != nil {
		t.Fatal(err)
	}
	rows := accountBatch(alloc, balances{{"x", 1}: 1})
	defer rows.Release()
	if err := s.Write(t.Context(), rows); err == nil {
		t.Error("a column that is not of the key was taken")
	}
	b := array.NewRecordBuilder(alloc, accountKeys)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).Append(1)
	b.Field(1).(*array.StringBuilder).AppendNull()
	null := b.NewRecordBatch()
	defer null.Release()
	if err := s.Write(t.Context(), null); err == nil {
		t.Error("a null was taken")
	}
	many := make([]account, 200_000)
	for i := range many {
		many[i] = account{"bank", int64(i)}
	}
	keys := keyBatch(alloc, many...)
	defer keys.Release()
	if err := s.Write(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	if n := len(objectsOf(t, d)); n != 1 {
		t.Errorf("%d files of 200,000 keys before the end", n)
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := objectsOf(t, d); len(left) != 0 {
		t.Errorf("objects left: %v", left)
	}
	if _, err := s.Finish(t.Context()); err == nil {
		t.Error("an aborted stage was finished")
	}
}

func TestEvolveKeepsTheKey(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	a := account{"x", 1}
	mustEdit(t, d, at("f", 1, 1), edit{set: balances{a: 1}})
	fields := accounts.Fields()
	for name, schema := range map[string]*arrow.Schema{
		"dropped": arrow.NewSchema(fields[:2], nil),
		"retyped": arrow.NewSchema([]arrow.Field{fields[0], fields[1], {Name: "id", Type: arrow.BinaryTypes.String}}, nil),
	} {
		_, _, err := d.Evolve(t.Context(), schema)
		if fault, ok := errors.AsType[*zone.IncompatibleError](err); !ok || len(fault.Faults) != 1 || fault.Faults[0].Column != "id" {
			t.Errorf("%s: error %v", name, err)
		}
	}
	d, changes, err := d.Evolve(t.Context(), arrow.NewSchema([]arrow.Field{fields[0], fields[2],
		{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true}}, nil))
	if err != nil || len(changes) != 1 || changes[0].Column != "note" {
		t.Fatalf("changes %+v, error %v", changes, err)
	}
	if diff := cmp.Diff([]string{"bank", "id"}, d.Key()); diff != "" {
		t.Error(diff)
	}
	mustEdit(t, d, at("f", 1, 2), edit{set: balances{a: 2}, gone: []account{{"x", 3}}})
	if diff := cmp.Diff(balances{a: 2}, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

// Arrow's Parquet writer may leave empty texts out of the bounds of a file, by which readers tell what keys apply to it.
func TestEmptyTextsInKeysFindTheirRows(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	a, b, c := account{"", 1}, account{"z", 2}, account{"", 3}
	want := balances{}
	p := tight()
	p.Convert = 1
	for i, e := range []edit{
		{set: balances{a: 1, c: 1}}, {set: balances{b: 2}}, {gone: []account{a, {"b", 2}}}, {set: balances{c: 4}}, {gone: []account{c}},
	} {
		mustEdit(t, d, at("f", 1, int64(i+1)), e)
		want = e.apply(want)
		for _, when := range []string{"keys", "vectors", "compacted"} {
			if diff := cmp.Diff(want, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
				t.Errorf("unit %d, %s: %s", i+1, when, diff)
			}
			if diff := cmp.Diff(want, lookUp(t, d, 0, a, b, c)); diff != "" {
				t.Errorf("unit %d, %s, looked up: %s", i+1, when, diff)
			}
			p.Compact.Off = when == "keys"
			keep(t, d, p, map[string]int64{"f": 9})
		}
	}
}
