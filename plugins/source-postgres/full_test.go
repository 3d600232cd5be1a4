package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

func TestAFullReadHasEveryRowInTheOrderOfTheKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, table, rows, order string }{
		{"integer", "id int primary key", "i * 3 % 1009", "id"},
		{"text", `id text collate "en-x-icu" primary key`, "chr(97 + i % 26) || i", "id"},
		{"uuid", "id uuid primary key", "md5(i::text)::uuid", "id"},
		{"timestamp", "id timestamptz primary key", "'2000-01-01'::timestamptz + i * interval '1 h 1 us'", "id"},
		{"two columns", "id int, b text, primary key (b, id)", "i, chr(97 + i % 7)", "b, id"},
		{"quoted", `"Id ""x""" numeric(10,3) primary key`, "i + 0.001", `"Id ""x"""`},
		{"none", "id int", "i", "ctid"},
		{"partitioned", "id int primary key) partition by range (id", "i", "id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "create table t ("+c.table+")")
			if c.name == "partitioned" {
				s.exec(t, "create table t_1 partition of t for values from (0) to (400)", "create table t_2 partition of t for values from (400) to (2000)")
			}
			s.exec(t, "insert into t select "+c.rows+" from generate_series(1, 1000) i", "analyze t")
			for _, connections := range []int{1, 3} {
				r := s.read(t, Config{ChunkRows: 100, Connections: connections}, nil)
				name := one[string](t, s, "select attname::text from pg_attribute where attrelid = 't'::regclass and attnum = 1")
				want := strings.Split(one[string](t, s, fmt.Sprintf("select string_agg(%s::text, '|' order by %s) from t", `"`+strings.ReplaceAll(name, `"`, `""`)+`"`, c.order)), "|")
				got := column(streamRows(t, r, "t"), name)
				if c.name == "timestamp" {
					for i := range want {
						want[i] = strings.Replace(strings.TrimSuffix(want[i], "+00"), " ", "T", 1) + "Z"
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if c.name != "none" && len(r.Checkpoints) < 10 {
					t.Errorf("%d checkpoints", len(r.Checkpoints))
				}
			}
		})
	}
}

func TestAFullReadGoesOnFromEachCheckpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table a (id int primary key, v text)", "create table b (id int, v text)", "create table c (id text primary key)",
		"insert into a select i, 'v' || i from generate_series(1, 900) i", "insert into b select i, 'v' || i from generate_series(1, 900) i",
		"insert into c select 'k' || i from generate_series(1, 300) i", "analyze")
	config := Config{ChunkRows: 100, Connections: 2}
	whole := s.read(t, config, nil)
	total := map[string]int64{}
	for _, stream := range []string{"a", "b", "c"} {
		total[stream] = whole.Rows(stream)
	}
	if diff := cmp.Diff(map[string]int64{"a": 900, "b": 900, "c": 300}, total); diff != "" {
		t.Fatal(diff)
	}
	for i := range whole.Checkpoints {
		stop := errors.New("killed")
		n := 0
		first := &plugintest.Recorder{OnCheckpoint: func(sdk.Position) error {
			if n++; n > i {
				return stop
			}
			return nil
		}}
		source := s.source(t, config)
		if err := source.Read(t.Context(), sdk.ReadRequest{}, first); !errors.Is(err, stop) {
			t.Fatal(err)
		}
		rest := s.read(t, config, last(t, first))
		for stream, rows := range total {
			if got := first.Rows(stream) + rest.Rows(stream); got != rows {
				t.Errorf("checkpoint %d: %d rows of %s, expected %d", i, got, stream, rows)
			}
		}
		first.Release()
	}
}

func TestAFullReadIsOfOneMoment(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table a (id int primary key, v int)", "create table b (id int primary key, v int)",
		"insert into a select i, 0 from generate_series(1, 1000) i", "insert into b select i, 0 from generate_series(1, 1000) i")
	r := &plugintest.Recorder{}
	defer r.Release()
	r.OnCheckpoint = func(sdk.Position) error {
		_, err := s.sql.Exec(t.Context(), "update a set v = v + 1; update b set v = v + 1; insert into b select max(id) + 1 from b")
		return err
	}
	if err := s.source(t, Config{ChunkRows: 100, Connections: 2}).Read(t.Context(), sdk.ReadRequest{}, r); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"a", "b"} {
		rows := streamRows(t, r, stream)
		if len(rows) != 1000 {
			t.Errorf("%d rows of %s", len(rows), stream)
		}
		for _, row := range rows {
			if fmt.Sprint(row["v"]) != "0" {
				t.Fatalf("%s has %v", stream, row)
			}
		}
	}
}

func TestProjectionFilterAndNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, `create schema "My Shop"`, `create table "My Shop"."Order Lines" (id int primary key, "Größe" numeric(6,2), secret text)`,
		`insert into "My Shop"."Order Lines" select i, i / 2.0, 's' from generate_series(1, 10) i`,
		`comment on table "My Shop"."Order Lines" is 'What was ordered'`, `comment on column "My Shop"."Order Lines"."Größe" is 'in cm'`,
		"create table other (id int)", "create view v as select 1 as a")
	config := Config{Tables: []string{`"My Shop".*`, "other"}, PerTable: map[string]TableSettings{
		`"My Shop"."Order Lines"`: {Columns: []string{"id", "Größe"}, Where: `id % 2 = 0 or "Größe" = 0.5`},
	}}
	streams, err := s.source(t, config).Streams(t.Context())
	if err != nil || len(streams) != 2 || streams[0].Name != "my_shop_order_lines" || streams[0].Description != "What was ordered" {
		t.Fatalf("%+v, %v", streams, err)
	}
	fields := streams[0].Schema.Fields()
	if doc, _ := fields[1].Metadata.GetValue(sdk.MetaDoc); len(fields) != 2 || doc != "in cm" || fields[0].Nullable || !fields[1].Nullable {
		t.Errorf("%v", streams[0].Schema)
	}
	if !strings.HasPrefix(streams[0].External.Namespace, "postgres://127.0.0.1:") || !strings.HasSuffix(streams[0].External.Name, ".My Shop.Order Lines") {
		t.Errorf("%+v", streams[0].External)
	}
	got := column(streamRows(t, s.read(t, config, nil), "my_shop_order_lines"), "id")
	if diff := cmp.Diff([]string{"1", "2", "4", "6", "8", "10"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRowsThatCantBeHeldAreRejected(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, at timestamptz, v text)",
		"insert into t values (1, now(), 'a'), (2, 'infinity', 'b'), (3, now(), repeat('x', 17000000)), (4, now(), repeat('y', 15000000)), (5, '-infinity', 'c'), (6, now(), 'd')")
	r := s.read(t, Config{}, nil)
	if diff := cmp.Diff([]string{"1", "4", "6"}, column(streamRows(t, r, "t"), "id")); diff != "" {
		t.Error(diff)
	}
	var codes []string
	for _, rejection := range r.Rejections {
		codes = append(codes, rejection.Code)
		if rejection.Stream != "t" || rejection.Row != sdk.NoRow || len(rejection.Raw) == 0 || rejection.Reason == "" || !strings.HasSuffix(rejection.Origin, ".public.t") {
			t.Errorf("%+v", rejection)
		}
	}
	if diff := cmp.Diff([]string{"not_finite", "row_too_large", "not_finite"}, codes); diff != "" {
		t.Error(diff)
	}
}

func TestATableMadeAgainIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key)", "insert into t values (1)")
	at := last(t, s.read(t, Config{}, nil))
	s.exec(t, "alter table t rename to u")
	if _, err := s.tryRead(t, Config{}, at); err == nil || !strings.Contains(err.Error(), `stream "t"`) {
		t.Errorf("got %v", err)
	}
	if r := s.read(t, Config{PerTable: map[string]TableSettings{"u": {Stream: "t"}}}, at); r.Rows("t") != 0 {
		t.Error("it was read again")
	}
	s.exec(t, "drop table u", "create table t (id int primary key)")
	_, err := s.tryRead(t, Config{}, at)
	if err == nil || !strings.Contains(err.Error(), "dropped and made again") || sdk.KindOf(err) != sdk.KindFatal {
		t.Errorf("got %v", err)
	}
}

func TestSettingsAreBlamedAtTheirPath(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, _op int)", "create table \"T\" (id int)", "create role stranger login password 'x'")
	for _, c := range []struct {
		path   string
		config Config
	}{
		{"/tables/1", Config{Tables: []string{"t", "missing"}}},
		{"/tables/0", Config{Tables: []string{"shop.*"}}},
		{"/per_table/t/columns/0", Config{Tables: []string{"t"}, PerTable: map[string]TableSettings{"t": {Columns: []string{"nope"}}}}},
		{"/per_table/t/columns", Config{Tables: []string{"t"}, PerTable: map[string]TableSettings{"t": {Columns: []string{"_op"}}}}},
		{"/per_table/u", Config{PerTable: map[string]TableSettings{"u": {}}, Tables: []string{"t"}}},
		{"/per_table/public.t/stream", Config{}},
		{"/per_table/public.t/columns", Config{Mode: "cdc", Tables: []string{"t"}}},
	} {
		_, err := s.source(t, c.config).Streams(t.Context())
		var e *sdk.Error
		if !errors.As(err, &e) || e.Kind != sdk.KindConfig || e.Path != c.path {
			t.Errorf("expected a fault at %s, got %v", c.path, err)
		}
	}
	for _, c := range []struct {
		path   string
		config Config
	}{
		{"/dsn", Config{DSN: "postgres://u:secret@[broken"}},
		{"/tables/0", Config{DSN: "x=y", Tables: []string{"a.b.c"}}},
		{"/per_table/a*", Config{PerTable: map[string]TableSettings{"a*": {}}}},
		{"/per_table/a/where", Config{Mode: "cdc", PerTable: map[string]TableSettings{"a": {Where: "x"}}}},
		{"/cursor", Config{Cursor: &Cursor{Column: "c"}}},
		{"/cursor/look_back", Config{Mode: "incremental", Cursor: &Cursor{Column: "c", LookBack: "yesterday"}}},
		{"/slot", Config{Slot: "A b"}},
		{"/wal_limit/bytes", Config{WALLimit: &WALLimit{}}},
	} {
		err := c.config.Validate()
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("setting %q", c.path)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("expected a fault at %s, got %v", c.path, err)
		}
	}
}
