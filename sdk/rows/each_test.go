package rows_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk/rows"
)

func TestEachReadsOtherWidthsIfTheValuesFit(t *testing.T) {
	t.Parallel()
	type written struct {
		A int64
		B uint8
		C float32
		D *uint64
	}
	type wanted struct {
		D *int16
		C float64
		B int32
		A uint8
	}
	batch := build(t, written{A: 200, B: 7, C: 1.5}, written{A: -1}, written{A: 300}, written{A: 1, D: new(uint64)}, written{D: new(uint64(math.MaxUint64))})
	var got []wanted
	var errs []string
	for row, err := range rows.Each[wanted](batch) {
		got = append(got, row)
		if err != nil {
			errs = append(errs, err.Error())
		}
	}
	want := []wanted{{A: 200, B: 7, C: 1.5}, {}, {}, {A: 1, D: new(int16(0))}, {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantErrs := []string{
		`row 1: field "A": number -1, expected uint8`, `row 2: field "A": number 300, expected uint8`,
		`row 4: field "D": number 18446744073709551615, expected int16`,
	}
	if diff := cmp.Diff(wantErrs, errs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEachNamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	type written struct {
		A *int64
		B string
	}
	batch := build(t, written{B: "x"})
	for row, err := range rows.Each[struct{ A int64 }](batch) {
		contains(t, err, "row 0", `"A"`, "null", "int64", "pointer")
		if row.A != 0 {
			t.Errorf("a row that can't be read is %v", row)
		}
	}
	calls := 0
	for _, err := range rows.Each[struct {
		B int32
		C string
		A []int
	}](batch) {
		contains(t, err, `"B"`, "utf8", "int32", `"C"`, "no such column", `"A"`, "list")
		calls++
	}
	if calls != 1 {
		t.Errorf("%d rows of a record of another shape", calls)
	}
	for range rows.Each[written](batch) {
		break
	}
}

func TestEachGivesCopiesThatOutliveTheRecord(t *testing.T) {
	t.Parallel()
	type row struct {
		S string
		B []byte
		J json.RawMessage
	}
	want := row{S: "some text", B: []byte("some bytes"), J: json.RawMessage(`{}`)}
	b := builder[row](t)
	if err := b.Append(want); err != nil {
		t.Fatal(err)
	}
	batch := b.Batch()
	got := read[row](t, batch)
	for _, column := range batch.Columns() {
		clear(column.Data().Buffers()[2].Bytes())
	}
	batch.Release()
	if diff := cmp.Diff([]row{want}, got); diff != "" {
		t.Error(diff)
	}
}
