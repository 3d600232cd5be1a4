package query_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
)

var customers = zone.Name{Zone: zone.Processing, Namespace: "q", Dataset: "customers"}

const upserting = "q.customers"

// upserts is a dataset with a key under way, and what it holds.
type upserts struct {
	*rig
	dataset *zone.Dataset
	seq     int64
	epoch   uint64
	rows    map[int64]float64
}

func newUpserts(t *testing.T) *upserts {
	t.Helper()
	r := newRig(t)
	dataset, err := r.zones.Create(t.Context(), customers, schema, zone.CreateOptions{Key: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ledger.AddWriter(t.Context(), ledger.Writer{Dataset: customers.String(), Flow: upserting, Mode: "upsert"}); err != nil {
		t.Fatal(err)
	}
	epoch, err := r.ledger.TakeOver(t.Context(), upserting, "me", 0, ledger.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	return &upserts{rig: r, dataset: dataset, epoch: epoch, rows: map[int64]float64{}}
}

// commit sets and deletes rows in a unit, which is in the ledger if it is entered.
func (u *upserts) commit(entered bool, set []int64, gone ...int64) {
	u.t.Helper()
	ctx := u.t.Context()
	u.seq++
	options := zone.StageOptions{Flow: upserting, Seq: u.seq, IngestedAt: time.Now()}
	request := zone.CommitRequest{Mark: zone.Mark{Flow: upserting, Epoch: u.epoch, Seq: u.seq}, Mode: zone.Upsert}
	keys, err := u.dataset.StageKeys(ctx, options)
	if err != nil {
		u.t.Fatal(err)
	}
	if err := keys.Write(ctx, u.batch(slices.Concat(set, gone), 1)); err != nil {
		u.t.Fatal(err)
	}
	if request.Keys, err = keys.Finish(ctx); err != nil {
		u.t.Fatal(err)
	}
	rows, err := u.dataset.Stage(ctx, options)
	if err != nil {
		u.t.Fatal(err)
	}
	if err := rows.Write(ctx, u.batch(set, 2), ""); err != nil {
		u.t.Fatal(err)
	}
	if request.Files, err = rows.Finish(ctx); err != nil {
		u.t.Fatal(err)
	}
	snapshot, err := u.dataset.Commit(ctx, request)
	if err != nil {
		u.t.Fatal(err)
	}
	if entered {
		u.enter(snapshot.ID, set, gone)
	}
}

func (u *upserts) enter(snapshot int64, set, gone []int64) {
	u.t.Helper()
	err := u.ledger.Append(u.t.Context(), ledger.Unit{
		Flow: upserting, Seq: u.seq, Epoch: u.epoch, Verdict: ledger.Committed, Committed: time.Now(),
		Datasets: map[string]ledger.Output{customers.String(): {Snapshot: snapshot, Rows: int64(len(set))}},
	})
	if err != nil {
		u.t.Fatal(err)
	}
	for _, id := range gone {
		delete(u.rows, id)
	}
	for _, id := range set {
		u.rows[id] = float64(u.seq)
	}
}

// batch has the first columns of rows whose amount is the unit's number.
func (u *upserts) batch(ids []int64, columns int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(schema.Fields()[:columns], nil))
	defer b.Release()
	for _, id := range ids {
		b.Field(0).(*array.Int64Builder).Append(id)
		if columns > 1 {
			b.Field(1).(*array.Float64Builder).Append(float64(u.seq))
		}
	}
	return b.NewRecordBatch()
}

// tend looks after the dataset and, if asked, sends readers on to what it made.
func (u *upserts) tend(p upkeep.Policy, repin bool) {
	u.t.Helper()
	view, err := u.ledger.View(u.t.Context(), customers.String())
	if err != nil {
		u.t.Fatal(err)
	}
	r := upkeep.Request{Policy: p, Visible: view.Seqs, Pinned: []upkeep.Pin{{Snapshot: view.Snapshot}}}
	if repin {
		r.Repin = func(ctx context.Context, p upkeep.Pin, to int64) (bool, error) {
			return u.ledger.Repin(ctx, customers.String(), p.Flow, p.Snapshot, to)
		}
	}
	if _, err := u.dataset.Upkeep(u.t.Context(), r); err != nil {
		u.t.Fatal(err)
	}
}

// check asks for the rows in several ways.
func (u *upserts) check(when string) {
	u.t.Helper()
	answer, err := u.engine.Query(u.t.Context(), `select id, amount from processing.q.customers`)
	if err != nil {
		u.t.Fatal(err)
	}
	got := map[int64]float64{}
	for answer.Next() {
		var id int64
		var amount float64
		if err := answer.Scan(&id, &amount); err != nil {
			u.t.Fatal(err)
		}
		if _, twice := got[id]; twice {
			u.t.Errorf("%s: two rows have the key %d", when, id)
		}
		got[id] = amount
	}
	if err := answer.Close(); err != nil {
		u.t.Fatal(err)
	}
	if diff := cmp.Diff(u.rows, got); diff != "" {
		u.t.Errorf("%s: %s", when, diff)
	}
	joined := u.one(`select count(*), count(distinct a.id) from processing.q.customers a join processing.q.customers b using (id) where a.amount = b.amount`)
	if want := fmt.Sprint(len(u.rows), len(u.rows)); joined != want {
		u.t.Errorf("%s: joined with itself: %s, want %s", when, joined, want)
	}
	newest := u.one(fmt.Sprintf(`select count(*) from processing.q.customers where amount = %d`, u.seq))
	want := 0
	for _, amount := range u.rows {
		if amount == float64(u.seq) {
			want++
		}
	}
	if newest != fmt.Sprint(want) {
		u.t.Errorf("%s: %s rows of the newest unit, want %d", when, newest, want)
	}
}

// exact tells how many files of the snapshot that readers are sent to are read as they are, and how many there are.
func (u *upserts) exact() (exact, all int) {
	u.t.Helper()
	view, err := u.ledger.View(u.t.Context(), customers.String())
	if err != nil {
		u.t.Fatal(err)
	}
	files, err := u.dataset.Files(u.t.Context(), view.Snapshot)
	if err != nil {
		u.t.Fatal(err)
	}
	for _, f := range files {
		if f.Exact && f.Local != "" {
			exact++
		}
	}
	return exact, len(files)
}

// Queries see each key once whatever state a dataset with a key is in: in the ways that deletes are kept, read by Arrow or from the
// files themselves, and at the ledger's snapshot while newer ones are there.
func TestQueriesSeeOneRowOfEachKey(t *testing.T) {
	u := newUpserts(t)
	policy := upkeep.Policy{
		Convert: 1, Compact: upkeep.Compact{Off: true, Below: 1 << 20, Files: 2, Target: 1 << 20}, Snapshots: upkeep.Snapshots{Keep: 100}, Grace: time.Hour,
	}
	u.commit(true, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9})
	if exact, all := u.exact(); exact != 1 || all != 1 {
		t.Errorf("%d of %d files are read as they are", exact, all)
	}
	u.check("one unit")
	u.commit(true, []int64{2, 3, 10}, 4, 99)
	u.commit(true, []int64{3, 11}, 10)
	if exact, all := u.exact(); exact != 1 || all != 3 {
		t.Errorf("keys: %d of %d files are read as they are", exact, all)
	}
	u.check("keys")
	u.tend(policy, false)
	u.check("keys, though they have been applied since")
	u.tend(policy, true)
	if exact, all := u.exact(); exact != 1 || all != 3 {
		t.Errorf("vectors: %d of %d files are read as they are", exact, all)
	}
	u.check("vectors")
	u.commit(true, []int64{1, 4}, 11)
	u.check("vectors and keys")
	u.commit(false, []int64{5, 50}, 6, 7)
	u.check("a unit that the ledger does not have")
	u.seq--
	if _, err := u.dataset.Undo(t.Context(), upserting, u.epoch, u.seq); err != nil {
		t.Fatal(err)
	}
	u.commit(true, []int64{5}, 6)
	u.check("a unit in the place of the one that was taken back")
	policy.Compact.Off = false
	u.tend(policy, true)
	if exact, all := u.exact(); exact != all || all > 2 {
		t.Errorf("compacted: %d of %d files are read as they are", exact, all)
	}
	u.check("compacted")
	u.commit(true, []int64{12}, 1)
	u.check("compacted and keys")
}
