package value

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/internal/pgtest"
)

// TestTimesThatCannotBeHeldBecomeWhatTheOperatorChose compares with the server's own numbers of the last and first finite values.
func TestTimesThatCannotBeHeldBecomeWhatTheOperatorChose(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	for pg, c := range map[string]struct{ values, last, first string }{
		"date":        {"('infinity'), ('-infinity')", "(date '5874897-12-31' - date '1970-01-01')", "(date '4714-11-24 BC' - date '1970-01-01')"},
		"timestamp":   {"('infinity'), ('-infinity'), ('294270-01-01')", "9223372036854775806", "extract(epoch from timestamp '4714-11-24 BC')::int8 * 1000000"},
		"timestamptz": {"('infinity'), ('-infinity'), ('294270-01-01')", "9223372036854775806", "extract(epoch from timestamptz '4714-11-24 00:00+00 BC')::int8 * 1000000"},
		"time":        {"('24:00')", "extract(epoch from time '23:59:59.999999') * 1000000", "0"},
	} {
		t.Run(pg, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, dsn)
			execute(t, conn, "create temp table t (id serial, v "+pg+"); insert into t (v) values "+c.values)
			bounds := ask(t, conn, "select ("+c.last+")::int8, ("+c.first+")::int8")[0]
			for _, unheld := range []Unheld{UnheldNull, UnheldClamp, UnheldError} {
				column := columnOf(t, conn, Options{Unheld: unheld})
				for form, got := range map[string]decoded{"binary": asBinary(t, conn, column, 1<<20), "text": asText(t, conn, column)} {
					for i := range got.values.Len() {
						want := []any{string(bounds[0]), string(bounds[1]), string(bounds[0])}[i]
						if unheld != UnheldClamp {
							want = nil
						}
						if p := plain(t, got.values, i); p != want || (got.errs[i] != nil) != (unheld == UnheldError) {
							t.Errorf("%s, %s: value %d is %v and error %v, want %v", unheld, form, i, p, got.errs[i], want)
						}
					}
				}
			}
		})
	}
}

func TestArraysOfAnyShapeAreKeptAsText(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Shared(t).Database(t))
	values := []string{"{{1,2},{3,4}}", "[0:1]={1,2}", "{}", "{1,NULL}"}
	execute(t, conn, "create temp table t (id serial, v int[]); insert into t (v) values ('"+strings.Join(values, "'), ('")+"'), (null)")
	column := columnOf(t, conn, Options{Arrays: ArraysText})
	for _, got := range []decoded{asBinary(t, conn, column, 1<<20), asText(t, conn, column)} {
		for i := range got.values.Len() {
			var want any
			if i < len(values) {
				want = values[i]
			}
			if p := plain(t, got.values, i); p != want || got.errs[i] != nil {
				t.Errorf("%v and error %v, want %v", p, got.errs[i], want)
			}
		}
	}
}

func TestFieldsSayWhatTheyAreInPostgreSQL(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Shared(t).Database(t))
	execute(t, conn, `create schema shop; create type shop.state as enum ('new', 'pa"id'); create domain cents as int8;
		create table many (v int)`)
	for pg, want := range map[string]map[string]string{
		"numeric(12,2)": {MetaType: "numeric(12,2)"}, "numeric(12,2)[]": {MetaType: "numeric(12,2)[]"}, "varchar(7)": {MetaType: "varchar(7)"},
		"jsonb": {MetaType: "jsonb", MetaFormat: "json"}, "shop.state": {MetaType: "shop.state", MetaLabels: `["new","pa\"id"]`}, "cents": {MetaType: "cents"},
		"timestamp(3)": {MetaType: "timestamp(3)"}, "text": {MetaType: "text"}, "xml": {MetaType: "xml"},
	} {
		execute(t, conn, "drop table if exists t; create temp table t (id int, v "+pg+")")
		f := columnOf(t, conn, Options{}).Field()
		if diff := cmp.Diff(want, f.Metadata.ToMap()); diff != "" || f.Name != "v" || !f.Nullable {
			t.Errorf("%s: %s", pg, diff)
		}
	}
}

