package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/catalog"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/cursor"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance"
	"github.com/qanat-data/qanat/sdk/plugintest"
)

func incremental(column, lookBack string) Config {
	return Config{Mode: "incremental", Cursor: &Cursor{Column: column, LookBack: lookBack}, ChunkRows: 100}
}

func TestIncrementalReadsWhatIsNewAndWhatIsLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, column, at, lookBack string
	}{
		{"timestamptz", "timestamptz", "'2024-01-01 00:00+00'::timestamptz + %s * interval '1 min'", "10m"},
		{"timestamp", "timestamp", "'2024-01-01'::timestamp + %s * interval '1 min'", "10m"},
		{"date", "date", "'2024-01-01'::date + %s", "240h"},
		{"bigint", "bigint", "%s", "10"},
		{"smallint", "smallint", "%s", "10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at := func(i string) string { return fmt.Sprintf(c.at, i) }
			s := newSite(t, "create table t (id int primary key, at "+c.column+")", "insert into t select i, "+at("i")+" from generate_series(1, 500) i", "insert into t values (9000, null)")
			config := incremental("at", c.lookBack)
			first := s.read(t, config, nil)
			if first.Rows("t") != 500 || len(first.Checkpoints) != 2 { // a batch has them all
				t.Fatalf("%d rows, %d checkpoints", first.Rows("t"), len(first.Checkpoints))
			}
			s.exec(t, "insert into t values (600, "+at("500")+"), (601, "+at("495")+"), (602, "+at("400")+"), (603, "+at("501")+")",
				"update t set at = "+at("505")+" where id = 7", "delete from t where id = 8")
			second := s.read(t, config, last(t, first))
			if diff := cmp.Diff([]string{"601", "600", "603", "7"}, column(streamRows(t, second, "t"), "id")); diff != "" {
				t.Error(diff)
			}
			third := s.read(t, config, last(t, second))
			if third.Rows("t") != 0 {
				t.Errorf("rows come again: %v", streamRows(t, third, "t"))
			}
		})
	}
}

func TestIncrementalKnowsTies(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (a int, b text, v int, primary key (a, b))", "insert into t select i, 'x', 5 from generate_series(2, 50) i")
	config := incremental("v", "")
	at := last(t, s.read(t, config, nil))
	s.exec(t, "insert into t values (1, 'x', 5), (99, 'x', 5)")
	r := s.read(t, config, at)
	if diff := cmp.Diff([]string{"1", "99"}, column(streamRows(t, r, "t"), "a")); diff != "" {
		t.Error(diff)
	}
}

func TestIncrementalGoesOnFromEachCheckpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v int, pad text, at date)",
		"insert into t select i, i / 7, repeat('x', 2000), case when i % 500 = 0 then 'infinity'::date else '2024-01-01' end from generate_series(1, 20000) i")
	config := incremental("v", "3")
	whole := s.read(t, config, nil)
	if whole.Rows("t") != 19960 || len(whole.Rejections) != 40 || len(whole.Checkpoints) < 5 {
		t.Fatalf("%d rows, %d rejections, %d checkpoints", whole.Rows("t"), len(whole.Rejections), len(whole.Checkpoints))
	}
	for i := range whole.Checkpoints {
		stop := errors.New("killed")
		first := &plugintest.Recorder{}
		first.OnCheckpoint = func(sdk.Position) error {
			if len(first.Checkpoints) > i {
				return stop
			}
			return nil
		}
		if err := s.source(t, config).Read(t.Context(), sdk.ReadRequest{}, first); !errors.Is(err, stop) {
			t.Fatal(err)
		}
		rest := s.read(t, config, last(t, first))
		if rows, rejects := first.Rows("t")+rest.Rows("t"), len(first.Rejections)+len(rest.Rejections); rows != 19960 || rejects != 40 {
			t.Errorf("checkpoint %d: %d rows, %d rejections", i, rows, rejects)
		}
		first.Release()
		rest.Release()
	}
}

func TestCursorsThatCantBeAreBlamed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table t (id int primary key, v text, n int, at timestamp)", "create table u (id int, n int)")
	for _, c := range []struct {
		path   string
		config Config
	}{
		{"/cursor/column", incremental("v", "")},
		{"/cursor/column", incremental("missing", "")},
		{"/cursor/look_back", incremental("n", "1h")},
		{"/cursor/look_back", incremental("at", "100")},
		{"/per_table/public.t/cursor", Config{Mode: "incremental"}},
		{"/per_table/public.u/key", incremental("n", "")},
	} {
		c.config.Tables = []string{"t"}
		if strings.Contains(c.path, ".u/") {
			c.config.Tables = []string{"u"}
		}
		_, err := s.tryRead(t, c.config, nil)
		var e *sdk.Error
		if !errors.As(err, &e) || e.Path != c.path {
			t.Errorf("expected a fault at %s, got %v", c.path, err)
		}
	}
	config := incremental("n", "")
	config.PerTable = map[string]TableSettings{"u": {Key: []string{"id"}}}
	s.exec(t, "insert into u values (1, 1), (2, 1)")
	if r := s.read(t, config, nil); r.Rows("u") != 2 {
		t.Errorf("%d rows", r.Rows("u"))
	}
}

func TestAMemoryIsBoundedAndNeverDoubles(t *testing.T) {
	t.Parallel()
	column, err := cursor.Of(&catalog.Column{Name: "n", Base: "int8"})
	if err != nil {
		t.Fatal(err)
	}
	const most = 100
	// Each look has rows in the order of their cursor; rows that are asked for again are known, whatever was forgotten.
	m := cursor.NewMemory(column, nil, 1000, most)
	for i := range int64(5000) {
		if !m.New(i/2, uint64(i)) {
			t.Fatalf("row %d is new", i)
		}
	}
	at := m.Cursor()
	if len(at.Seen) > most || m.Forgot == 0 || at.Last != 2499 {
		t.Fatalf("%d rows are remembered, %d forgotten, last %d", len(at.Seen), m.Forgot, at.Last)
	}
	again := cursor.NewMemory(column, at, 1000, most)
	for i := at.Floor * 2; i < 5000; i++ {
		if again.New(i/2, uint64(i)) {
			t.Fatalf("row %d comes again", i)
		}
	}
	ties := cursor.NewMemory(column, nil, 0, most)
	for i := range int64(1000) {
		ties.New(7, uint64(i))
	}
	if ties.Resumable() || ties.Cursor().Floor != 8 || len(ties.Cursor().Seen) != 0 {
		t.Errorf("%t, %+v", ties.Resumable(), ties.Cursor())
	}
	ties.New(8, 5000)
	if !ties.Resumable() || len(ties.Cursor().Seen) != 1 {
		t.Errorf("%+v", ties.Cursor())
	}
}

func TestIncrementalConforms(t *testing.T) {
	t.Parallel()
	s := newSite(t, "create table a (id int primary key, v text, at timestamptz)", "create table b (id uuid primary key, v text, at timestamptz)",
		"insert into a select i, repeat('v', 1000) || i, '2024-01-01'::timestamptz + i % 7000 * interval '1 min' from generate_series(1, 6000) i",
		"insert into b select md5(i::text)::uuid, repeat('w', 800), '2024-01-01'::timestamptz + i / 10 * interval '1 min' from generate_series(1, 3000) i")
	config := map[string]any{"dsn": s.dsn, "mode": "incremental", "chunk_rows": 500, "cursor": map[string]any{"column": "at", "look_back": "30m"}}
	conforms(t, conformance.Settings{}, config, "source.ack", "source.rejects", "source.slow", "source.provision")
	s.waits(t, config)
}
