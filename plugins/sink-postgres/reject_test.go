package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

func changesOf(schema *arrow.Schema, stream string) sdk.SchemaChange {
	key := []string{schema.Field(0).Name}
	return sdk.SchemaChange{Stream: stream, Version: 1, Schema: change.Schema(schema, key), Key: key}
}

func TestLastRowOfAKeyWins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sink, _ := s.begin(t, Config{}, sdk.Upsert, 1, ordersStream("id"))
	none(t, write(t, sink, "orders", 1, record(t, orders, `{"id":1,"note":"a"}`, `{"id":2,"note":"b"}`, `{"id":1,"note":"c"}`)))
	none(t, write(t, sink, "orders", 1, record(t, orders, `{"id":2,"note":"d"}`)))
	none(t, commit(t, sink, mark(1, 1)))
	none(t, write(t, sink, "orders", 1, record(t, orders, `{"id":2}`, `{"id":3,"note":"e"}`)))
	none(t, commit(t, sink, mark(1, 2)))
	s.want(t, "select * from orders order by id", "(1,c)", "(2,)", "(3,e)")
}

// What a check refuses is known at the commit alone; the row's key keeps what the changes before it came to.
func TestRowsThatACommitRefusesComeBackEachTime(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table orders (id int8 primary key, note text check (note not like 'bad%'))", "insert into orders values (9, 'old')")
	stream := changesOf(orders, "orders")
	sink, _ := s.begin(t, Config{}, sdk.Upsert, 1, stream, sdk.SchemaChange{Stream: "items", Version: 1, Schema: orders, Key: []string{"id"}})
	none(t, write(t, sink, "items", 1, numbered(1, 5)))
	none(t, write(t, sink, "orders", 1, record(t, stream.Schema, `{"id":1,"note":"a","_op":1}`, `{"id":1,"note":"bad 1","_op":2}`, `{"id":2,"note":"bad 2","_op":1}`,
		`{"id":3,"note":"c","_op":1}`, `{"id":9,"note":"bad 3","_op":2}`, `{"id":4,"note":"bad 4","_op":2,"_before":{"id":3}}`, `{"id":77,"_op":2,"_unchanged":["note"]}`)))
	rejected := commit(t, sink, mark(1, 1))
	var got []string
	for _, r := range rejected {
		got = append(got, fmt.Sprint(r.Stream, " ", r.Row, " ", r.Code, " ", strings.Contains(string(r.Raw), `"note":`)))
	}
	want := []string{"orders 6 check true", "orders 7 check true", "orders 9 check true", "orders 10 check true", "orders 11 incomplete true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s.want(t, "select * from orders order by id", "(1,a)", "(3,c)", "(9,old)")
	again, last := s.begin(t, Config{}, sdk.Upsert, 2, stream)
	repeated := mark(2, last.Seq)
	if diff := cmp.Diff(rejected, commit(t, again, repeated)); diff != "" {
		t.Error(diff)
	}
	none(t, commit(t, again, mark(2, 2)))
}

func TestUniqueValuesMayMoveBetweenRows(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table orders (id int8 primary key, note text unique)", "insert into orders select i, 'n' || i from generate_series(1, 6) i")
	stream := changesOf(orders, "orders")
	sink, _ := s.begin(t, Config{}, sdk.Upsert, 1, stream)
	none(t, write(t, sink, "orders", 1, record(t, stream.Schema, `{"id":3,"note":"free","_op":2}`, `{"id":2,"note":"n3","_op":2}`, `{"id":1,"note":"n2","_op":2}`,
		`{"id":5,"_op":3}`, `{"id":4,"note":"n5","_op":2}`)))
	none(t, commit(t, sink, mark(1, 1)))
	s.want(t, "select * from orders order by id", "(1,n2)", "(2,n3)", "(3,free)", "(4,n5)", "(6,n6)")
	none(t, write(t, sink, "orders", 1, record(t, stream.Schema, `{"id":1,"note":"n6","_op":2}`)))
	if rejected := commit(t, sink, mark(1, 2)); len(rejected) != 1 || rejected[0].Code != "not_unique" {
		t.Errorf("%+v", rejected)
	}
}

func TestTablesFollowTheirForeignKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table parents (id int8 primary key, note text)", "create table children (id int8 primary key, parent int8 references parents)",
		"insert into parents values (1, 'a'), (2, 'b'), (3, 'c')", "insert into children values (10, 1), (20, 2)")
	children := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, field("parent", arrow.PrimitiveTypes.Int64)}, nil)
	parent, child := changesOf(orders, "parents"), changesOf(children, "children")
	sink, _ := s.begin(t, Config{}, sdk.Upsert, 1, child, parent)
	none(t, write(t, sink, "children", 1, record(t, child.Schema, `{"id":30,"parent":4,"_op":1}`, `{"id":10,"parent":4,"_op":2}`, `{"id":20,"_op":3}`, `{"id":40,"parent":99,"_op":1}`)))
	none(t, write(t, sink, "parents", 1, record(t, parent.Schema, `{"id":4,"note":"d","_op":1}`, `{"id":1,"_op":3}`, `{"id":2,"_op":3}`)))
	rejected := commit(t, sink, mark(1, 1))
	if len(rejected) != 1 || rejected[0].Code != "foreign_key" || rejected[0].Row != 3 {
		t.Errorf("%+v", rejected)
	}
	s.want(t, "select * from parents order by id", "(3,c)", "(4,d)")
	s.want(t, "select * from children order by id", "(10,4)", "(30,4)")
	none(t, write(t, sink, "parents", 1, record(t, parent.Schema, `{"id":4,"_op":3}`, `{"id":3,"_op":3}`)))
	if rejected := commit(t, sink, mark(1, 2)); len(rejected) != 1 || rejected[0].Code != "foreign_key" || rejected[0].Row != 0 {
		t.Errorf("%+v", rejected)
	}
	s.want(t, "select id from parents", "(4)")
	none(t, write(t, sink, "parents", 1, record(t, parent.Schema, `{"_op":4}`)))
	if rejected := commit(t, sink, mark(1, 3)); len(rejected) != 1 || rejected[0].Code != "foreign_key" {
		t.Errorf("%+v", rejected)
	}
	none(t, write(t, sink, "parents", 1, record(t, parent.Schema, `{"_op":4}`)))
	none(t, write(t, sink, "children", 1, record(t, child.Schema, `{"_op":4}`)))
	none(t, commit(t, sink, mark(1, 4)))
	s.want(t, "select id from parents union select id from children")
}

