package main

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

func users() *arrow.Schema {
	return change.Schema(columns(
		nullable("id", arrow.PrimitiveTypes.Int64), nullable("email", arrow.BinaryTypes.String), nullable("note", arrow.BinaryTypes.String),
	), []string{"id"})
}

// startChanges plans rules for changes of users with the key id.
func startChanges(t *testing.T, c Config) *bench {
	t.Helper()
	b := start(t, c)
	b.follow(t, users())
	return b
}

func (b *bench) follow(t *testing.T, schema *arrow.Schema) {
	t.Helper()
	if err := b.Plan(t.Context(), sdk.SchemaChange{Stream: "orders", Version: 1, Schema: schema, Key: []string{"id"}}); err != nil {
		t.Fatal(err)
	}
}

func TestChangeDataIsJudgedByWhatItSends(t *testing.T) {
	t.Parallel()
	path := write(t, head+`  quality:
  - {id: enough, metric: rowCount, mustBeGreaterOrEqualTo: 6}
  properties:
  - {name: id, logicalType: integer, primaryKey: true}
  - {name: email, logicalType: string, required: true, quality: [{id: known, metric: invalidValues, arguments: {validValues: [a, b, c]}, mustBeLessThan: 50, unit: percent}]}
  - {name: note, logicalType: string, required: true, logicalTypeOptions: {minLength: 2}}
`)
	b := startChanges(t, Config{ExtraColumns: failExtra, Contract: path})
	const rows = `[
		{"id": 1, "email": "a", "note": "xy", "_op": 1},
		{"id": 1, "email": "b", "note": null, "_op": 2, "_unchanged": ["note"]},
		{"id": 1, "email": "x", "note": "y", "_op": 2, "_unchanged": ["note"]},
		{"id": 1, "email": "c", "note": null, "_op": 2, "_unchanged": ["email"]},
		{"id": 1, "note": "z", "_op": 3},
		{"_op": 4},
		{"id": 2, "note": "z", "_op": 0}]`
	const want = `3 note required: null, expected a value
6 email required: null, expected a value
6 note length: "z", expected at least 2 characters`
	if diff := cmp.Diff(want, b.rows(t, users(), rows)); diff != "" {
		t.Error(diff)
	}
	result := b.result(t)
	if result.Verdict != sdk.Fail || !strings.HasPrefix(result.Message, "enough: 5 rows, expected >= 6") {
		t.Errorf("%s %s", result.Verdict, result.Message)
	}
	if m := result.Metrics; m["rows"] != 5 || m["removals"] != 2 || m["known.violations"] != 1 || m["unchecked_rules"] != 0 {
		t.Errorf("%v", m)
	}
	if m := b.result(t).Metrics; m["rows"] != 0 || m["removals"] != 0 {
		t.Errorf("the next unit: %v", m)
	}
}

