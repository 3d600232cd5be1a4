package value

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/internal/postgres/typetest"
)

func TestTypesComeOutAsTheServerHasThem(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	execute(t, connect(t, dsn), "create extension citext; create extension hstore; create extension ltree; create extension cube")
	for i, c := range typetest.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, dsn)
			execute(t, conn, fmt.Sprintf("create schema s%d; set search_path = s%d, public", i, i))
			if c.Setup != "" {
				execute(t, conn, c.Setup)
			}
			execute(t, conn, "create table t (id int, v "+c.PG+")")
			codes := make([]string, len(c.Values))
			for i, v := range c.Values {
				codes[i], v = typetest.Code(v)
				execute(t, conn, fmt.Sprintf("insert into t values (%d, %s)", i, v))
			}
			column := columnOf(t, conn, Options{})
			if got := strings.NewReplacer(", nullable", "", " nullable", "").Replace(column.Type.String()); got != c.Arrow {
				t.Errorf("type %s, want %s", got, c.Arrow)
			}
			if got := column.SelectAs("v") != "v"; got != c.Text {
				t.Errorf("it is selected as text: %v", got)
			}
			text := asText(t, conn, column)
			binary := asBinary(t, conn, column, 1<<20)
			cut := asBinary(t, conn, column, 3)
			sql := c.Oracle
			if sql == "" {
				sql = "to_json(v)"
			}
			for i := range c.Values {
				compareFaults(t, c.Values[i], codes[i], binary.errs[i], text.errs[i], cut.errs[i])
				if codes[i] != "" {
					continue
				}
				answer := ask(t, conn, fmt.Sprintf("select %s from t where id = %d and num_nulls(v) = 0", sql, i))
				var want any
				if len(answer) > 0 {
					want = oracle(t, answer[0][0])
				}
				for form, a := range map[string]decoded{"binary": binary, "text": text, "cut binary": cut} {
					if got := plain(t, a.values, i); !same(got, want) {
						t.Errorf("%s as %s: %s", c.Values[i], form, cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)))
					}
				}
			}
			equal := array.WithNaNsEqual(true)
			if !array.ApproxEqual(binary.values, cut.values, equal) || (noneOf(codes) && !array.ApproxEqual(binary.values, text.values, equal)) {
				t.Errorf("binary %v, text %v", binary.values, text.values)
			}
		})
	}
}

// TestRandomValuesComeOutAsTheServerHasThem has the whole ranges of types.
func TestRandomValuesComeOutAsTheServerHasThem(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	const long = "((random() * 1e9)::int8::text || (random() * 1e9)::int8::text || (random() * 1e9)::int8::text)::numeric"
	for pg, c := range map[string][2]string{ // how values are made, and what the server is asked for
		"date":           {"date '4714-11-24 BC' + (random() * 2147483493)::int", typetest.Days},
		"timestamp":      {"timestamp '4714-11-24 BC' + random() * interval '298960 years'", typetest.Micros},
		"timestamptz":    {"timestamptz '1600-01-01' + random() * interval '1000 years'", typetest.Micros},
		"time":           {"time '00:00' + random() * interval '24 hours'", typetest.Micros},
		"float8":         {"(random() - 0.5) * 10.0::float8 ^ (random() * 600 - 300)::int", "to_json(v)"},
		"float4":         {"((random() - 0.5) * 10.0::float8 ^ (random() * 60 - 30)::int)::float4", "to_json(v)"},
		"numeric":        {long + " * (10::numeric ^ (n % 80 - 40)) * (n % 3 - 1)", typetest.AsPrinted},
		"numeric(38,19)": {long + " / (10::numeric ^ (9 + n % 30)) * (n % 3 - 1)", typetest.AsPrinted},
		"numeric(30,1)":  {long + " / (10::numeric ^ (n % 30)) * (n % 3 - 1)", typetest.AsPrinted},
		"int8":           {"('x' || substr(md5(n::text), 1, 16))::bit(64)::int8", "to_json(v)"},
		"uuid":           {"gen_random_uuid()", "to_json(v)"},
		"bytea":          {"decode(repeat(md5(n::text), n % 40), 'hex')", "to_json(v)"},
		"text":           {"(select string_agg(chr(1 + (random() * 5000 + g * 0)::int), '') from generate_series(1, n % 20) g)", "to_json(v)"},
		"text[]":         {`(select array_agg(substr(e'a"\\\\,{}() ()\n\'', 1 + (random() * 10 + g * 0)::int, (random() * 4)::int)) from generate_series(0, n % 5) g)`, "to_json(v)"},
	} {
		t.Run(pg, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, dsn)
			execute(t, conn, fmt.Sprintf("create temp table t (id int, v %s); insert into t select n, %s from generate_series(1, 1000) n", pg, c[0]))
			column := columnOf(t, conn, Options{})
			binary, text := asBinary(t, conn, column, 1000), asText(t, conn, column)
			for i, answer := range ask(t, conn, "select "+c[1]+" from t order by id") {
				want := oracle(t, answer[0])
				if a, b := plain(t, binary.values, i), plain(t, text.values, i); !same(a, want) || !same(b, want) || binary.errs[i] != nil || text.errs[i] != nil {
					t.Fatalf("binary %v (%v), text %v (%v), want %v", a, binary.errs[i], b, text.errs[i], want)
				}
			}
		})
	}
}

func noneOf(codes []string) bool { return strings.Join(codes, "") == "" }

func compareFaults(t *testing.T, value, code string, errs ...error) {
	t.Helper()
	for _, err := range errs {
		var f *Fault
		switch {
		case code == "" && err != nil:
			t.Errorf("%s: %v", value, err)
		case code != "" && (!errors.As(err, &f) || f.Code != code || !strings.HasPrefix(f.Column, "v") || f.Value == "" || f.Type == ""):
			t.Errorf("%s: error %v, want code %s", value, err, code)
		}
	}
}