// TestConnectionForReplicationLoadsTypesAndHasTheSettings says that what follows the log prints as other sessions do.
func TestConnectionForReplicationLoadsTypesAndHasTheSettings(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Shared(t).Database(t)+"?replication=database")
	catalog := NewCatalog()
	if err := catalog.Load(t.Context(), conn, 1115, 1700); err != nil {
		t.Fatal(err)
	}
	if c, err := catalog.Column("v", 1115, -1, Options{}); err != nil || c.Type.ID() != arrow.LIST {
		t.Errorf("column %v, error %v", c, err)
	}
	for name, want := range Session() {
		if got := string(ask(t, conn, "show "+name)[0][0]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := catalog.Load(cancelled, conn, 25); !errors.Is(err, context.Canceled) {
		t.Errorf("a load that is cancelled: %v", err)
	}
	if _, err := catalog.Column("v", 25, -1, Options{}); err == nil {
		t.Error("a load that failed has left types")
	}
}

// TestNestedValuesDoNotGrowWithoutBound has values that are small on the wire.
func TestNestedValuesDoNotGrowWithoutBound(t *testing.T) {
	t.Parallel()
	null := []byte{0xff, 0xff, 0xff, 0xff}
	people := append([]byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0x4e, 0x21, 0, 0, 0, 200, 0, 0, 0, 1}, bytes.Repeat(null, 200)...)
	numbers := []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x06, 0xa4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 10, 0, 1, 0x7f, 0xff, 0, 0, 0, 0, 0, 1}
	for _, c := range []struct {
		oid  uint32
		text bool
		raw  []byte
	}{
		{oidPeople, false, people}, {1231, false, numbers}, {oidPeople, true, []byte("{" + strings.Repeat("NULL,", 200) + "NULL}")},
		{oidTags, true, []byte("{" + strings.Repeat("1,", 2000) + "1}")}, {oidHstore, true, []byte(strings.Repeat(`"a"=>NULL, `, 1000) + `"a"=>"b"`)},
	} {
		column := fixtureColumn(t, c.oid)
		decode := column.kind.codec.binary
		if c.text {
			decode = column.kind.codec.text
		}
		for left, want := range map[int]bool{2000: true, 1 << 20: false} {
			b := newBuilder(t, column.Type)
			err := decode(&work{left: left}, b, c.raw)
			if errors.Is(err, errWork) != want && !strings.Contains(fmt.Sprint(err), errWork.reason) || (err != nil) != want || b.Len() != 1 {
				t.Errorf("type %d with %d bytes: error %v and %d values", c.oid, left, err, b.Len())
			}
			b.NewArray().Release()
		}
	}
}

func TestFullBuilderIsNoFault(t *testing.T) {
	t.Parallel()
	for _, oid := range []uint32{25, 17} {
		column := fixtureColumn(t, oid)
		b := newBuilder(t, column.Type)
		sized := b.(interface{ ResizeData(int) })
		sized.ResizeData(math.MaxInt32 - 1)
		err := column.AppendBinary(b, []byte("ab"))
		var f *Fault
		if !errors.Is(err, ErrFull) || errors.As(err, &f) || b.Len() != 1 {
			t.Errorf("error %v", err)
		}
		sized.ResizeData(0)
	}
}

func TestTypesThatTheServerDoesNotKnowAreText(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Shared(t).Database(t))
	catalog := NewCatalog()
	if err := catalog.Load(t.Context(), conn, 4_000_000_000); err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Column("gone", 4_000_000_000, -1, Options{})
	if err != nil || c.Type.ID() != arrow.STRING {
		t.Errorf("column %v, error %v", c, err)
	}
	var unknown *UnknownTypeError
	if _, err := catalog.Column("other", 23, -1, Options{}); !errors.As(err, &unknown) || unknown.OID != 23 {
		t.Errorf("a type that was not loaded: %v", err)
	}
}

