package encode

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/internal/pgtest"
)

// into tries to write values of an Arrow type, given as text, to a column; it prints what is there afterwards, or the fault's code.
func into(t *testing.T, conn *pgx.Conn, dt arrow.DataType, sql string, values ...string) []string {
	t.Helper()
	b := array.NewBuilder(memory.DefaultAllocator, dt)
	defer b.Release()
	for _, v := range values {
		if err := b.AppendValueFromString(v); err != nil {
			t.Fatalf("%s: %v", v, err)
		}
	}
	a := b.NewArray()
	defer a.Release()
	execute(t, conn, "drop table if exists e, e_raw; create table e (id int8, v "+sql+")")
	column, err := New(arrow.Field{Name: "v", Type: dt}, columnType(t, conn, "e"))
	if unfit, ok := errors.AsType[*UnfitError](err); ok {
		return []string{"unfit: " + unfit.Type}
	}
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(values))
	for _, f := range load(t, conn, column, a, "e") {
		out[f.Row] = f.Fault.Code
	}
	rows, err := conn.Query(t.Context(), "select id, v::text from e")
	if err != nil {
		t.Fatal(err)
	}
	var id int
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&id, &text}, func() error { out[id] = text; return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestValuesAreHeldExactlyOrNotAtAll(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Shared(t).Database(t))
	execute(t, conn, "create type mood as enum ('sad', 'ok')", "create domain price as numeric(6,2)")
	decimal := &arrow.Decimal128Type{Precision: 12, Scale: 4}
	ns := &arrow.TimestampType{Unit: arrow.Nanosecond}
	for _, c := range []struct {
		dt          arrow.DataType
		sql         string
		in, expects []string
	}{
		{arrow.PrimitiveTypes.Int64, "smallint", []string{"32767", "32768", "-32769"}, []string{"32767", "out_of_range", "out_of_range"}},
		{arrow.PrimitiveTypes.Int64, "oid", []string{"4294967295", "-1"}, []string{"4294967295", "out_of_range"}},
		{arrow.PrimitiveTypes.Uint64, "bigint", []string{"9223372036854775807", "18446744073709551615"}, []string{"9223372036854775807", "out_of_range"}},
		{arrow.PrimitiveTypes.Uint64, "numeric", []string{"18446744073709551615"}, []string{"18446744073709551615"}},
		{arrow.PrimitiveTypes.Int64, "numeric(5,2)", []string{"999", "1000", "-999"}, []string{"999.00", "out_of_range", "-999.00"}},
		{arrow.PrimitiveTypes.Int64, "double precision", []string{"9007199254740992", "9007199254740993"}, []string{"9.007199254740992e+15", "precision"}},
		{arrow.PrimitiveTypes.Int64, "text", []string{"-5"}, []string{"-5"}},
		{arrow.PrimitiveTypes.Int64, "date", []string{"1"}, []string{"unfit: date"}},
		{arrow.PrimitiveTypes.Float64, "real", []string{"0.5", "0.1", "NaN", "-Inf"}, []string{"0.5", "precision", "NaN", "-Infinity"}},
		{arrow.PrimitiveTypes.Float64, "numeric", []string{"0.1", "1e300", "NaN", "-0"}, []string{"0.1", "1" + zeros(300), "NaN", "0"}},
		{arrow.PrimitiveTypes.Float64, "numeric(10,2)", []string{"0.25", "0.125", "NaN"}, []string{"0.25", "precision", "NaN"}},
		{arrow.PrimitiveTypes.Float64, "varchar", []string{"1e21", "0.1"}, []string{"1e+21", "0.1"}},
		{arrow.PrimitiveTypes.Float64, "bigint", []string{"1"}, []string{"unfit: bigint"}},
		{decimal, "numeric(8,2)", []string{"1.5", "1.2345", "999999.9900", "1000000", "-0.0100"}, []string{"1.50", "precision", "999999.99", "out_of_range", "-0.01"}},
		{decimal, "integer", []string{"7.0000", "7.5"}, []string{"7", "precision"}},
		{decimal, "price", []string{"1234.50", "12345"}, []string{"1234.50", "out_of_range"}},
		{decimal, "text", []string{"-0.0100", "12.5"}, []string{"-0.0100", "12.5000"}},
		{arrow.BinaryTypes.String, "numeric(6,2)", []string{"12.50", " 1e2 ", "1.234", "x", "-Infinity "}, []string{"12.50", "100.00", "precision", "malformed", "!"}},
		{arrow.BinaryTypes.String, "mood", []string{"ok"}, []string{"ok"}},
		{arrow.BinaryTypes.String, "jsonb", []string{`{"a": 1}`}, []string{`{"a": 1}`}},
		{arrow.BinaryTypes.String, "inet", []string{"10.0.0.1"}, []string{"10.0.0.1/32"}},
		{arrow.BinaryTypes.String, "bytea", []string{"a"}, []string{"unfit: bytea"}},
		{arrow.BinaryTypes.String, "text", []string{"a\x00", "\xff"}, []string{"zero_byte", "not_utf8"}},
		{arrow.BinaryTypes.Binary, "text", []string{"YQ=="}, []string{"unfit: text"}},
		{ns, "timestamp", []string{"2024-02-29 13:45:00.123456", "2024-02-29 13:45:00.123456789"}, []string{"2024-02-29 13:45:00.123456", "precision"}},
		{ns, "timestamp(3)", []string{"2024-02-29 13:45:00.123", "2024-02-29 13:45:00.1234"}, []string{"2024-02-29 13:45:00.123", "precision"}},
		{ns, "timestamptz", []string{"2024-02-29 13:45:00"}, []string{"unfit: timestamp with time zone"}},
		{ns, "text", []string{"2024-02-29 13:45:00.5"}, []string{"2024-02-29T13:45:00.5"}},
		{arrow.FixedWidthTypes.Date32, "timestamp", []string{"2024-02-29"}, []string{"2024-02-29 00:00:00"}},
		{arrow.FixedWidthTypes.Boolean, "text", []string{"true"}, []string{"true"}},
		{arrow.ListOf(arrow.BinaryTypes.String), "inet[]", []string{`["10.0.0.1", null]`}, []string{"{10.0.0.1,NULL}"}},
		{arrow.ListOf(arrow.PrimitiveTypes.Int64), "jsonb", []string{`[1, null]`}, []string{"[1, null]"}},
		{arrow.ListOf(arrow.PrimitiveTypes.Int64), "smallint[]", []string{`[1, 70000]`, `[]`}, []string{"out_of_range", "{}"}},
	} {
		if c.expects[len(c.expects)-1] == "!" { // the server's word counts, and here it refuses the row
			c.in, c.expects = c.in[:len(c.in)-1], c.expects[:len(c.expects)-1]
		}
		got := into(t, conn, c.dt, c.sql, c.in...)
		if fmt.Sprint(got) != fmt.Sprint(c.expects) {
			t.Errorf("%s into %s: %q, want %q", c.dt, c.sql, got, c.expects)
		}
	}
}

