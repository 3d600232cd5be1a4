package query_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/instance"
	"github.com/qanat-data/qanat/core/query"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, zonetest.Leaks()...) }

var schema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "amount", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
}, nil)

// rig is a project's zones and ledger with two append flows on one dataset.
type rig struct {
	t      *testing.T
	zones  *zone.Zones
	ledger *ledger.Ledger
	engine *query.Engine
	seq    map[string]int64
}

var events = zone.Name{Zone: zone.Processing, Namespace: "q", Dataset: "events"}

func newRig(t *testing.T) *rig {
	t.Helper()
	running, err := instance.Open(t.Context(), instance.Settings{Dir: filepath.Join(t.TempDir(), ".qanat")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	book, err := ledger.Open(t.Context(), running.DB(), ledger.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := running.Zones().Create(t.Context(), events, schema, zone.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	engine := query.New(query.Settings{Zones: running.Zones(), Ledger: book, CacheDir: t.TempDir()})
	return &rig{t: t, zones: running.Zones(), ledger: book, engine: engine, seq: map[string]int64{}}
}

// commit writes rows as a unit of the flow into the table and, if asked, the ledger.
func (r *rig) commit(flow string, entered bool, s *arrow.Schema, from, to int) {
	r.t.Helper()
	ctx := r.t.Context()
	if err := r.ledger.AddWriter(ctx, ledger.Writer{Dataset: events.String(), Flow: flow, Mode: "append"}); err != nil {
		r.t.Fatal(err)
	}
	dataset, err := r.zones.Dataset(ctx, events)
	if err != nil {
		r.t.Fatal(err)
	}
	if dataset, _, err = dataset.Evolve(ctx, s); err != nil {
		r.t.Fatal(err)
	}
	r.seq[flow]++
	stage, err := dataset.Stage(ctx, zone.StageOptions{Flow: flow, Seq: r.seq[flow], IngestedAt: time.Now()})
	if err != nil {
		r.t.Fatal(err)
	}
	batch := rows(s, from, to)
	defer batch.Release()
	if err := stage.Write(ctx, batch, ""); err != nil {
		r.t.Fatal(err)
	}
	files, err := stage.Finish(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	epoch, err := r.ledger.TakeOver(ctx, flow, "me", 0, ledger.Owner{})
	if err != nil {
		r.t.Fatal(err)
	}
	snapshot, err := dataset.Commit(ctx, zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: flow, Epoch: epoch, Seq: r.seq[flow]}})
	if err != nil {
		r.t.Fatal(err)
	}
	if !entered {
		return
	}
	err = r.ledger.Append(ctx, ledger.Unit{
		Flow: flow, Seq: r.seq[flow], Epoch: epoch, Verdict: ledger.Committed, Committed: time.Now(),
		Datasets: map[string]ledger.Output{events.String(): {Snapshot: snapshot.ID, Rows: int64(to - from)}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func rows(s *arrow.Schema, from, to int) arrow.RecordBatch {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer builder.Release()
	for i := from; i < to; i++ {
		builder.Field(0).(*array.Int64Builder).Append(int64(i))
		builder.Field(1).(*array.Float64Builder).Append(float64(i) / 2)
		for extra := 2; extra < s.NumFields(); extra++ {
			switch column := builder.Field(extra).(type) {
			case *array.StringBuilder:
				column.Append(fmt.Sprint("x", i))
			case *array.StructBuilder:
				column.Append(true)
				column.FieldBuilder(0).(*array.Int64Builder).Append(int64(i))
			}
		}
	}
	return builder.NewRecordBatch()
}

// one answers a query of one row as text.
func (r *rig) one(text string) string {
	r.t.Helper()
	answer, err := r.engine.Query(r.t.Context(), text)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := answer.Close(); err != nil {
			r.t.Error(err)
		}
	}()
	columns, err := answer.Columns()
	if err != nil {
		r.t.Fatal(err)
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if !answer.Next() {
		r.t.Fatalf("no row: %v", answer.Err())
	}
	if err := answer.Scan(into...); err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprint(values...)
}

func TestQueriesSeeUnitsInTheLedgerAndNoneAheadOfIt(t *testing.T) {
	r := newRig(t)
	r.commit("q.one", true, schema, 0, 10)
	r.commit("q.one", false, schema, 10, 30)
	if got := r.one(`select count(*), max(id) from processing.q.events`); got != "10 9" {
		t.Errorf("got %s, want 10 rows up to id 9", got)
	}
	r.commit("q.two", true, schema, 100, 105)
	if got := r.one(`select count(*), max(id) from processing.q.events`); got != "15 104" {
		t.Errorf("got %s, want the rows of both flows' ledgers", got)
	}
}

// DuckDB pushes filters and projections into registered Arrow streams, which ignore them: rows and columns would be wrong.
func TestStreamedDatasetsAreFilteredAndProjectedRightly(t *testing.T) {
	r := newRig(t)
	r.commit("q.one", true, schema, 0, 5000)
	wider := arrow.NewSchema(append(schema.Fields(), arrow.Field{Name: "note", Type: arrow.BinaryTypes.String, Nullable: true}), nil)
	r.commit("q.one", true, wider, 5000, 6000)
	if got := r.one(`select count(*), max(amount), max(note) from processing.q.events where id >= 4990 and id < 5010`); got != "20 2504.5x5009" {
		t.Errorf("got %s", got)
	}
	if got := r.one(`select count(*) from processing.q.events a join processing.q.events b using (id)`); got != "6000" {
		t.Errorf("a self-join gives %s rows, want 6000", got)
	}
}

// Arrow's C interface counts the place where a slice of structs begins twice: rows would get the structs of other rows.
func TestStructsOfStreamedDatasetsStayWithTheirRows(t *testing.T) {
	r := newRig(t)
	r.commit("q.one", true, schema, 0, 10)
	place := arrow.StructOf(arrow.Field{Name: "row", Type: arrow.PrimitiveTypes.Int64, Nullable: true})
	wider := arrow.NewSchema(append(schema.Fields(), arrow.Field{Name: "place", Type: place, Nullable: true}), nil)
	r.commit("q.one", true, wider, 10, 300_000)
	got := r.one(`select count(place), count(*) filter (place.row is distinct from id and id >= 10) from processing.q.events`)
	if got != "299990 0" {
		t.Errorf("structs, and structs of other rows: %s, want 299990 0", got)
	}
}

func TestUnknownDatasetsAreAnsweredWithWhatThereIs(t *testing.T) {
	r := newRig(t)
	_, err := r.engine.Query(t.Context(), `from processing.q.event`)
	if err == nil || !strings.Contains(err.Error(), "processing.q.events") {
		t.Errorf("%v, want an error that lists the datasets", err)
	}
}

func TestEmptyDatasetsHaveTheirColumns(t *testing.T) {
	r := newRig(t)
	if got := r.one(`select count(id), count(_qanat_seq) from processing.q.events`); got != "0 0" {
		t.Errorf("got %s", got)
	}
}

func TestQueriesCanNotReadOtherFiles(t *testing.T) {
	r := newRig(t)
	r.commit("q.one", true, schema, 0, 10)
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf(`select * from read_csv('%s')`, secret),
		fmt.Sprintf(`copy (select 1) to '%s.out'`, secret),
		`set enable_external_access = true`,
	} {
		answer, err := r.engine.Query(t.Context(), text)
		if err == nil {
			for answer.Next() {
				continue
			}
			err = answer.Err()
			_ = answer.Close()
		}
		if err == nil {
			t.Errorf("%s was answered", text)
		}
	}
}
