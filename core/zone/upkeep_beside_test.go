package zone_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/upkeep"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

// besideUnits is how many units each writer commits while upkeep runs.
const besideUnits = 12

// books stand in for the ledger: which unit of each flow is committed, and the snapshot to read.
type books struct {
	mutex sync.Mutex
	seqs  map[string]int64
	at    map[string]int64
}

func newBooks() *books { return &books{seqs: map[string]int64{}, at: map[string]int64{}} }

func (b *books) enter(flow string, seq, snapshot int64) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.seqs[flow], b.at[flow] = seq, snapshot
}

func (b *books) view() (seqs, at map[string]int64) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return maps.Clone(b.seqs), maps.Clone(b.at)
}

func (b *books) repin(_ context.Context, p upkeep.Pin, to int64) (bool, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.at[p.Flow] != p.Snapshot {
		return false, nil
	}
	b.at[p.Flow] = to
	return true, nil
}

func (b *books) needed(context.Context) (map[string]int64, []upkeep.Pin, error) {
	seqs, at := b.view()
	var pins []upkeep.Pin
	for flow, snapshot := range at {
		pins = append(pins, upkeep.Pin{Flow: flow, Snapshot: snapshot})
	}
	return seqs, pins, nil
}

// tend looks after a dataset again and again until done, as hard as it can, as another process would.
func tend(ctx context.Context, d *zone.Dataset, b *books, done <-chan struct{}) error {
	p := ruthless()
	p.Grace = time.Hour // readers may be at the files
	cache := upkeep.NewCache()
	for {
		r := upkeep.Request{Policy: p, Refresh: b.needed, Repin: b.repin, Cache: cache}
		r.Visible, r.Pinned, _ = b.needed(ctx)
		if _, err := d.Upkeep(ctx, r); err != nil {
			return fmt.Errorf("upkeep: %w", err)
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
}

// write commits units; each has three rows, whose ids tell flow and seq.
func write(ctx context.Context, d *zone.Dataset, b *books, flow string, mode zone.Mode, base int64) error {
	for seq := int64(1); seq <= besideUnits; seq++ {
		stage, err := d.Stage(ctx, zone.StageOptions{Flow: flow, Seq: seq})
		if err != nil {
			return err
		}
		id := base + seq*10
		batch := orderBatch(memory.DefaultAllocator, id, id+1, id+2)
		err = stage.Write(ctx, batch, "")
		batch.Release()
		if err != nil {
			return err
		}
		files, err := stage.Finish(ctx)
		if err != nil {
			return err
		}
		s, err := d.Commit(ctx, zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: flow, Epoch: 1, Seq: seq}, Mode: mode})
		if err != nil {
			return fmt.Errorf("%s: unit %d: %w", flow, seq, err)
		}
		b.enter(flow, seq, s.ID)
	}
	return nil
}

func expected(base, from, to int64) []int64 {
	var out []int64
	for seq := from; seq <= to; seq++ {
		out = append(out, base+seq*10, base+seq*10+1, base+seq*10+2)
	}
	return out
}

func rowsAt(ctx context.Context, d *zone.Dataset, r zone.ScanRequest) ([]int64, error) {
	r.Columns = []string{"id"}
	_, batches, err := d.Scan(ctx, r)
	if err != nil {
		return nil, err
	}
	var out []int64
	for b, err := range batches {
		if err != nil {
			return nil, err
		}
		out = append(out, b.Column(0).(*array.Int64).Int64Values()...)
		b.Release()
	}
	return out, nil
}

