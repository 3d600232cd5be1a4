package keyed

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/merge"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
	"github.com/qanat-data/qanat/sdk/change"
)

const flowName = "shop.accounts"

var accounts = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "a", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// shelf is a dataset that keeps versions, and the stream that writes it.
type shelf struct {
	*testing.T
	zones   *zone.Zones
	alloc   memory.Allocator
	name    zone.Name
	folder  string
	budget  int64
	now     int64
	seq     int64
	stream  *Stream
	refused []string
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	t.Cleanup(func() { alloc.AssertSize(t, 0) })
	s := &shelf{
		T: t, zones: zonetest.New(t, zonetest.WithAllocator(alloc)), alloc: alloc, folder: t.TempDir(),
		name: zone.Name{Zone: zone.Processing, Namespace: "shop", Dataset: "accounts"}, now: 1,
	}
	form := Form{Key: []string{"id"}, History: true}
	table, key, err := form.Table(accounts)
	if err != nil {
		t.Fatal(err)
	}
	noted, err := ChangesSchema(table)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.zones.Create(t.Context(), s.name, table, zone.CreateOptions{Key: key}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.zones.Create(t.Context(), s.changesName(), noted, zone.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.open(false)
	return s
}

func (s *shelf) changesName() zone.Name {
	n := s.name
	n.Dataset += zone.ChangesSuffix
	return n
}

func (s *shelf) dataset(n zone.Name) *zone.Dataset {
	s.Helper()
	d, err := s.zones.Dataset(s.Context(), n)
	if err != nil {
		s.Fatal(err)
	}
	return d
}

// open begins anew, as a runner does that takes the flow over.
func (s *shelf) open(anew bool) {
	s.Helper()
	s.stream = New(Settings{
		Flow: flowName, Form: Form{Key: []string{"id"}, History: true}, Dataset: s.dataset(s.name), Changes: s.dataset(s.changesName()),
		Anew: anew, Folder: s.folder, Budget: s.budget, Alloc: s.alloc, Now: func() time.Time { return time.UnixMicro(s.now) },
	})
}

// begin begins a unit of a stream with a table's rows or their changes.
func (s *shelf) begin(schema *arrow.Schema) {
	s.Helper()
	s.seq++
	if err := s.stream.Begin(s.Context(), s.seq, false, schema); err != nil {
		s.Fatal(err)
	}
}

func (s *shelf) write(b arrow.RecordBatch) {
	s.Helper()
	defer b.Release()
	rejected, err := s.stream.Write(s.Context(), b)
	if err != nil {
		s.Fatal(err)
	}
	for _, r := range rejected {
		s.refused = append(s.refused, r.Code)
	}
}

func (s *shelf) commit() {
	s.Helper()
	err := s.stream.Seal(s.Context(), func(_ arrow.RecordBatch, why []merge.Rejection) error {
		for _, r := range why {
			s.refused = append(s.refused, r.Code)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	if _, err := s.stream.Commit(s.Context(), zone.CommitRequest{Mark: zone.Mark{Flow: flowName, Epoch: 1, Seq: s.seq}}); err != nil {
		s.Fatal(err)
	}
}

// unit commits changes, in batches.
func (s *shelf) unit(batches ...[]edit) {
	s.Helper()
	s.begin(change.Schema(accounts, []string{"id"}))
	for _, edits := range batches {
		s.write(s.batch(edits))
	}
	s.commit()
}

func (s *shelf) batch(edits []edit) arrow.RecordBatch {
	s.Helper()
	b := change.NewBuilder(s.alloc, accounts, []string{"id"})
	defer b.Release()
	for _, e := range edits {
		c := change.Change{Op: e.op}
		if e.at >= 0 {
			c.Ts = time.UnixMicro(e.at)
		}
		if e.op == change.Truncate {
			b.AppendTruncate(c)
			continue
		}
		b.Column(0).(*array.Int64Builder).Append(e.id)
		if e.op == change.Delete {
			b.Column(1).AppendNull()
		} else {
			b.Column(1).(*array.Int64Builder).Append(e.a)
		}
		if e.op == change.Delete || e.unchanged {
			b.Column(2).AppendNull()
		} else {
			b.Column(2).(*array.StringBuilder).Append(e.s)
		}
		if e.unchanged {
			c.Unchanged = []string{"s"}
		}
		if e.before >= 0 {
			b.Before().Append(true)
			b.Before().FieldBuilder(0).(*array.Int64Builder).Append(e.before)
			b.Before().FieldBuilder(1).AppendNull()
			b.Before().FieldBuilder(2).AppendNull()
		}
		b.Append(c)
	}
	out, err := b.Batch()
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// kept is a row of the dataset: a version and its number.
type kept struct {
	version
	number int64
}

// place tells the rows of the dataset apart.
type place struct{ id, number int64 }

func (s *shelf) scan(n zone.Name, each func(b arrow.RecordBatch, row int)) {
	s.Helper()
	_, batches, err := s.dataset(n).Scan(context.WithoutCancel(s.Context()), zone.ScanRequest{})
	if err != nil {
		s.Fatal(err)
	}
	for b, err := range batches {
		if err != nil {
			s.Fatal(err)
		}
		for row := range int(b.NumRows()) {
			each(b, row)
		}
		b.Release()
	}
}

func keptAt(b arrow.RecordBatch, row int) kept {
	k := kept{number: columnOf(b, change.ColumnVersion).(*array.Int64).Value(row)}
	k.id, k.to = columnOf(b, "id").(*array.Int64).Value(row), -1
	k.row.a = columnOf(b, "a").(*array.Int64).Value(row)
	k.row.s = columnOf(b, "s").(*array.String).Value(row)
	k.from = int64(columnOf(b, change.ColumnValidFrom).(*array.Timestamp).Value(row))
	if to := columnOf(b, change.ColumnValidTo).(*array.Timestamp); to.IsValid(row) {
		k.to = int64(to.Value(row))
	}
	return k
}

// rows are what the dataset holds.
func (s *shelf) rows() []kept {
	s.Helper()
	var out []kept
	s.scan(s.name, func(b arrow.RecordBatch, row int) { out = append(out, keptAt(b, row)) })
	return out
}

// folded is what the net changes come to, one after the other.
func (s *shelf) folded() map[place]kept {
	s.Helper()
	out := map[place]kept{}
	s.scan(s.changesName(), func(b arrow.RecordBatch, row int) {
		op := change.Op(columnOf(b, change.ColumnOp).(*array.Int32).Value(row))
		if op == change.Truncate {
			clear(out)
			return
		}
		at := place{columnOf(b, "id").(*array.Int64).Value(row), columnOf(b, change.ColumnVersion).(*array.Int64).Value(row)}
		_, there := out[at]
		if there == (op == change.Insert) {
			s.Errorf("the net changes say %s of %v, there: %v", op, at, there)
		}
		if delete(out, at); op == change.Insert {
			out[at] = keptAt(b, row)
		}
	})
	return out
}

func linesOf(rows []kept) []string {
	var out []string
	for _, k := range rows {
		out = append(out, k.String())
	}
	slices.Sort(out)
	return out
}

// check holds the dataset against a model, and against its own promises.
func (s *shelf) check(m *model, label string) {
	s.Helper()
	rows := s.rows()
	if diff := cmp.Diff(m.lines(), linesOf(rows)); diff != "" {
		s.Fatalf("%s: versions (-model +dataset)\n%s", label, diff)
	}
	all, byID := map[place]kept{}, map[int64][]kept{}
	for _, k := range rows {
		if (k.number == change.Current) != (k.to < 0) {
			s.Errorf("%s: %s has number %d", label, k.version, k.number)
		}
		if _, twice := all[place{k.id, k.number}]; twice {
			s.Errorf("%s: %d has two versions %d", label, k.id, k.number)
		}
		all[place{k.id, k.number}], byID[k.id] = k, append(byID[k.id], k)
	}
	if diff := cmp.Diff(all, s.folded(), cmp.AllowUnexported(kept{}, version{}, values{})); diff != "" {
		s.Fatalf("%s: (-dataset +folded changes)\n%s", label, diff)
	}
	for _, versions := range byID {
		if fault := overlap(versions); fault != "" {
			s.Errorf("%s: %s", label, fault)
		}
	}
	for _, state := range m.states {
		for _, at := range []int64{state.at - 1, state.at, state.at + 1} {
			if diff := cmp.Diff(fmt.Sprint(m.asOf(at)), fmt.Sprint(asOf(rows, at))); diff != "" {
				s.Fatalf("%s: as of %d (-model +dataset)\n%s", label, at, diff)
			}
		}
	}
}

// overlap says which two versions of a row hold at one time.
func overlap(versions []kept) string {
	slices.SortFunc(versions, func(a, b kept) int { return int(a.from - b.from) })
	for i, k := range versions {
		if k.to >= 0 && k.to < k.from {
			return fmt.Sprintf("%s ends before it begins", k.version)
		}
		for _, other := range versions[i+1:] {
			if k.from < k.to && other.from < other.to && other.from < k.to || k.to < 0 && (other.to < 0 || other.to > other.from) {
				return fmt.Sprintf("%s and %s overlap", k.version, other.version)
			}
		}
	}
	return ""
}

// asOf is the question that people ask.
func asOf(rows []kept, at int64) map[int64]values {
	out := map[int64]values{}
	for _, k := range rows {
		if k.from <= at && (k.to < 0 || k.to > at) {
			out[k.id] = k.row
		}
	}
	return maps.Clone(out)
}