// A key may come once per change, and again after it was given up; two rows that are there at one time may not have it.
func TestKeysOfChangesAreUnique(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ rows, want string }{
		"versions":          {`[{"id":1,"_op":1},{"id":1,"_op":2},{"id":1,"_op":2,"_before":{"id":1,"note":"x"}}]`, ""},
		"inserted twice":    {`[{"id":1,"_op":1},{"id":2,"_op":1},{"id":1,"_op":1}]`, "2 id unique: 1 came before, expected it once in a unit"},
		"in a snapshot":     {`[{"id":1,"_op":0},{"id":1,"_op":0}]`, "1 id unique: 1 came before, expected it once in a unit"},
		"deleted between":   {`[{"id":1,"_op":1},{"id":1,"_op":3},{"id":1,"_op":1}]`, ""},
		"moved between":     {`[{"id":1,"_op":1},{"id":2,"_op":2,"_before":{"id":1}},{"id":1,"_op":1}]`, ""},
		"truncated between": {`[{"id":1,"_op":1},{"_op":4},{"id":1,"_op":1},{"id":1,"_op":1}]`, "3 id unique: 1 came before, expected it once in a unit"},
		"no operation":      {`[{"id":1,"_op":9},{"id":1,"_op":9}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startChanges(t, Config{Rules: []Rule{{Column: "id", Unique: true}}})
			if diff := cmp.Diff(c.want, b.rows(t, users(), c.rows)); diff != "" {
				t.Error(diff)
			}
			if result := b.result(t); result.Message != "" {
				t.Error(result.Message)
			}
			if got := b.rows(t, users(), `[{"id":1,"_op":1}]`); got != "" {
				t.Errorf("the next unit: %s", got)
			}
		})
	}
}

func TestOtherColumnsOfChangesAreUniqueAsFarAsIsKnown(t *testing.T) {
	t.Parallel()
	const found = "email unique: \"a\" came before, expected it once in a unit"
	for name, c := range map[string]struct {
		rows, want string
		blind      bool
	}{
		"in a snapshot":      {`[{"id":1,"email":"a","_op":0},{"id":2,"email":"a","_op":0}]`, "1 " + found, false},
		"another row's":      {`[{"id":1,"email":"a","_op":1},{"id":3,"note":"x","_op":2,"_before":{"id":3,"email":"z"}},{"id":2,"email":"a","_op":1}]`, "2 " + found, false},
		"given up":           {`[{"id":1,"email":"a","_op":1},{"id":1,"email":"b","_op":2,"_before":{"id":1,"email":"a"}},{"id":2,"email":"a","_op":1}]`, "", false},
		"not changed":        {`[{"id":1,"email":"a","_op":1},{"id":1,"email":"a","_op":2,"_before":{"id":1,"email":"a"}},{"id":2,"email":"a","_op":1}]`, "2 " + found, false},
		"not sent":           {`[{"id":1,"email":"a","_op":1},{"id":1,"_op":2,"_unchanged":["email"]},{"id":2,"email":"a","_op":1}]`, "2 " + found, false},
		"none before":        {`[{"id":1,"email":"a","_op":1},{"id":4,"email":"b","_op":2,"_before":{"id":4,"note":"x"}},{"id":2,"email":"a","_op":1}]`, "2 " + found, false},
		"deleted":            {`[{"id":1,"email":"a","_op":1},{"id":1,"_op":3,"_before":{"id":1,"email":"a"}},{"id":2,"email":"a","_op":1}]`, "", false},
		"not known":          {`[{"id":1,"email":"a","_op":1},{"id":1,"email":"b","_op":2},{"id":2,"email":"a","_op":1}]`, "", true},
		"deleted, not known": {`[{"id":1,"email":"a","_op":1},{"id":1,"_op":3,"_before":{"id":1}},{"id":2,"email":"a","_op":1}]`, "", true},
		"truncated after":    {`[{"id":1,"email":"a","_op":2},{"_op":4},{"id":1,"email":"a","_op":1},{"id":2,"email":"a","_op":1}]`, "3 " + found, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startChanges(t, Config{Rules: []Rule{{Column: "email", Unique: true}}})
			if diff := cmp.Diff(c.want, b.rows(t, users(), c.rows)); diff != "" {
				t.Error(diff)
			}
			result := b.result(t)
			if said := strings.HasPrefix(result.Message, "email.unique wasn't checked to the end"); said != c.blind || c.blind != (result.Metrics["unchecked_rules"] == 1) {
				t.Errorf("%+v", result)
			}
			if again := b.result(t); again.Message != "" {
				t.Errorf("the next unit: %s", again.Message)
			}
		})
	}
}

func TestClaimsThatOutgrowMemoryStayExact(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Rules: []Rule{{Column: "id", Unique: true}}})
	b.mostKeys = 2
	b.follow(t, users())
	const rows = `[{"id":1,"_op":1},{"id":2,"_op":1},{"id":3,"_op":1},{"id":1,"_op":3},{"id":2,"_op":3},{"id":5,"_op":3},{"id":1,"_op":1},{"id":2,"_op":1},{"id":3,"_op":1}]`
	if diff := cmp.Diff("8 id unique: 3 came before, expected it once in a unit", b.rows(t, users(), rows)); diff != "" {
		t.Error(diff)
	}
}

// What readers of a dataset with a key get is change data, too, with _op as datasets keep it.
func TestNetChangesAreJudged(t *testing.T) {
	t.Parallel()
	fields := change.Net(change.Table(users())).Fields()
	fields[3].Type = arrow.PrimitiveTypes.Int32
	schema := columns(fields...)
	b := start(t, Config{ExtraColumns: failExtra, Rules: []Rule{{Column: "id", Unique: true}, {Column: "email", Required: true}, {Column: "note", MaxLength: new(int)}}})
	b.follow(t, schema)
	const rows = `[{"id":1,"email":"a","_op":1},{"id":2,"_op":2},{"id":3,"note":"x","_op":3},{"_op":4},{"id":259,"_op":259}]`
	const want = `1 email required: null, expected a value
4 email required: null, expected a value`
	if diff := cmp.Diff(want, b.rows(t, schema, rows)); diff != "" {
		t.Error(diff)
	}
}

func TestFaultyChangeColumnsAreNamed(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Rules: []Rule{{Column: "id", Required: true}}})
	err := b.Plan(t.Context(), sdk.SchemaChange{Stream: "orders", Schema: columns(nullable("id", arrow.PrimitiveTypes.Int64), nullable("_op", arrow.BinaryTypes.String))})
	if err == nil || !strings.Contains(err.Error(), `change column "_op" is utf8, expected uint8`) {
		t.Error(err)
	}
	plain := start(t, Config{ExtraColumns: failExtra, Rules: []Rule{{Column: "id", Required: true}}})
	err = plain.Plan(t.Context(), sdk.SchemaChange{Stream: "orders", Schema: columns(nullable("id", arrow.PrimitiveTypes.Int64), nullable("_ts", arrow.BinaryTypes.String))})
	if err == nil || !strings.Contains(err.Error(), "columns that no rule names: _ts") {
		t.Error(err)
	}
}
