package filter_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/mask/filter"
)

// Random trees on random rows: the rows that Arrow and DuckDB select are those of the row-by-row oracle.
func TestEveryBackEndSelectsTheRowsOfTheOracle(t *testing.T) {
	t.Parallel()
	trees := 150
	if os.Getenv("QANAT_SLOW") != "" {
		trees = 5000
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 5))
			rows := batch(r, memory.DefaultAllocator, every, 130+r.IntN(200))
			defer rows.Release()
			db := load(t, rows)
			for bound := 0; bound < trees; {
				p := tree(r, every, 3)
				f, err := filter.Bind(p, every)
				if err != nil {
					continue
				}
				bound++
				want := selected(p, rows)
				if diff := cmp.Diff(want, onArrow(t, f, rows)); diff != "" {
					t.Fatalf("Arrow, %s:\n%s", p, diff)
				}
				if diff := cmp.Diff(want, inDuckDB(t, db, f)); diff != "" {
					text, args := f.SQL()
					t.Fatalf("DuckDB, %s:\n%s\n%v\n%s", p, text, args, diff)
				}
			}
		})
	}
}

func selected(p filter.Predicate, rows arrow.RecordBatch) []int {
	var out []int
	for i := range int(rows.NumRows()) {
		row := map[string]any{}
		for c, column := range rows.Columns() {
			row[rows.ColumnName(c)] = cell(column, i)
		}
		if passes(p, row) == yes {
			out = append(out, i)
		}
	}
	return out
}

func onArrow(t *testing.T, f *filter.Filter, rows arrow.RecordBatch) []int {
	t.Helper()
	passing, n, err := f.Keep(rows)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for i := range len(passing) * 64 {
		if passing[i/64]>>(i%64)&1 == 1 {
			out = append(out, i)
		}
	}
	if int64(len(out)) != n {
		t.Fatalf("%d rows pass, Keep says %d", len(out), n)
	}
	return out
}

// load puts rows, numbered, into a table of DuckDB.
func load(t *testing.T, rows arrow.RecordBatch) *sql.DB {
	t.Helper()
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	numbered := number(rows)
	defer numbered.Release()
	reader, err := array.NewRecordReader(numbered.Schema(), []arrow.RecordBatch{numbered})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(raw any) error {
		bridge, err := duckdb.NewArrowFromConn(raw.(*duckdb.Conn))
		if err != nil {
			return err
		}
		release, err := bridge.RegisterView(reader, "incoming")
		if err != nil {
			return err
		}
		defer release()
		_, err = raw.(interface {
			ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error)
		}).ExecContext(t.Context(), "create temp table loaded as select * from incoming", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func number(rows arrow.RecordBatch) arrow.RecordBatch {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	defer b.Release()
	for i := range rows.NumRows() {
		b.Append(i)
	}
	row := b.NewArray()
	defer row.Release()
	fields := append(rows.Schema().Fields(), arrow.Field{Name: "row number", Type: arrow.PrimitiveTypes.Int64})
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), append(append([]arrow.Array{}, rows.Columns()...), row), rows.NumRows())
}

func inDuckDB(t *testing.T, db *sql.DB, f *filter.Filter) []int {
	t.Helper()
	text, args := f.SQL()
	found, err := db.QueryContext(t.Context(), `select "row number" from loaded where `+text+` order by 1`, args...)
	if err != nil {
		t.Fatalf("%v\n%s\n%v", err, text, args)
	}
	defer found.Close()
	var out []int
	for found.Next() {
		var i int
		if err := found.Scan(&i); err != nil {
			t.Fatal(err)
		}
		out = append(out, i)
	}
	if err := found.Err(); err != nil {
		t.Fatalf("%v\n%s\n%v", err, text, args)
	}
	return out
}

// What is in a filter comes back from JSON and prints the same SQL.
func TestTreesSurviveJSON(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		p := tree(r, every, 4)
		data, err := filter.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		back, err := filter.Unmarshal(data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		again, err := filter.Marshal(back)
		if err != nil || string(again) != string(data) || back.String() != p.String() {
			t.Fatalf("%v: %s\n%s", err, data, again)
		}
	}
}

func TestUnmarshalRefusesWhatIsNoFilter(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `null`, `{}`, `[]`, `{"and": null}`, `{"and": [null]}`, `{"column": "a", "constant": true}`, `{"like": "x"}`, `{"constant": true} {}`,
		`{"compare": {"column": "a", "op": "==", "value": null}}`, `{"compare": {"column": "a", "op": "==", "value": 1e99999999}}`,
		`{"in": {"column": "a", "values": [[1]]}}`, strings.Repeat(`{"not_true":`, 5000) + `{"constant":true}` + strings.Repeat(`}`, 5000),
	} {
		if p, err := filter.Unmarshal([]byte(text)); err == nil {
			t.Errorf("%.60s was read as %s", text, p)
		}
	}
}

func TestApplyGivesThePassingRowsAndCountsTheOthers(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer alloc.AssertSize(t, 0)
	r := rand.New(rand.NewPCG(3, 3))
	rows := batch(r, alloc, every, 300)
	defer rows.Release()
	for _, p := range []filter.Predicate{
		filter.Constant(true), filter.Constant(false), filter.Compare{Column: "i64", Op: filter.Greater, Value: filter.Int(0)},
		filter.In{Column: "dict", Values: []filter.Value{filter.String("a"), filter.String("eu")}},
	} {
		f, err := filter.Bind(p, every)
		if err != nil {
			t.Fatal(err)
		}
		kept, dropped, err := f.Apply(t.Context(), alloc, rows)
		if err != nil {
			t.Fatal(err)
		}
		want := selected(p, rows)
		if int(kept.NumRows()) != len(want) || kept.NumRows()+dropped != rows.NumRows() {
			t.Errorf("%s: %d kept and %d dropped of %d, want %d kept", p, kept.NumRows(), dropped, rows.NumRows(), len(want))
		}
		for at, i := range want {
			for c := range rows.Columns() {
				if got, want := kept.Column(c).ValueStr(at), rows.Column(c).ValueStr(i); got != want {
					t.Errorf("%s, row %d of column %d: %s, want %s", p, at, c, got, want)
				}
			}
		}
		kept.Release()
	}
}

