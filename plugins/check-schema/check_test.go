package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/csv"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

const head = `apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
- name: orders
`

func TestContractIsCheckedRowByRow(t *testing.T) {
	t.Parallel()
	path := write(t, head+`  properties:
  - {name: id, logicalType: integer, primaryKey: true}
  - {name: email, logicalType: string, logicalTypeOptions: {format: email, maxLength: 12}}
  - {name: state, logicalType: string, required: true, quality: [{id: known, metric: invalidValues, arguments: {validValues: [new, paid]}, mustBe: 0, severity: warning}]}
  - {name: amount, logicalType: number, physicalType: "decimal(12,2)", logicalTypeOptions: {minimum: 0, exclusiveMaximum: 100}}
`)
	schema := columns(
		nullable("id", arrow.PrimitiveTypes.Int64), nullable("email", arrow.BinaryTypes.String), nullable("state", arrow.BinaryTypes.String),
		nullable("amount", &arrow.Decimal128Type{Precision: 12, Scale: 2}),
	)
	b := start(t, Config{Contract: path})
	b.plan(t, schema)
	got := b.rows(t, schema, `[
		{"id": 1, "email": "a@x.org", "state": "new", "amount": "0"},
		{"id": null, "email": "no address", "state": null, "amount": "-0.01"},
		{"id": 1, "email": "much-longer@x.org", "state": "gone", "amount": "100.00"},
		{"id": 2, "email": null, "state": "paid", "amount": null}]`)
	const want = `1 id required: null, expected a value
1 email format: "no address", expected the form of email
1 state required: null, expected a value
1 amount range: -0.01, expected at least 0 and less than 100
2 id unique: 1 came before, expected it once in a unit
2 email length: "much-longer@x.org", expected at most 12 characters
2 state enum: "gone", expected one of "new", "paid" (warning)
2 amount range: 100, expected at least 0 and less than 100`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	result := b.result(t)
	wantResult := sdk.CheckResult{Verdict: sdk.Pass, Metrics: map[string]float64{
		"rows": 4, "unchecked_rules": 0, "primary_key.violations": 1, "id.required.violations": 1, "id.type.violations": 0,
		"email.type.violations": 0, "email.length.violations": 1, "email.format.violations": 1, "state.required.violations": 1,
		"state.type.violations": 0, "known.violations": 1, "amount.type.violations": 0, "amount.range.violations": 2,
	}}
	if diff := cmp.Diff(wantResult, result); diff != "" {
		t.Error(diff)
	}
}