func zeros(n int) string { return fmt.Sprintf("%0*d", n, 0) }

// TestNumbersInAnyPlaceAreWhatTheServerReads holds the binary form of numerics against the server's reading of their text.
func TestNumbersInAnyPlaceAreWhatTheServerReads(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Shared(t).Database(t))
	r := rand.New(rand.NewPCG(1, 2))
	var values []string
	for range 3000 {
		digits := ""
		for range 1 + r.IntN(60) {
			digits += strconv.Itoa(r.IntN(10))
		}
		values = append(values, fmt.Sprintf("%s%se%d", []string{"", "-", "+"}[r.IntN(3)], digits, r.IntN(120)-70))
		values = append(values, fmt.Sprintf("%g", math.Float64frombits(r.Uint64())))
		values = append(values, fmt.Sprintf("%d.%0*d", r.IntN(100000), 1+r.IntN(9), r.IntN(10000)))
	}
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(values, nil)
	a := b.NewArray()
	defer a.Release()
	execute(t, conn, "create table n (id int8, v numeric)")
	column, err := New(arrow.Field{Name: "v", Type: a.DataType()}, columnType(t, conn, "n"))
	if err != nil || column.Wire != "" {
		t.Fatal(err)
	}
	if faults := load(t, conn, column, a, "n"); len(faults) > 0 {
		t.Fatal(values[faults[0].Row], faults[0].Fault)
	}
	differ(t, conn, "select format('%s: %s', w, v) from n join unnest($1::text[]) with ordinality u(w, o) on o = id + 1 where v::text <> w::numeric::text", values)
}