// watch reads a flow's rows at its snapshot, all and in part, until done. A snapshot that has gone since it was looked up is looked
// up again, which is all that a reader has to be ready for.
func watch(ctx context.Context, d *zone.Dataset, b *books, flow string, want func(seq int64) []int64, done <-chan struct{}) error {
	read, missed := 0, 0
	for round := int64(0); ; round++ {
		seqs, at := b.view()
		seq, snapshot := seqs[flow], at[flow]
		if seq > 0 {
			after := round % seq
			whole := zone.UnitRange{Flow: flow, Upto: seq}
			part := zone.UnitRange{Flow: flow, After: after, Upto: seq}
			for _, r := range []zone.ScanRequest{
				{Snapshot: snapshot, Units: []zone.UnitRange{whole}}, {Snapshot: snapshot, Units: []zone.UnitRange{part}},
			} {
				got, err := rowsAt(ctx, d, r)
				if errors.Is(err, zone.ErrNotFound) {
					missed++
					continue
				}
				read++
				if err != nil {
					return fmt.Errorf("%s: read units up to %d: %w", flow, seq, err)
				}
				all := want(seq)
				if r.Units[0].After > 0 && len(all) > 3 { // an appended unit has three rows
					all = all[3*after:]
				}
				if !slices.Equal(all, got) {
					return fmt.Errorf("%s: units after %d up to %d at snapshot %d: got %d, want %d", flow, r.Units[0].After, seq, snapshot, got, all)
				}
			}
		}
		select {
		case <-done:
			if read <= missed {
				return fmt.Errorf("%s: %d reads, but %d looked for snapshots that had gone", flow, read, missed)
			}
			return nil
		default:
		}
	}
}

// Two flows append, upkeep runs without pause and lets go of whatever it may, and readers read: no commit fails or is lost, no reader
// fails, and everybody sees what was committed.
func TestUpkeepBesideWritersAndReaders(t *testing.T) {
	t.Parallel()
	s := server(t)
	d := create(t, zonetest.Open(t, s), "processing.shop.orders", orders)
	bases := map[string]int64{"f": 0, "g": 100_000}
	b := beside(t, d, zone.Append, bases)
	seqs, _ := b.view()
	for flow, base := range bases {
		r := zone.ScanRequest{Units: []zone.UnitRange{{Flow: flow, Upto: besideUnits}}}
		if got := ids(t, d, r); !slices.Equal(got, expected(base, 1, besideUnits)) || seqs[flow] != besideUnits {
			t.Errorf("flow %s: %d units, rows %d", flow, seqs[flow], got)
		}
		if m := mark(t, d, flow); m != (zone.Mark{Flow: flow, Epoch: 1, Seq: besideUnits}) {
			t.Errorf("mark %+v", m)
		}
	}
	keep(t, d, ruthless(), seqs)
	if got := ids(t, d, zone.ScanRequest{}); len(got) != 2*3*besideUnits {
		t.Errorf("%d rows", len(got))
	}
}

func TestUpkeepBesideOverwrites(t *testing.T) {
	t.Parallel()
	s := server(t)
	d := create(t, zonetest.Open(t, s), "curated.shop.daily", orders)
	beside(t, d, zone.Overwrite, map[string]int64{"f": 0})
	if got := ids(t, d, zone.ScanRequest{}); !slices.Equal(got, expected(0, besideUnits, besideUnits)) {
		t.Errorf("rows %d", got)
	}
	keep(t, d, ruthless(), map[string]int64{"f": besideUnits})
	if files, err := d.Files(t.Context(), 0); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// beside runs a writer for each flow, two readers and upkeep, each with zones of its own, as processes would.
func beside(t *testing.T, d *zone.Dataset, mode zone.Mode, bases map[string]int64) *books {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	b, done := newBooks(), make(chan struct{})
	var writers, others sync.WaitGroup
	failing := func(err error) {
		if err != nil && ctx.Err() == nil {
			cancel(err)
		}
	}
	for flow, base := range bases {
		want := func(seq int64) []int64 { return expected(base, 1, seq) }
		if mode == zone.Overwrite {
			want = func(seq int64) []int64 { return expected(base, seq, seq) }
		}
		writer, reader := another(t, d), another(t, d)
		writers.Go(func() { failing(write(ctx, writer, b, flow, mode, base)) })
		others.Go(func() { failing(watch(ctx, reader, b, flow, want, done)) })
	}
	attendant := another(t, d)
	others.Go(func() { failing(tend(ctx, attendant, b, done)) })
	writers.Wait()
	close(done)
	others.Wait()
	if err := context.Cause(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

// another opens the dataset as another process would.
func another(t *testing.T, d *zone.Dataset) *zone.Dataset {
	t.Helper()
	out, err := zone.Beside(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
