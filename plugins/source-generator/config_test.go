package main

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"

	"github.com/qanat-data/qanat/sdk"
)

func TestValidateNamesTheSetting(t *testing.T) {
	t.Parallel()
	column := func(c Column) Config {
		c.Name = "x"
		return settings(func(s *Config) { s.Columns = []Column{c} })
	}
	scale := 12
	for _, c := range []struct {
		config Config
		want   string
	}{
		{settings(func(c *Config) { c.BatchRows = 0 }), `setting "/batch_rows": 0 is out of range, expected 1 to 131072`},
		{settings(func(c *Config) { c.Stream, c.Streams = "a", []string{"b"} }), `setting "/stream": both`},
		{settings(func(c *Config) { c.Streams = []string{"b", "b"} }), `setting "/streams/1": stream "b" is listed twice`},
		{settings(func(c *Config) { c.Rows, c.Rate = -1, -2 }), `setting "/rate": -2 is negative`},
		{settings(func(c *Config) { c.Fault = Fault{RejectEvery: -1} }), `setting "/fault/reject_every"`},
		{settings(func(c *Config) { c.Columns = []Column{{Name: "a", Type: "int64"}, {Name: "a", Type: "int64"}} }), `setting "/columns/1/name": column "a" is there twice`},
		{column(Column{Type: "int32"}), `setting "/columns/0/type": "int32" is not a type, allowed are`},
		{column(Column{Type: "int64", Generator: "uuid"}), `setting "/columns/0/generator": "uuid" does not make values of type int64, allowed are sequence`},
		{column(Column{Type: "string", Generator: "uniform"}), `"uniform" does not make values of type string`},
		{column(Column{Type: "bool", Generator: "sequence"}), `"sequence" does not make values of type bool`},
		{column(Column{Type: "date", Generator: "normal"}), `"normal" does not make values of type date`},
		{column(Column{Type: "float64", Generator: "text"}), `"text" does not make values of type float64`},
		{column(Column{Type: "int64", Min: raw(`1.5`)}), `setting "/columns/0/min": number "1.5": expected at most 0 digits`},
		{column(Column{Type: "int64", Min: raw(`5`), Max: raw(`4`)}), `min 5 is greater than max`},
		{column(Column{Type: "float64", Min: raw(`5`), Max: raw(`4`)}), `min 5 is greater than max`},
		{column(Column{Type: "int64", Max: raw(`1e999999999`)}), `expected digits`},
		{column(Column{Type: "int64", Max: raw(`99999999999999999999`)}), `too large`},
		{column(Column{Type: "float64", Max: raw(`"NaN"`)}), `expected digits`},
		{column(Column{Type: "timestamp", Min: raw(`"yesterday"`)}), `setting "/columns/0/min": timestamp "yesterday": expected RFC 3339`},
		{column(Column{Type: "timestamp", Step: raw(`"1 day"`)}), `setting "/columns/0/step": duration "1 day"`},
		{column(Column{Type: "date", Generator: "choice", Values: []json.RawMessage{raw(`"2024-02-28"`), raw(`"30.2."`)}}), `setting "/columns/0/values/1": date "30.2."`},
		{column(Column{Type: "bool", Generator: "constant", Value: raw(`1`)}), `setting "/columns/0/value": bool "1": expected true or false`},
		{column(Column{Type: "string", Generator: "constant"}), `setting "/columns/0/value": a constant needs a value`},
		{column(Column{Type: "string", Generator: "choice"}), `setting "/columns/0/values": a choice needs values`},
		{column(Column{Type: "string", Length: 5000}), `setting "/columns/0/length": 5000 is out of range`},
		{column(Column{Type: "decimal", Precision: 19}), `setting "/columns/0/precision": 19 is out of range`},
		{column(Column{Type: "decimal", Scale: &scale}), `setting "/columns/0/scale": 12 is out of range`},
		{column(Column{Type: "int64", NullFraction: 1.5}), `setting "/columns/0/null_fraction": 1.5 is out of range`},
	} {
		err := c.config.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, expected %q", err, c.want)
			continue
		}
		var typed *sdk.Error
		if !errors.As(err, &typed) || typed.Kind != sdk.KindConfig {
			t.Errorf("%v is no config error", err)
		}
	}
}

func TestValuesKeepWithinTheirSettings(t *testing.T) {
	t.Parallel()
	got := read(t, settings(func(c *Config) { c.Rows, c.Columns = 4000, everyKind() }), sdk.ReadRequest{})
	record := got.Records("events")[0]
	first := map[string]string{}
	seen := map[string]map[string]bool{}
	nulls := map[string]int{}
	for i, column := range record.Columns() {
		name := record.ColumnName(i)
		seen[name], nulls[name], first[name] = map[string]bool{}, column.NullN(), column.ValueStr(0)
		for row := range column.Len() {
			seen[name][column.ValueStr(row)] = true
		}
	}
	for name, want := range map[string]int{"whole": 11 + 1, "flag": 2 + 1, "holiday": 2, "shop": 1, "code": 4000, "seq": 4000, "day": 1001, "price": 996} {
		if n := len(seen[name]); n > want || n < want-want/50 {
			t.Errorf("%d different values of %s, expected %d", n, name, want)
		}
	}
	for name, share := range map[string]int{"whole": 800, "flag": 2000, "words": 400, "seq": 0} {
		if n := nulls[name]; n < share*9/10 || n > share*11/10 {
			t.Errorf("%d nulls in %s, expected about %d", n, name, share)
		}
	}
	for name, want := range map[string]string{"seq": "100", "step": "0", "at": "2024-01-01T00:00:00Z", "day": "2024-02-28", "shop": "shop-7"} {
		if first[name] != want {
			t.Errorf("%s begins with %s, expected %s", name, first[name], want)
		}
	}
	words := record.Column(record.Schema().FieldIndices("words")[0]).(*array.String)
	for row := range words.Len() {
		if n := len(words.Value(row)); n > 40 || n < 18 {
			t.Fatalf("text %q of %d characters", words.Value(row), n)
		}
	}
}

// The defaults in the tags are what the runtime fills in; the code's own view of absent settings must agree.
func TestSchemaCarriesTheDefaults(t *testing.T) {
	t.Parallel()
	reflector := jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true}
	schema := reflector.ReflectFromType(reflect.TypeFor[Config]())
	got := map[string]any{}
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		if pair.Value.Default != nil {
			got[pair.Key] = pair.Value.Default
		}
	}
	want := map[string]any{"seed": json.Number("1"), "batch_rows": json.Number("8192")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseWhole(f *testing.F) {
	for _, text := range []string{`1`, `-7`, `"1.25"`, `1e3`, `1e-99`, `"2024-01-01"`, `true`, `null`, `0x1p3`, `1/3`} {
		f.Add(text, 2)
	}
	f.Fuzz(func(_ *testing.T, text string, scale int) {
		for _, kind := range []string{"int64", "decimal", "timestamp", "date", "bool"} {
			_, _ = parseWhole(kind, min(9, max(0, scale)), json.RawMessage(text))
		}
	})
}
