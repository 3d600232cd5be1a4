package query_test

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/query"
)

func TestValuesKeepTheirTypeAndDigits(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	decimal := func(unscaled int64) duckdb.Decimal {
		return duckdb.Decimal{Width: 10, Scale: 2, Value: big.NewInt(unscaled)}
	}
	for name, c := range map[string]struct {
		kind       string
		value      any
		json, text string
	}{
		"null":                   {"INTEGER", nil, `null`, "NULL"},
		"text":                   {"VARCHAR", "a<b", `"a<b"`, "a<b"},
		"date":                   {"DATE", midnight, `"2026-01-02"`, "2026-01-02"},
		"timestamp at midnight":  {"TIMESTAMP", midnight, `"2026-01-02T00:00:00"`, "2026-01-02 00:00:00"},
		"timestamp with a zone":  {"TIMESTAMPTZ", midnight.Add(1500 * time.Millisecond), `"2026-01-02T00:00:01.5Z"`, "2026-01-02 00:00:01.5Z"},
		"time":                   {"TIME", time.Date(1, 1, 1, 10, 11, 12, 0, time.UTC), `"10:11:12"`, "10:11:12"},
		"decimal":                {"DECIMAL(10,2)", decimal(3540), `"35.40"`, "35.40"},
		"small negative decimal": {"DECIMAL(10,2)", decimal(-5), `"-0.05"`, "-0.05"},
		"large float":            {"DOUBLE", 3e9, `3000000000`, "3000000000"},
		"not a number":           {"DOUBLE", math.NaN(), `"NaN"`, "NaN"},
		"infinity":               {"FLOAT", float32(math.Inf(-1)), `"-Infinity"`, "-Infinity"},
		"readable bytes":         {"BLOB", []byte("a,b\n"), `"YSxiCg=="`, "a,b\n"},
		"other bytes":            {"BLOB", []byte{0xff, 1}, `"/wE="`, `\xFF\x01`},
		"uuid": {
			"UUID", []byte{0x5f, 0x0c, 0x7c, 0x4e, 0x6d, 0x2e, 0x4a, 0x8e, 0x9d, 0x7e, 1, 2, 3, 4, 5, 6},
			`"5f0c7c4e-6d2e-4a8e-9d7e-010203040506"`, "5f0c7c4e-6d2e-4a8e-9d7e-010203040506",
		},
		"list": {"DECIMAL(10,2)[]", []any{decimal(150), nil}, `["1.50",null]`, `["1.50",null]`},
		"struct": {
			`STRUCT("day, first" DATE, sums STRUCT("at" TIMESTAMP, n INTEGER[])[])`,
			map[string]any{"day, first": midnight, "sums": []any{map[string]any{"at": midnight, "n": []any{int32(1)}}}},
			`{"day, first":"2026-01-02","sums":[{"at":"2026-01-02T00:00:00","n":[1]}]}`,
			`{"day, first":"2026-01-02","sums":[{"at":"2026-01-02T00:00:00","n":[1]}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := query.Marshal(query.JSONForm(c.kind, c.value))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.json, string(doc)); diff != "" {
				t.Errorf("as JSON:\n%s", diff)
			}
			if diff := cmp.Diff(c.text, query.TextForm(c.kind, c.value, "NULL")); diff != "" {
				t.Errorf("as text:\n%s", diff)
			}
		})
	}
}
