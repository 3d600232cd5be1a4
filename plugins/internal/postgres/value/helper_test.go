package value

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/jackc/pgx/v5/pgconn"
)

// connect opens a session with the settings that values are read with.
func connect(t testing.TB, dsn string) *pgconn.PgConn {
	t.Helper()
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams = Session()
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t testing.TB, conn *pgconn.PgConn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// ask is the rows of a query in text form.
func ask(t testing.TB, conn *pgconn.PgConn, sql string) [][][]byte {
	t.Helper()
	results, err := conn.Exec(t.Context(), sql).ReadAll()
	if err != nil || len(results) != 1 {
		t.Fatalf("%s: %d results, error %v", sql, len(results), err)
	}
	return results[0].Rows
}

// columnOf is the column v of the table t.
func columnOf(t testing.TB, conn *pgconn.PgConn, o Options) *Column {
	t.Helper()
	found := ask(t, conn, "select atttypid, atttypmod from pg_attribute where attrelid = 't'::regclass and attname = 'v'")
	oid, err := strconv.ParseUint(string(found[0][0]), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	typmod, err := strconv.ParseInt(string(found[0][1]), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	catalog := NewCatalog()
	if err := catalog.Load(t.Context(), conn, uint32(oid)); err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Column("v", uint32(oid), int32(typmod), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// decoded is what became of a column's values: an array, and an error for each that failed.
type decoded struct {
	values arrow.Array
	errs   []error
}

func newBuilder(t testing.TB, typ arrow.DataType) array.Builder {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	b := array.NewBuilder(alloc, typ)
	t.Cleanup(func() {
		b.Release()
		alloc.AssertSize(t, 0)
	})
	return b
}

func finish(t testing.TB, b array.Builder, errs []error) decoded {
	t.Helper()
	if b.Len() != len(errs) {
		t.Fatalf("%d values are appended, expected %d", b.Len(), len(errs))
	}
	values := b.NewArray()
	t.Cleanup(values.Release)
	return decoded{values, errs}
}

// asBinary reads the column as COPY BINARY gives it, cut into pieces of a size.
func asBinary(t testing.TB, conn *pgconn.PgConn, c *Column, piece int) decoded {
	t.Helper()
	b := newBuilder(t, c.Type)
	var errs []error
	stream := NewCopy(1, 1<<20, func(r *Row) error {
		if r.Fields[0] == nil {
			b.AppendNull()
			errs = append(errs, nil)
			return nil
		}
		errs = append(errs, c.AppendBinary(b, r.Fields[0]))
		return nil
	})
	sql := fmt.Sprintf("copy (select %s from t order by id) to stdout (format binary)", c.SelectAs("v"))
	if _, err := conn.CopyTo(t.Context(), &cutter{to: stream, size: piece}, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	return finish(t, b, errs)
}

// asText reads the column as the server prints it.
func asText(t testing.TB, conn *pgconn.PgConn, c *Column) decoded {
	t.Helper()
	b := newBuilder(t, c.Type)
	var errs []error
	for _, row := range ask(t, conn, "select v from t order by id") {
		if row[0] == nil {
			b.AppendNull()
			errs = append(errs, nil)
			continue
		}
		errs = append(errs, c.AppendText(b, row[0]))
	}
	return finish(t, b, errs)
}

// cutter passes on what is written in pieces, whose memory is not what was written.
type cutter struct {
	to   *Copy
	size int
}

func (c *cutter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(c.size, len(rest))
		piece := bytes.Clone(rest[:n])
		if _, err := c.to.Write(piece); err != nil {
			return 0, err
		}
		clear(piece)
		rest = rest[n:]
	}
	return len(p), nil
}

// plain is a value as the server's to_json words it, with numbers as text, and times as numbers of days or microseconds since 1970.
func plain(t testing.TB, a arrow.Array, i int) any {
	t.Helper()
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Boolean:
		return a.Value(i)
	case *array.Date32:
		return strconv.Itoa(int(a.Value(i)))
	case *array.Timestamp:
		return strconv.FormatInt(int64(a.Value(i)), 10)
	case *array.Time64:
		return strconv.FormatInt(int64(a.Value(i)), 10)
	case *array.Decimal128:
		return a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.String:
		return a.Value(i)
	case *array.Binary:
		return `\x` + hex.EncodeToString(a.Value(i))
	case *extensions.UUIDArray:
		return a.Value(i).String()
	case *array.Map:
		from, to := a.ValueOffsets(i)
		entries := map[string]any{}
		for k := from; k < to; k++ {
			entries[a.Keys().(*array.String).Value(int(k))] = plain(t, a.Items(), int(k))
		}
		return entries
	case *array.List:
		from, to := a.ValueOffsets(i)
		list := []any{}
		for k := from; k < to; k++ {
			list = append(list, plain(t, a.ListValues(), int(k)))
		}
		return list
	case *array.Struct:
		fields := map[string]any{}
		for k, f := range a.DataType().(*arrow.StructType).Fields() {
			fields[f.Name] = plain(t, a.Field(k), i)
		}
		return fields
	}
	return plainNumber(t, a, i)
}

func plainNumber(t testing.TB, a arrow.Array, i int) any {
	t.Helper()
	switch a := a.(type) {
	case *array.Int32:
		return strconv.Itoa(int(a.Value(i)))
	case *array.Int64:
		return strconv.FormatInt(a.Value(i), 10)
	case *array.Float32:
		return float{float64(a.Value(i)), 32}
	case *array.Float64:
		return float{a.Value(i), 64}
	}
	t.Fatalf("no plain form of %s", a.DataType())
	return nil
}

// float is a number that may be written in several ways.
type float struct {
	value float64
	bits  int
}

// oracle reads what the server says of a value as JSON.
func oracle(t testing.TB, text []byte) any {
	t.Helper()
	if text == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return worded(v)
}

func worded(v any) any {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case []any:
		for i := range v {
			v[i] = worded(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = worded(v[k])
		}
	}
	return v
}

// same compares, floats as numbers.
func same(got, want any) bool {
	switch g := got.(type) {
	case float:
		text, ok := want.(string)
		if !ok {
			return false
		}
		v, err := strconv.ParseFloat(text, g.bits)
		sign := math.Signbit(v) == math.Signbit(g.value)
		return err == nil && ((v == g.value && sign) || (math.IsNaN(v) && math.IsNaN(g.value)))
	case []any:
		w, ok := want.([]any)
		if !ok || len(w) != len(g) {
			return false
		}
		for i := range g {
			if !same(g[i], w[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		w, ok := want.(map[string]any)
		if !ok || len(w) != len(g) {
			return false
		}
		for k := range g {
			if !same(g[k], w[k]) {
				return false
			}
		}
		return true
	}
	return got == want
}
