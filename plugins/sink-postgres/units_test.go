package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// Each mode gets the same random units, of which some are empty and some are committed twice.
func TestRandomUnitsComeToWhatTheModeSays(t *testing.T) {
	t.Parallel()
	for mode, apply := range map[sdk.WriteMode]func(there, unit []string) []string{
		sdk.Append:    func(there, unit []string) []string { return append(there, unit...) },
		sdk.Overwrite: func(_, unit []string) []string { return unit },
		sdk.Upsert: func(there, unit []string) []string {
			last := map[string]string{}
			for _, row := range append(there, unit...) {
				last[row[:4]] = row
			}
			return slices.Collect(maps.Values(last))
		},
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			r := rand.New(rand.NewPCG(7, 7))
			sink, _ := s.begin(t, Config{}, mode, 1, ordersStream("id"))
			var there []string
			for seq := uint64(1); seq < 25; seq++ {
				var unit []string
				for range r.IntN(4) {
					b := array.NewRecordBuilder(memory.DefaultAllocator, orders)
					for range r.IntN(30) {
						id, note := 10+r.Int64N(40), r.IntN(1000)
						b.Field(0).(*array.Int64Builder).Append(id)
						b.Field(1).(*array.StringBuilder).Append(fmt.Sprint("n", note))
						unit = append(unit, fmt.Sprintf("(%d,n%d)", id, note))
					}
					none(t, write(t, sink, "orders", 1, b.NewRecordBatch()))
					b.Release()
				}
				none(t, commit(t, sink, mark(1, seq)))
				if r.IntN(3) == 0 {
					none(t, commit(t, sink, mark(1, seq)))
				}
				there = apply(there, unit)
				slices.Sort(there)
				s.want(t, "select * from orders order by orders::text collate \"C\"", there...)
			}
		})
	}
}

// A unit of many rows is joined with the target.
func TestLargeUnits(t *testing.T) {
	t.Parallel()
	for _, mode := range []sdk.WriteMode{sdk.Append, sdk.Upsert, sdk.Overwrite} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			sink, _ := s.begin(t, Config{}, mode, 1, ordersStream("id"))
			none(t, write(t, sink, "orders", 1, numbered(1, 1000)))
			none(t, commit(t, sink, mark(1, 1)))
			for part := range int64(10) {
				none(t, write(t, sink, "orders", 1, numbered(501+part*10_000, 10_000)))
			}
			none(t, write(t, sink, "orders", 1, record(t, orders, `{"id":100500,"note":"last"}`)))
			none(t, commit(t, sink, mark(1, 2)))
			want := map[sdk.WriteMode]string{sdk.Append: "(101001,100500,2)", sdk.Upsert: "(100500,100500,1)", sdk.Overwrite: "(100001,100000,2)"}[mode]
			s.want(t, "select count(*), count(distinct id), count(*) filter (where id = 100500) from orders", want)
			s.want(t, "select note from orders where id = 100500 and note = 'last'", "(last)")
		})
	}
}

// One row that a check refuses is found among many, and the others stand.
func TestOneBadRowAmongMany(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table orders (id int8 primary key, note text check (id <> 54321))")
	sink, _ := s.begin(t, Config{}, sdk.Upsert, 1, ordersStream("id"))
	none(t, write(t, sink, "orders", 1, numbered(0, 60_000)))
	rejected := commit(t, sink, mark(1, 1))
	if len(rejected) != 1 || rejected[0].Row != 54321 || string(rejected[0].Raw) != `{"id":54321,"note":"note 54321"}` {
		t.Errorf("%+v", rejected)
	}
	s.want(t, "select count(*) from orders", "(59999)")
}
