package zone_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go/table"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// generation gives 20 keys the value of a unit, which deletes one of them and adds another.
func generation(seq int64) edit {
	e := edit{set: balances{}, gone: []account{{"x", seq - 1}}}
	for i := range int64(20) {
		e.set[account{"x", seq + i}] = seq
	}
	return e
}

// generations commits units and returns the rows then.
func generations(t *testing.T, d *zone.Dataset, from, to int64, before balances) balances {
	t.Helper()
	for seq := from; seq <= to; seq++ {
		e := generation(seq)
		mustEdit(t, d, at("f", 1, seq), e)
		before = e.apply(before)
	}
	return before
}

func TestUpkeepAppliesTheKeysOfUpserts(t *testing.T) {
	t.Parallel()
	z := zonetest.Open(t, server(t))
	d := createKeyed(t, z, "processing.bank.accounts")
	want := generations(t, d, 1, 9, nil)
	p := tight()
	p.Compact.Off = true
	visible := map[string]int64{"f": 100}
	if report := keep(t, d, p, visible); report.Converted.Count != 0 {
		t.Errorf("nine upserts are converted: %+v", report)
	}
	want = generations(t, d, 10, 10, want)
	marks := reload(t, d).Head().Marks()
	if report := keep(t, d, p, visible); report.Converted.Count != 10 {
		t.Errorf("report %+v", report)
	}
	head := reload(t, d).Head()
	if head.Keys != 0 || head.Rows != int64(len(want)) || head.Kind != zone.KindUpkeep || head.Mark.Flow != "" {
		t.Errorf("head %+v", head)
	}
	if diff := cmp.Diff(marks, head.Marks()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	want = generations(t, d, 11, 12, want)
	p.Compact.Off = false
	report := keep(t, d, p, visible)
	if report.Converted.Count != 0 || report.Compacted.Count != 12 || report.Files.After != 1 {
		t.Errorf("report %+v", report)
	}
	if diff := cmp.Diff(want, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
	if head := reload(t, d).Head(); head.Keys != 0 || head.Rows != int64(len(want)) {
		t.Errorf("after compaction, the head says %+v, there are %d rows", head, len(want))
	}
}

// Deletes and vectors are files of their own, which go when nothing refers to them any more.
func TestNothingIsLeftOfKeysAndVectors(t *testing.T) {
	t.Parallel()
	s := server(t)
	d := createKeyed(t, zonetest.Open(t, s), "processing.bank.accounts")
	want := generations(t, d, 1, 4, nil)
	visible := map[string]int64{"f": 4}
	p := ruthless()
	p.Convert, p.Compact.Off = 3, true
	keep(t, d, p, visible)
	p.Compact.Off = false
	keep(t, d, p, visible)
	if n, _ := zonetest.Stored(t, s, d.Location()+"/data"); n != 1 {
		t.Errorf("%d objects are left: %v", n, objectsOf(t, d))
	}
	if diff := cmp.Diff(want, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func TestFilesWithDeletesAreNotReadAsTheyAre(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	exact := func() []bool {
		files, err := d.Files(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		var out []bool
		for _, f := range files {
			out = append(out, f.Exact)
		}
		slices.SortFunc(out, func(a, b bool) int { return map[bool]int{true: 1}[a] - map[bool]int{true: 1}[b] })
		return out
	}
	generations(t, d, 1, 2, nil)
	if diff := cmp.Diff([]bool{false, true}, exact()); diff != "" {
		t.Errorf("keys: %s", diff)
	}
	p := tight()
	p.Convert, p.Compact.Off = 1, true
	keep(t, d, p, map[string]int64{"f": 2})
	if diff := cmp.Diff([]bool{false, true}, exact()); diff != "" {
		t.Errorf("vectors: %s", diff)
	}
	keep(t, d, tight(), map[string]int64{"f": 2})
	if diff := cmp.Diff([]bool{true}, exact()); diff != "" {
		t.Errorf("compacted: %s", diff)
	}
}

// A unit's rows are found by its number as long as no later unit has replaced them, whatever their files hold besides.
func TestUnitsOfUpsertsAreScannedApart(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	all := generations(t, d, 1, 6, nil)
	check := func(when string) {
		for seq := range int64(6) {
			want := balances{}
			for key, value := range all {
				if value == seq+1 {
					want[key] = value
				}
			}
			r := zone.ScanRequest{Units: []zone.UnitRange{{Flow: "f", After: seq, Upto: seq + 1}}}
			if diff := cmp.Diff(want, balancesOf(t, d, r)); diff != "" {
				t.Errorf("%s, unit %d: %s", when, seq+1, diff)
			}
		}
	}
	check("keys")
	p := tight()
	p.Convert, p.Compact.Off = 3, true
	keep(t, d, p, map[string]int64{"f": 6})
	check("vectors")
	keep(t, d, tight(), map[string]int64{"f": 6})
	check("compacted")
}

func TestAScanOfUpsertsMayBeStopped(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	generations(t, d, 1, 4, nil)
	p := tight()
	p.Convert, p.Compact.Off = 1, true
	keep(t, d, p, map[string]int64{"f": 4})
	generations(t, d, 5, 6, nil)
	_, batches, err := d.Scan(t.Context(), zone.ScanRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, batches, err = d.Scan(ctx, zone.ScanRequest{}); err != nil {
		t.Fatal(err)
	}
	failed := false
	for b, err := range batches {
		cancel()
		if failed = err != nil; failed {
			break
		}
		b.Release()
	}
	cancel()
	if !failed {
		t.Error("a scan went on though its context had ended")
	}
}

// A file with many deleted rows is written again, be it large.
func TestHollowFilesAreWrittenAgain(t *testing.T) {
	t.Parallel()
	z, _ := checked(t)
	d := createKeyed(t, z, "processing.bank.accounts")
	first := edit{set: balances{}}
	for i := range int64(100) {
		first.set[account{"x", i}] = 1
	}
	mustEdit(t, d, at("f", 1, 1), first)
	p := tight()
	p.Convert, p.Compact.Below, p.Compact.Files = 1, 1, 100 // every file is large
	for i, c := range []struct {
		gone      int64
		compacted int64
	}{{19, 0}, {20, 1}} {
		var e edit
		for i := range c.gone {
			e.gone = append(e.gone, account{"x", i})
		}
		mustEdit(t, d, at("f", 1, int64(i+2)), e)
		if report := keep(t, d, p, map[string]int64{"f": 9}); report.Compacted.Count != c.compacted {
			t.Errorf("%d rows gone: report %+v", c.gone, report)
		}
	}
	if rows := balancesOf(t, d, zone.ScanRequest{}); len(rows) != 80 {
		t.Errorf("%d rows", len(rows))
	}
	if _, err := d.Files(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

// foreign reads a dataset of accounts with iceberg-go's own scan.
func foreign(t *testing.T, d *zone.Dataset, options ...table.ScanOption) balances {
	t.Helper()
	tbl, err := zone.LoadTable(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	_, batches, err := tbl.Scan(append(options, table.WithSelectedFields("bank", "balance", "id"))...).ToArrowRecords(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return gathered(t, batches)
}

// What iceberg-go reads by itself is what we read, from keys, vectors and both.
func TestForeignReadersSeeTheSameRows(t *testing.T) {
	t.Parallel()
	z := zonetest.Open(t, server(t))
	d := createKeyed(t, z, "processing.bank.accounts")
	p := tight()
	p.Convert = 3
	want := generations(t, d, 1, 3, nil)
	for seq := int64(4); seq <= 8; seq += 2 {
		p.Compact.Off = seq < 8
		keep(t, d, p, map[string]int64{"f": seq})
		want = generations(t, d, seq, seq+1, want)
		if diff := cmp.Diff(want, foreign(t, d)); diff != "" {
			t.Errorf("unit %d: %s", seq+1, diff)
		}
	}
}

const besideUpserts = 18

// changes commits units of random edits, which read the ledger's book only to be seen there.
func changes(ctx context.Context, t *testing.T, d *zone.Dataset, b *books, history *sync.Map) error {
	state := balances{}
	for seq := int64(1); seq <= besideUpserts; seq++ {
		e := generation(seq % 7)
		if seq%15 == 0 {
			e.truncate = true
		}
		for key := range e.set {
			e.set[key] = seq
		}
		s, err := d.Commit(ctx, stageEdit(t, d, at("f", 1, seq), e))
		if err != nil {
			return fmt.Errorf("unit %d: %w", seq, err)
		}
		state = e.apply(state)
		history.Store(seq, maps.Clone(state))
		b.enter("f", seq, s.ID)
	}
	return nil
}

// watchKeyed reads the dataset at the snapshot of the ledger until done.
func watchKeyed(ctx context.Context, d *zone.Dataset, b *books, history *sync.Map, done <-chan struct{}) error {
	for {
		seqs, snapshots := b.view()
		if seq := seqs["f"]; seq > 0 {
			want, _ := history.Load(seq)
			got, err := rowsOf(ctx, d, snapshots["f"])
			if err != nil && !errors.Is(err, zone.ErrNotFound) {
				return fmt.Errorf("read at unit %d: %w", seq, err)
			}
			if diff := cmp.Diff(want, got); err == nil && diff != "" {
				return fmt.Errorf("at unit %d: %s", seq, diff)
			}
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
}

func rowsOf(ctx context.Context, d *zone.Dataset, snapshot int64) (balances, error) {
	_, batches, err := d.Scan(ctx, zone.ScanRequest{Snapshot: snapshot})
	if err != nil {
		return nil, err
	}
	out := balances{}
	for b, err := range batches {
		if err != nil {
			return nil, err
		}
		for i := range int(b.NumRows()) {
			key := account{b.Column(0).(*array.String).Value(i), b.Column(2).(*array.Int64).Value(i)}
			if has(out, key) {
				err = fmt.Errorf("two rows have the key %v", key)
			}
			out[key] = b.Column(1).(*array.Int64).Value(i)
		}
		b.Release()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// A writer upserts while two others convert and compact without a pause, and a reader reads.
func TestUpkeepBesideUpserts(t *testing.T) {
	t.Parallel()
	z := zonetest.Open(t, server(t))
	d := createKeyed(t, z, "processing.bank.accounts")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	b, done := newBooks(), make(chan struct{})
	var history sync.Map
	var writer, others sync.WaitGroup
	failing := func(err error) {
		if err != nil && ctx.Err() == nil {
			cancel(err)
		}
	}
	for _, snapshots := range []upkeep.Snapshots{{Keep: 1}, {Keep: 1000}} { // only one lets go of snapshots
		attendant := another(t, d)
		others.Go(func() { failing(tendKeyed(ctx, attendant, b, snapshots, done)) })
	}
	reader, writing := another(t, d), another(t, d)
	others.Go(func() { failing(watchKeyed(ctx, reader, b, &history, done)) })
	writer.Go(func() { failing(changes(ctx, t, writing, b, &history)) })
	writer.Wait()
	close(done)
	others.Wait()
	if err := context.Cause(ctx); err != nil {
		t.Fatal(err)
	}
	keep(t, d, ruthless(), map[string]int64{"f": besideUpserts})
	want, _ := history.Load(int64(besideUpserts))
	if diff := cmp.Diff(want, balancesOf(t, d, zone.ScanRequest{})); diff != "" {
		t.Error(diff)
	}
}

func tendKeyed(ctx context.Context, d *zone.Dataset, b *books, snapshots upkeep.Snapshots, done <-chan struct{}) error {
	p := ruthless()
	p.Snapshots = snapshots
	p.Grace, p.Convert = tight().Grace, 2 // readers may be at the files
	for {
		r := upkeep.Request{Policy: p, Refresh: b.needed, Repin: b.repin}
		r.Visible, r.Pinned, _ = b.needed(ctx)
		if _, err := d.Upkeep(ctx, r); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a snapshot that the other let go
			return fmt.Errorf("upkeep: %w", err)
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
}
