package encode

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/internal/postgres/typetest"
	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Stopping(m)) }

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams = value.Session()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t testing.TB, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// columnType is the type of column v of a table.
func columnType(t testing.TB, conn *pgx.Conn, table string) Type {
	t.Helper()
	var oid uint32
	var mod int32
	if err := conn.QueryRow(t.Context(), "select atttypid, atttypmod from pg_attribute where attrelid = $1::regclass and attname = 'v'", table).Scan(&oid, &mod); err != nil {
		t.Fatal(err)
	}
	typ, err := LookUp(t.Context(), conn, oid, mod)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

// load copies an array into the columns (id, v) of a table, by way of a cast if that is needed, and returns the rows that can't be encoded.
func load(t testing.TB, conn *pgx.Conn, c *Column, a arrow.Array, table string) []RowFault {
	t.Helper()
	id := Integer(func(row int) (int64, bool) { return int64(row), true })
	rows := NewRows([]Cells{id, c.Cells(a)}, 0, a.Len(), nil)
	to := table
	if c.Wire != "" {
		to = table + "_raw"
		execute(t, conn, "create temp table "+to+" (id int8, v "+c.Wire+")")
	}
	if _, err := conn.PgConn().CopyFrom(t.Context(), rows, "copy "+to+" (id, v) from stdin (format binary)"); err != nil {
		t.Fatal(err)
	}
	if c.Wire != "" {
		execute(t, conn, "insert into "+table+" select id, "+c.Cast("v")+" from "+to)
	}
	return rows.Faults()
}

// read is column v of table t, with a null for each value that Arrow can't hold.
func read(t testing.TB, conn *pgx.Conn) (arrow.Array, arrow.Field) {
	t.Helper()
	var oid uint32
	var mod int32
	if err := conn.QueryRow(t.Context(), "select atttypid, atttypmod from pg_attribute where attrelid = 't'::regclass and attname = 'v'").Scan(&oid, &mod); err != nil {
		t.Fatal(err)
	}
	catalog := value.NewCatalog()
	if err := catalog.Load(t.Context(), conn.PgConn(), oid); err != nil {
		t.Fatal(err)
	}
	column, err := catalog.Column("v", oid, mod, value.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewBuilder(memory.DefaultAllocator, column.Type)
	defer b.Release()
	stream := value.NewCopy(1, 1<<24, func(r *value.Row) error {
		return value.AppendRow([]*value.Column{column}, []array.Builder{b}, r.Fields)
	})
	var whole bytes.Buffer
	if _, err := conn.PgConn().CopyTo(t.Context(), &whole, "copy (select "+column.SelectAs("v")+" from t order by id) to stdout (format binary)"); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write(whole.Bytes()); err != nil {
		t.Fatal(err)
	}
	return b.NewArray(), column.Field()
}

// unfit are the types that can't be written as what they were read as: the sink's own tables have jsonb for them.
var unfit = []string{"domain of array", "composite[]"}

func TestValuesGoBackAsTheyCame(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	execute(t, connect(t, dsn), "create extension citext", "create extension hstore", "create extension ltree", "create extension cube")
	for i, c := range typetest.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, dsn)
			execute(t, conn, fmt.Sprintf("create schema s%d; set search_path = s%[1]d, public; %s", i, c.Setup), "create table t (id int8, v "+c.PG+")", "create table back (like t)")
			for i, v := range c.Values {
				if code, _ := typetest.Code(v); code == "" && (c.Name != "regclass" || v != "0") { // the cast from text does not know "-"
					execute(t, conn, fmt.Sprintf("insert into t values (%d, %s)", i, v))
				}
			}
			execute(t, conn, "update t set id = r.n - 1 from (select id, row_number() over (order by id) n from t) r where t.id = r.id")
			a, field := read(t, conn)
			defer a.Release()
			column, err := New(field, columnType(t, conn, "back"))
			if slices.Contains(unfit, c.Name) {
				if err == nil {
					t.Error("it fits")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if faults := load(t, conn, column, a, "back"); len(faults) > 0 {
				t.Fatal(faults[0].Fault)
			}
			text := "%s.v::text"
			if c.Name == "xml" {
				text = "format('%%s', %s.v)" // the cast keeps what the source does not print
			}
			differ(t, conn, "select format('%s: %s, came back as %s', t.id, t.v, b.v) from t full join back b using (id) where "+
				fmt.Sprintf(text, "t")+" is distinct from "+fmt.Sprintf(text, "b"))
		})
	}
}

// differ fails with what a query finds.
func differ(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(found) > 0 {
		t.Errorf("%d differ, the first: %s", len(found), found[0])
	}
}

// TestEveryArrowTypeHasATableOfItsOwn holds the binary form against the server's reading of the JSON that is written elsewhere.
func TestEveryArrowTypeHasATableOfItsOwn(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Shared(t).Database(t))
	for i, c := range sample.Every() {
		in := sample.Input{Name: "x", Columns: []sample.Column{c}}
		record, err := in.Rows(uint64(i), 0, 150)
		if err != nil {
			t.Fatal(err)
		}
		defer record.Release()
		sliced := record.NewSlice(7, 140)
		defer sliced.Release()
		table := "t" + strconv.Itoa(i)
		execute(t, conn, "create table "+table+" (id int8, v "+Default(record.Schema().Field(0))+")")
		column, err := New(record.Schema().Field(0), columnType(t, conn, table))
		if err != nil || column.Wire != "" {
			t.Errorf("%s into %s: %v", c.Name, Default(record.Schema().Field(0)), err)
			continue
		}
		faults := load(t, conn, column, sliced.Column(0), table)
		fine := strings.Contains(c.Name, "[ns") || strings.Contains(c.Name, "nano")
		if len(faults) > 0 && !fine {
			t.Errorf("%s: %v", c.Name, faults[0].Fault)
		}
		compareJSON(t, conn, c.Name, table, sliced.Column(0), faults)
	}
}

func compareJSON(t *testing.T, conn *pgx.Conn, name, table string, a arrow.Array, faults []RowFault) {
	t.Helper()
	var ids []int64
	var words []string
	for row := range a.Len() {
		if slices.ContainsFunc(faults, func(f RowFault) bool { return f.Row == row }) {
			continue
		}
		word, err := appendJSON(nil, a, row)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ids, words = append(ids, int64(row)), append(words, string(word))
	}
	as := "to_jsonb(v)"
	word := "w::jsonb"
	if strings.HasPrefix(Default(arrow.Field{Type: a.DataType()}), "interval") {
		word = "to_jsonb((w::jsonb #>> '{}')::interval)"
	}
	differ(t, conn, "select format('"+name+" %s: %s, JSON is %s', id, v, w) from "+table+" full join (select * from unnest($1::int8[], $2::text[]) j(id, w)) j using (id) where "+
		as+" is distinct from nullif("+word+", 'null')", ids, words)
}