func TestTypesBeyondBoundsAreText(t *testing.T) {
	t.Parallel()
	types := fixture()
	types[5000] = &pgType{name: "node", schema: "public", variety: 'c', attributes: []attribute{{"name", 25, -1}, {"children", 5001, -1}}}
	types[5001] = &pgType{name: "_node", schema: "public", variety: 'b', array: true, element: 5000, delimiter: ','}
	for i := range uint32(60) { // each of them domains over the next
		types[6000+i] = &pgType{name: "d", schema: "public", variety: 'd', base: 6001 + i, typmod: -1}
	}
	types[6060] = types[23]
	wide := &pgType{name: "wide", schema: "public", variety: 'c'}
	for range maxFields + 1 {
		wide.attributes = append(wide.attributes, attribute{"a", 23, -1})
	}
	types[7000] = wide
	for i := range uint32(30) { // each of them has twice the attributes of the one before it
		types[7001+i] = &pgType{name: "double", schema: "public", variety: 'c', attributes: []attribute{{"a", 7000 + i, -1}, {"b", 7000 + i, -1}}}
	}
	types[7000+15] = &pgType{name: "leaf", schema: "public", variety: 'c', attributes: []attribute{{"a", 23, -1}}}
	for oid, want := range map[uint32]string{
		5000: "struct<name: utf8 nullable, children: list<element: utf8, nullable> nullable>", 6000: "utf8", 6050: "int32", 7000: "utf8", 7030: "utf8",
	} {
		c, err := (&Catalog{types: types}).Column("v", oid, -1, Options{})
		if err != nil || c.Type.String() != want {
			t.Errorf("type %d: column %+v, error %v", oid, c, err)
		}
	}
}

func TestFaultsNameThePartThatIsWrong(t *testing.T) {
	t.Parallel()
	c := fixtureColumn(t, oidPerson)
	b := newBuilder(t, c.Type)
	for text, want := range map[string]string{
		`(x,"(1,""{1,NaN}"")",)`:  `column "v.home.tags[2]" (person): expected an integer of the column's size: value "NaN"`,
		`(x,"(1,""{{1}}"")",)`:    `column "v.home.tags" (person): a list can't hold an array that has several dimensions or does not begin at 1: value "{{1}}"`,
		`(x,"(1,{})",2024-02-30)`: `column "v.born" (person): expected a date such as 2024-02-29: value "2024-02-30"`,
		`(x`:                      `column "v" (person): expected a row: value "(x"`,
		`(x,)`:                    `column "v" (person): expected a row of the composite type's attributes: value "(x,)"`,
		"(\xff,,)":                `column "v.name" (person): the text is not UTF-8: value "\xff"`,
		strings.Repeat("é", 40):   `column "v" (person): expected a row: value "` + strings.Repeat("é", 32) + `"… (80 bytes)`,
	} {
		before := b.Len()
		err := c.AppendText(b, []byte(text))
		if err == nil || err.Error() != want || b.Len() != before+1 {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
	a := b.NewArray()
	defer a.Release()
}

func TestRowsWithFaultsAreCutOut(t *testing.T) {
	t.Parallel()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	columns := []*Column{fixtureColumn(t, oidInt4), fixtureColumn(t, oidTags)}
	schema := arrow.NewSchema([]arrow.Field{columns[0].Field(), columns[1].Field()}, nil)
	b := array.NewRecordBuilder(alloc, schema)
	defer b.Release()
	var bad []int
	for i, fields := range [][][]byte{
		{{0, 0, 0, 1}, nil}, {{0, 0, 0}, nil}, {{0, 0, 0, 3}, {1}}, {nil, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23}}, {{1}, {2}},
	} {
		if err := AppendRow(columns, b.Fields(), fields); err != nil {
			bad = append(bad, i)
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	var rows int64
	for _, part := range Without(batch, bad) {
		rows += part.NumRows()
		if part.Column(0).IsValid(0) && part.Column(0).(*array.Int32).Value(0) != 1 {
			t.Errorf("a row too many: %v", part)
		}
		part.Release()
	}
	if diff := cmp.Diff([]int{1, 2, 4}, bad); diff != "" || rows != 2 {
		t.Errorf("%d rows are left, bad ones %v", rows, bad)
	}
}