func TestSettingsAreRulesToo(t *testing.T) {
	t.Parallel()
	var c Config
	if err := json.Unmarshal([]byte(`{"rules": [
		{"column": "id", "type": "integer", "required": true, "unique": true, "min": 1, "max": 9},
		{"column": "code", "enum": ["a", "b", 7]},
		{"column": "name", "pattern": "^[A-Z]", "min_length": 2, "max_length": 4},
		{"column": "at", "min": "2024-01-01"}]}`), &c); err != nil {
		t.Fatal(err)
	}
	schema := columns(
		nullable("id", arrow.PrimitiveTypes.Int32), nullable("code", arrow.BinaryTypes.String), nullable("name", arrow.BinaryTypes.String),
		nullable("at", arrow.FixedWidthTypes.Timestamp_us),
	)
	b := start(t, c)
	b.plan(t, schema)
	got := b.rows(t, schema, `[
		{"id": 1, "code": "a", "name": "Anna", "at": "2024-01-01 00:00:00Z"},
		{"id": 10, "code": "c", "name": "x", "at": "2023-12-31 23:59:59.999999Z"},
		{"id": 0, "code": "7", "name": "Ünïcode", "at": null}]`)
	const want = `1 id range: 10, expected at least 1 and at most 9
1 code enum: "c", expected one of "a", "b", 7
1 name pattern: "x", expected a match of /^[A-Z]/
1 name length: "x", expected 2 to 4 characters
1 at range: 2023-12-31T23:59:59.999999Z, expected at least 2024-01-01T00:00:00Z
2 id range: 0, expected at least 1 and at most 9
2 name pattern: "Ünïcode", expected a match of /^[A-Z]/
2 name length: "Ünïcode", expected 2 to 4 characters`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLimitsJudgeTheUnit(t *testing.T) {
	t.Parallel()
	path := write(t, head+`  quality:
  - {id: enough, metric: rowCount, mustBeGreaterOrEqualTo: 3}
  - {id: few, metric: rowCount, mustBeLessThan: 4, severity: warning}
  properties:
  - name: city
    logicalType: string
    quality: [{id: city_known, metric: missingValues, arguments: {missingValues: [null, NA]}, mustBeLessThan: 50, unit: percent}]
`)
	schema := columns(nullable("city", arrow.BinaryTypes.String))
	b := start(t, Config{Contract: path})
	b.plan(t, schema)
	units := []struct {
		rows    string
		verdict sdk.Verdict
		message string
	}{
		{`[{"city": "a"}, {"city": "b"}, {"city": null}]`, sdk.Pass, ""},
		{`[{"city": "a"}, {"city": "NA"}, {"city": null}]`, sdk.Fail, "city_known: 2 of 3 rows break it, expected < 50 %"},
		{`[{"city": "a"}]`, sdk.Fail, "enough: 1 rows, expected >= 3"},
		{`[{"city": "a"}, {"city": "a"}, {"city": "a"}, {"city": "a"}]`, sdk.Warn, "few: 4 rows, expected < 4"},
	}
	for _, unit := range units {
		if got := b.rows(t, schema, unit.rows); got != "" {
			t.Errorf("%s: findings %s", unit.rows, got)
		}
		result := b.result(t)
		if result.Verdict != unit.verdict || !strings.HasPrefix(result.Message, unit.message) || (unit.message == "") != (result.Message == "") {
			t.Errorf("%s: %s, %q", unit.rows, result.Verdict, result.Message)
		}
	}
}

func TestWhatIsNotCheckedIsSaid(t *testing.T) {
	t.Parallel()
	path := write(t, head+`  quality: [{name: fresh, type: sql, query: "select 1", mustBe: 1}]
  properties:
  - {name: id, logicalType: integer}
  - {name: note, logicalType: string, logicalTypeOptions: {maxLength: 3}}
`)
	b := start(t, Config{Contract: path, ExtraColumns: warnExtra})
	b.plan(t, columns(nullable("id", arrow.PrimitiveTypes.Int64), nullable("more", arrow.BinaryTypes.String), nullable("_qanat_seq", arrow.PrimitiveTypes.Int64)))
	result := b.result(t)
	want := "quality rule fresh (sql) isn't checked (" + path + ":8:13): SQL rules run in the system that holds the data" +
		`; column "note" isn't in the data; columns that no rule names: more`
	if result.Message != want || result.Verdict != sdk.Warn || result.Metrics["unchecked_rules"] != 2 {
		t.Errorf("%+v", result)
	}
}

func TestPlanNamesThePlaceInTheContract(t *testing.T) {
	t.Parallel()
	path := write(t, head+`  properties:
  - {name: id, logicalType: integer, required: true}
  - {name: at, logicalType: timestamp, logicalTypeOptions: {timezone: true}}
  - {name: amount, logicalType: number}
  - {name: name, logicalType: string, logicalTypeOptions: {minLength: 1}}
`)
	b := start(t, Config{Contract: path, ExtraColumns: failExtra})
	err := b.Plan(t.Context(), sdk.SchemaChange{Stream: "landing.shop.orders", Schema: columns(
		nullable("at", &arrow.TimestampType{Unit: arrow.Microsecond}), nullable("amount", arrow.FixedWidthTypes.Boolean),
		nullable("name", arrow.BinaryTypes.String), nullable("more", arrow.BinaryTypes.String),
	)})
	want := []string{
		`setting "/contract": ` + path + `:9:38: stream "landing.shop.orders": column "id" is missing`,
		`setting "/contract": ` + path + `:10:16: stream "landing.shop.orders": column "at": expected a timestamp with a time zone, found timestamp[us]`,
		`setting "/contract": ` + path + `:11:20: stream "landing.shop.orders": column "amount": expected float64, found bool`,
		`setting "/extra_columns": stream "landing.shop.orders" has columns that no rule names: more`,
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
	if sdk.KindOf(err) != sdk.KindConfig {
		t.Error("not an error of the settings")
	}
}

func TestObjectsAreFoundByName(t *testing.T) {
	t.Parallel()
	one := write(t, head+"  properties: [{name: id, logicalType: integer}]\n")
	two := write(t, head+"  properties: [{name: id, logicalType: integer}]\n- name: lines\n  properties: [{name: id, logicalType: string}]\n")
	ids := columns(nullable("id", arrow.PrimitiveTypes.Int64))
	for _, c := range []struct {
		contract, object, stream, want string
	}{
		{one, "", "anything", ""},
		{two, "", "landing.shop.orders", ""},
		{two, "orders", "anything", ""},
		{two, "", "anything", `schema object "anything": not in the contract: there are orders, lines`},
		{two, "nothing", "orders", `schema object "nothing": not in the contract`},
		{two, "", "lines", `column "id": expected text, found int64`},
	} {
		b := start(t, Config{Contract: c.contract, Object: c.object})
		err := b.Plan(t.Context(), sdk.SchemaChange{Stream: c.stream, Schema: ids})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestNestedColumnsAreJudgedWhereTheyAre(t *testing.T) {
	t.Parallel()
	path := write(t, head+`  properties:
  - name: buyer
    logicalType: object
    properties:
    - {name: email, logicalType: string, required: true, logicalTypeOptions: {maxLength: 5}}
  - name: lines
    logicalType: array
    logicalTypeOptions: {minItems: 1, uniqueItems: true}
    items: {logicalType: integer, logicalTypeOptions: {maximum: 9}}
`)
	schema := columns(
		nullable("buyer", arrow.StructOf(nullable("email", arrow.BinaryTypes.String))),
		nullable("lines", arrow.ListOf(arrow.PrimitiveTypes.Int64)),
	)
	b := start(t, Config{Contract: path})
	b.plan(t, schema)
	const rows = `[{"buyer": {"email": "a@x"}, "lines": [1, 2]},
		{"buyer": {"email": null}, "lines": []},
		{"buyer": null, "lines": null},
		{"buyer": {"email": "longer"}, "lines": [10, 11, 3, 3]}]`
	const want = `1 buyer.email required: null, expected a value
1 lines item_count: [], expected at least 1 items
3 buyer.email length: "longer", expected at most 5 characters
3 lines unique_items: [10,11,3,3], expected no item twice
3 lines.[] range: 10, expected at most 9`
	if diff := cmp.Diff(want, b.rows(t, schema, rows)); diff != "" {
		t.Error(diff)
	}
	record, _, err := array.RecordFromJSON(b.alloc, schema, strings.NewReader(rows))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Release()
	want2 := strings.ReplaceAll(strings.ReplaceAll(want, "1 buyer", "0 buyer"), "1 lines item", "0 lines item")
	want2 = strings.ReplaceAll(strings.ReplaceAll(want2, "3 buyer", "2 buyer"), "3 lines", "2 lines")
	if diff := cmp.Diff(want2, b.judge(t, record.NewSlice(1, 4))); diff != "" {
		t.Errorf("a slice: %s", diff)
	}
}

func TestFaultsOfTheSettingsAreAllNamed(t *testing.T) {
	t.Parallel()
	var c Config
	if err := json.Unmarshal([]byte(`{"object": "x", "extra_columns": "drop", "rules": [
		{"column": "a"}, {"column": "", "required": true}, {"column": "b", "type": "blurb", "pattern": "(", "format": "ssn"},
		{"column": "c", "min": true, "max": "soon", "enum": [[1]]}, {"column": "d", "min": 1, "max": "2024-01-01", "min_length": 3, "max_length": 1}]}`), &c); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, fault := range c.Validate().(interface{ Unwrap() []error }).Unwrap() {
		var typed *sdk.Error
		if !errors.As(fault, &typed) {
			t.Fatalf("%v has no path", fault)
		}
		paths = append(paths, typed.Path)
	}
	want := []string{
		"/object", "/extra_columns", "/rules/0", "/rules/1/column", "/rules/2/type", "/rules/2/pattern", "/rules/2/format",
		"/rules/3/min", "/rules/3/max", "/rules/3/enum/0", "/rules/4/max", "/rules/4/min_length",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("nothing to check was taken")
	}
	if _, err := New(t.Context(), Config{Contract: "nowhere.yaml"}, sdk.Env{}); sdk.KindOf(err) != sdk.KindConfig {
		t.Errorf("a contract that isn't there: %v", err)
	}
}

func TestBatchesMustBeAsPlanned(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Rules: []Rule{{Column: "id", Required: true}}})
	ids, texts := columns(nullable("id", arrow.PrimitiveTypes.Int64)), columns(nullable("id", arrow.BinaryTypes.String))
	b.plan(t, ids)
	for stream, schema := range map[string]*arrow.Schema{"orders": texts, "other": ids} {
		record, _, err := array.RecordFromJSON(b.alloc, schema, strings.NewReader(`[{"id": null}]`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Rows(t.Context(), sdk.Batch{Stream: stream, Record: record}); err == nil {
			t.Errorf("stream %q: no error", stream)
		}
	}
	b.plan(t, texts)
	if got := b.rows(t, texts, `[{"id": null}]`); got == "" {
		t.Error("no finding after a change of schema")
	}
}

func TestRealAirportsKeepTheirContract(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Contract: "testdata/airports.odcs.yaml"})
	texts := arrow.BinaryTypes.String
	schema := columns(nullable("iata", texts), nullable("name", texts), nullable("city", texts), nullable("state", texts),
		nullable("country", texts), nullable("latitude", texts), nullable("longitude", texts))
	b.plan(t, schema)
	reader := csv.NewReader(data(t, "airports.csv"), schema, csv.WithHeader(true), csv.WithChunk(1000), csv.WithAllocator(b.alloc), csv.WithNullReader(false))
	defer reader.Release()
	var findings []string
	for reader.Next() {
		record := reader.RecordBatch()
		record.Retain()
		if got := b.judge(t, record); got != "" {
			findings = append(findings, got)
		}
	}
	if reader.Err() != nil {
		t.Fatal(reader.Err())
	}
	want := []string{
		`929 name length: "Port Authority-W 30th St Midtown Heliport", expected at most 40 characters`,
		`794 longitude range: "101.378334", expected at least -180 and at most 0
795 longitude range: "134.544167", expected at least -180 and at most 0`,
		`1 longitude range: "145.621384", expected at least -180 and at most 0
355 longitude range: "138.1", expected at least -180 and at most 0`,
	}
	if diff := cmp.Diff(want, findings); diff != "" {
		t.Error(diff)
	}
	result := b.result(t)
	wantResult := map[string]float64{"rows": 3376, "city_known.violations": 12, "distinct_places.violations": 1, "primary_key.violations": 0, "longitude.range.violations": 4}
	for name, value := range wantResult {
		if result.Metrics[name] != value {
			t.Errorf("%s: %v, expected %v", name, result.Metrics[name], value)
		}
	}
	const message = "city_known: 12 of 3376 rows break it, expected < 10 (testdata/airports.odcs.yaml:17:15)"
	if result.Verdict != sdk.Warn || result.Message != message {
		t.Errorf("%+v", result)
	}
}
