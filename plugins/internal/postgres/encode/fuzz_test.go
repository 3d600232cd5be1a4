package encode

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
)

// FuzzStream holds encoded rows against the decoder next door, whatever the text is.
func FuzzStream(f *testing.F) {
	f.Add("12.50", "a\x00b")
	f.Add("-1e-7", `"`)
	f.Add("NaN", "日本")
	f.Fuzz(func(t *testing.T, number, text string) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
			{Name: "n", Type: arrow.BinaryTypes.String}, {Name: "t", Type: arrow.BinaryTypes.String},
		}, nil))
		defer b.Release()
		b.Field(0).(*array.StringBuilder).AppendValues([]string{number, "1", number}, []bool{true, true, true})
		b.Field(1).(*array.StringBuilder).AppendValues([]string{text, text, ""}, []bool{true, true, false})
		record := b.NewRecordBatch()
		defer record.Release()
		var cells []Cells
		for i, name := range []string{"numeric", "text"} {
			c, err := New(record.Schema().Field(i), Type{Name: name, Kind: 'b', Builtin: true, Mod: -1})
			if err != nil {
				t.Fatal(err)
			}
			cells = append(cells, c.Cells(record.Column(i)))
		}
		rows := NewRows(cells, 0, 3, nil)
		var stream bytes.Buffer
		if _, err := stream.ReadFrom(rows); err != nil {
			t.Fatal(err)
		}
		if len(rows.Faults())+rows.Sent() != 3 {
			t.Fatalf("%d rows of 3", len(rows.Faults())+rows.Sent())
		}
		line := 0
		decoder := value.NewCopy(2, 1<<30, func(r *value.Row) error {
			line++
			row, _ := rows.Line(line)
			if want := record.Column(1).(*array.String).Value(row); string(r.Fields[1]) != want {
				t.Errorf("text %q, want %q", r.Fields[1], want)
			}
			if row != 1 {
				sameNumber(t, number, r.Fields[0])
			}
			return nil
		})
		if _, err := decoder.Write(stream.Bytes()); err != nil {
			t.Fatal(err)
		}
		if err := decoder.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// sameNumber compares a numeric's binary form with what it was made of, as big.Rat reads it.
func sameNumber(t *testing.T, text string, raw []byte) {
	t.Helper()
	if e := strings.IndexAny(text, "eE"); e >= 0 && len(text)-e > 4 {
		return // a power that takes big.Rat very long
	}
	want, ok := new(big.Rat).SetString(strings.TrimSpace(text))
	if !ok {
		return // NaN and infinities
	}
	got := new(big.Rat)
	count, weight, sign := int(raw[0])<<8|int(raw[1]), int(int16(uint16(raw[2])<<8|uint16(raw[3]))), uint16(raw[4])<<8|uint16(raw[5])
	for i := range count {
		digit := int64(raw[8+2*i])<<8 | int64(raw[9+2*i])
		place := new(big.Rat).SetFrac(new(big.Int).Exp(big.NewInt(10_000), big.NewInt(int64(max(weight-i, 0))), nil),
			new(big.Int).Exp(big.NewInt(10_000), big.NewInt(int64(max(i-weight, 0))), nil))
		got.Add(got, place.Mul(place, new(big.Rat).SetInt64(digit)))
	}
	if sign == signNegative {
		got.Neg(got)
	}
	if got.Cmp(want) != 0 {
		t.Errorf("%q became %s", text, got)
	}
}
