package sample_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk/conformance/sample"
	"github.com/qanat-data/qanat/sdk/wire"
)

func rows(t *testing.T, in sample.Input, seed uint64, from, n int) arrow.RecordBatch {
	t.Helper()
	record, err := in.Rows(seed, from, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(record.Release)
	return record
}

func TestEveryTypeMakesRowsThatTravel(t *testing.T) {
	t.Parallel()
	for _, c := range sample.Every() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			record := rows(t, sample.Input{Name: "x", Columns: []sample.Column{c}}, 7, 0, 200)
			message, err := wire.EncodeSchema(record.Schema())
			if err != nil {
				t.Fatal(err)
			}
			decoder, err := wire.NewDecoder(message, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer decoder.Close()
			encoder := wire.NewEncoder(record.Schema())
			defer encoder.Close()
			part := record.NewSlice(50, 150)
			defer part.Release()
			body, err := encoder.Encode(part)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Release()
			back, err := decoder.Decode(body.Join())
			if err != nil {
				t.Fatal(err)
			}
			defer back.Release()
			if !array.RecordEqual(part, back) && !strings.HasPrefix(c.Name, "float") && !strings.Contains(c.Name, "float64") {
				t.Errorf("%v came back as %v", part, back)
			}
		})
	}
}

func TestRowsDoNotDependOnThePortion(t *testing.T) {
	t.Parallel()
	in := sample.Common("x")
	whole, part := rows(t, in, 3, 0, 50), rows(t, in, 3, 20, 10)
	slice := whole.NewSlice(20, 30)
	defer slice.Release()
	for i := range whole.NumCols() {
		for row := range 10 {
			if a, b := slice.Column(int(i)).ValueStr(row), part.Column(int(i)).ValueStr(row); a != b {
				t.Errorf("column %d row %d: %s, in another portion %s", i, row, a, b)
			}
		}
	}
}

func TestChangedRowsDifferInOneColumn(t *testing.T) {
	t.Parallel()
	in := sample.Common("x")
	base := rows(t, in, 3, 0, 50)
	for _, variant := range []uint64{1, 2, sample.Null} {
		changed, err := in.Changed(3, 0, 50, sample.Change{Column: 1, Variant: variant})
		if err != nil {
			t.Fatal(err)
		}
		defer changed.Release()
		for i := range base.NumCols() {
			different := 0
			for row := range 50 {
				if base.Column(int(i)).ValueStr(row) != changed.Column(int(i)).ValueStr(row) {
					different++
				}
			}
			if i == 1 && different < 30 || i != 1 && different > 0 {
				t.Errorf("variant %d: column %d differs in %d rows", variant, i, different)
			}
		}
	}
}

func TestSchemaFile(t *testing.T) {
	t.Parallel()
	inputs, err := sample.Parse([]byte("inputs:\n  orders:\n    zeta: int64\n    amount: {type: 'decimal(12,2)', values: ['1.50', 2], required: true}\n"+
		"  customers: {name: 'struct<first: string, tags: list<dictionary<string>>>'}\n"), "unused")
	if err != nil {
		t.Fatal(err)
	}
	got := inputs[0].Schema().String() + inputs[1].Schema().String()
	for _, want := range []string{"zeta: type=int64, nullable", "amount: type=decimal(12, 2)", "struct<first: utf8"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in %s", want, got)
		}
	}
	if strings.Index(got, "zeta") > strings.Index(got, "amount") {
		t.Error("the columns are not in the order of the file")
	}
	for value := range rows(t, inputs[0], 1, 0, 20).NumRows() {
		if v := rows(t, inputs[0], 1, 0, 20).Column(1).ValueStr(int(value)); v != "1.5" && v != "2" {
			t.Errorf("value %s", v)
		}
	}
}

func TestSchemaFileFaultsAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"columns: {a: int65}":                      `"int65" is not a type`,
		"columns: {a: list<int64}":                 `expected ">"`,
		"columns: {a: 'decimal(40,2)'}":            "1 to 38",
		"columns: {a: {kind: int64}}":              `"kind" is unknown`,
		"columns: {a: {type: int64, required: 7}}": "required is of a wrong type",
		"columns: {a: 5}":                          "expected a type",
		"inputs: {a: 5}":                           "expected columns",
		"rows: 5":                                  "rows",
		"columns: {a: int64}\ninputs: {a: {b: x}}": "either",
		"columns: {a: 'timestamp[h]'}":             `unit "h"`,
	} {
		if _, err := sample.Parse([]byte(text), "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", text, err, want)
		}
	}
}

func FuzzParseType(f *testing.F) {
	for _, c := range sample.Every() {
		f.Add(c.Name)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if parsed, err := sample.ParseType(text); err == nil && parsed == nil {
			t.Error("neither a type nor an error")
		}
	})
}