func TestChangesThatMakeNoSenseAreRejected(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table bare (id int8, note text)")
	stream, bare := changesOf(orders, "orders"), sdk.SchemaChange{Stream: "bare", Version: 1, Schema: change.Schema(orders, nil)}
	sink, _ := s.begin(t, Config{}, sdk.Upsert, 1, stream, bare)
	for _, c := range []struct {
		stream string
		rows   []string
		want   []string
	}{
		{"orders", []string{`{"id":1,"_op":1}`, `{"id":2,"_op":9}`, `{"note":"a","_op":2}`, `{"_op":3}`}, []string{"1 malformed", "2 not_null", "3 not_null"}},
		{"bare", []string{`{"id":1,"_op":1}`, `{"id":1,"_op":0}`, `{"id":2,"_op":2}`, `{"_op":3}`}, []string{"2 no_key", "3 no_key"}},
	} {
		var got []string
		for _, r := range write(t, sink, c.stream, 1, record(t, stream.Schema, c.rows...)) {
			got = append(got, fmt.Sprint(r.Row, " ", r.Code))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.stream, got, c.want)
		}
	}
	none(t, commit(t, sink, mark(1, 1)))
	s.want(t, "select * from bare", "(1,)", "(1,)")
	none(t, write(t, sink, "bare", 1, record(t, stream.Schema, `{"id":5,"_op":1}`, `{"_op":4}`, `{"id":6,"_op":1}`)))
	none(t, commit(t, sink, mark(1, 2)))
	s.want(t, "select * from bare", "(6,)")
}

func TestAppendKeepsChangesAsRows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stream := changesOf(orders, "orders")
	sink, _ := s.begin(t, Config{}, sdk.Append, 1, stream)
	none(t, write(t, sink, "orders", 1, record(t, stream.Schema, `{"id":1,"note":"a","_op":1,"_pos":"AQI=","_tx_seq":1,"_ts":"2024-02-29T12:00:00Z"}`,
		`{"id":2,"_op":2,"_before":{"id":1},"_unchanged":["note"]}`, `{"_op":4}`)))
	none(t, commit(t, sink, mark(1, 1)))
	s.want(t, `select id, note, _op, _pos, _tx_seq, _ts at time zone 'UTC', _before, _unchanged from orders order by _op`,
		`(1,a,1,"\\x0102",1,"2024-02-29 12:00:00",,)`, `(2,,2,,,,"{""id"": 1, ""note"": null}",{note})`, `(,,4,,,,,)`)
}

func TestReadersNeverSeeAReplacedTableEmpty(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sink, _ := s.begin(t, Config{}, sdk.Overwrite, 1, ordersStream())
	none(t, write(t, sink, "orders", 1, numbered(1, 3)))
	none(t, commit(t, sink, mark(1, 1)))
	reader := s.connect(t)
	var before int
	if err := reader.QueryRow(t.Context(), "begin isolation level repeatable read").Scan(); err == nil {
		t.Fatal("begin gives rows")
	}
	if _, err := reader.Exec(t.Context(), "select 1 from orders"); err != nil {
		t.Fatal(err)
	}
	none(t, write(t, sink, "orders", 1, numbered(10, 2)))
	s.want(t, "select count(*) from orders", "(3)")
	none(t, commit(t, sink, mark(1, 2)))
	s.want(t, "select id from orders order by id", "(10)", "(11)")
	if err := reader.QueryRow(t.Context(), "select count(*) from orders").Scan(&before); err != nil || before != 3 {
		t.Errorf("%d rows in a snapshot from before, %v", before, err)
	}
	next := s.open(t, Config{}, sdk.Overwrite) // it hears of no stream, as there are no rows
	if _, err := next.Begin(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	none(t, commit(t, next, mark(2, 3)))
	s.want(t, "select id from orders")
}