func TestBindNamesEveryFault(t *testing.T) {
	t.Parallel()
	s := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int64}, {Name: "t", Type: arrow.BinaryTypes.String}, {Name: "b", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "at", Type: arrow.FixedWidthTypes.Timestamp_us}, {Name: "two", Type: arrow.PrimitiveTypes.Int8}, {Name: "two", Type: arrow.PrimitiveTypes.Int8},
		{Name: "f", Type: arrow.PrimitiveTypes.Float64}, {Name: "f32", Type: arrow.PrimitiveTypes.Float32}, {Name: "d", Type: &arrow.Decimal128Type{Precision: 38, Scale: 20}},
		{Name: "ree", Type: arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, arrow.BinaryTypes.String)},
	}, nil)
	text, number := filter.String("1"), filter.Int(1)
	for want, p := range map[string]filter.Predicate{
		`column "x": the dataset has no such column`:               filter.Column{Name: "x"},
		`column "two": the dataset has several of this name`:       filter.IsNull{Column: "two"},
		`column "n": it is a number (int64) and never equals a te`: filter.Compare{Column: "n", Op: filter.Equal, Value: text},
		`column "t": it is a text (utf8) and never equals a numbe`: filter.In{Column: "t", Values: []filter.Value{text, number}},
		`column "b": booleans have no order: "<"`:                  filter.Compare{Column: "b", Op: filter.Less, Value: filter.Bool(true)},
		`column "at": a timestamp[us, tz=UTC] can't be compared`:   filter.Compare{Column: "at", Op: filter.Less, Value: number},
		`column "n": it is a int64 and no condition`:               filter.Column{Name: "n"},
		`column "n": it is a number (int64) and never equals a t`:  filter.Text{Column: "n", Op: filter.Starts, Value: "1"},
		`column "n": unknown comparison "~"`:                       filter.Compare{Column: "n", Op: "~", Value: number},
		`column "t": unknown test of text "like"`:                  filter.Text{Column: "t", Op: "like", Value: "1"},
		`column "t": the text "\xff" isn't valid UTF-8`:            filter.Compare{Column: "t", Op: filter.Equal, Value: filter.String("\xff")},
		`column "n": it is a number (int64) and never equals a b`:  filter.CompareColumns{Left: "n", Op: filter.Equal, Right: "b"},
		`column "f": a float64 and a float32`:                      filter.CompareColumns{Left: "f", Op: filter.Equal, Right: "f32"},
		`column "f": a float64 and a decimal(38, 20)`:              filter.CompareColumns{Left: "f", Op: filter.Equal, Right: "d"},
		`column "n": a int64 and a decimal(38, 20)`:                filter.CompareColumns{Left: "n", Op: filter.Equal, Right: "d"},
		`column "ree": a filter can't read a`:                      filter.IsNull{Column: "ree"},
		`column "n": it is a number (int64) and never equals no v`: filter.Compare{Column: "n", Op: filter.Equal},
	} {
		_, err := filter.Bind(filter.And{p, filter.Column{Name: "b"}}, s)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s…", p, err, want)
		}
	}
	_, err := filter.Bind(filter.Or{filter.Column{Name: "x"}, filter.Column{Name: "y"}}, s)
	if err == nil || strings.Count(err.Error(), "no such column") != 2 {
		t.Errorf("both faults are wanted: %v", err)
	}
}

// A filter that was bound to one schema doesn't run on batches of another.
func TestKeepRefusesBatchesOfAnotherSchema(t *testing.T) {
	t.Parallel()
	f, err := filter.Bind(filter.Compare{Column: "i64", Op: filter.Equal, Value: filter.Int(1)}, every)
	if err != nil {
		t.Fatal(err)
	}
	other := arrow.NewSchema([]arrow.Field{{Name: "i64", Type: arrow.PrimitiveTypes.Int64}}, nil)
	rows := batch(rand.New(rand.NewPCG(1, 2)), memory.DefaultAllocator, other, 3)
	defer rows.Release()
	if _, _, err := f.Keep(rows); err == nil {
		t.Error("the filter ran")
	}
}

func TestStringsAreForPeople(t *testing.T) {
	t.Parallel()
	p := filter.Or{
		filter.And{filter.In{Column: "region", Values: []filter.Value{filter.String("eu"), filter.Int(2)}}, filter.NotTrue{Of: filter.Column{Name: "_erased"}}},
		filter.IsNull{Column: "a b", Not: true}, filter.Text{Column: "t", Op: filter.Starts, Value: "x"},
		filter.CompareColumns{Left: "a", Op: filter.Less, Right: "b"}, filter.Compare{Column: "c", Op: filter.NotEqual, Value: filter.Bool(true)},
	}
	want := `(region in {"eu", 2} and not (_erased)) or "a b" is not null or t starts "x" or a < b or c != true`
	if got := p.String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if diff := cmp.Diff([]string{"region", "_erased", "a b", "t", "a", "b", "c"}, filter.Columns(p)); diff != "" {
		t.Error(diff)
	}
}
