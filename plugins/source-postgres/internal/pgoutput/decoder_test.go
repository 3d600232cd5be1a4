package pgoutput_test

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

func TestEveryShortenedOrLengthenedMessageIsRefused(t *testing.T) {
	t.Parallel()
	for _, stream := range recorded(t, "seeds/*.bin") {
		var whole pgoutput.Decoder
		for _, m := range unpacked(stream) {
			if len(m) > 500 {
				continue
			}
			for n := range len(m) {
				d := whole // in the same block
				if _, err := d.Decode(m[:n:n]); !errors.Is(err, pgoutput.ErrMalformed) {
					t.Fatalf("%q is taken for a message (%v)", m[:n], err)
				}
			}
			d := whole
			if _, err := d.Decode(append(slices.Clip(m), 0)); !errors.Is(err, pgoutput.ErrMalformed) {
				t.Fatalf("%q with a byte too many is taken for a message (%v)", m, err)
			}
			if _, err := whole.Decode(m); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Counts that the bytes don't hold must not be allocated for.
func TestAnnouncedCountsAreNotBelieved(t *testing.T) { // alone, for it counts the process's allocations
	for name, m := range map[string][]byte{
		"columns of a tuple":    {'I', 0, 0, 0, 1, 'N', 0xFF, 0xFF, 'n'},
		"columns of a relation": {'R', 0, 0, 0, 1, 0, 0, 'd', 0xFF, 0xFF, 0},
		"truncated tables":      {'T', 0xFF, 0xFF, 0xFF, 0xFF, 0, 0},
		"a value's length":      {'I', 0, 0, 0, 1, 'N', 0, 1, 't', 0xFF, 0xFF, 0xFF, 0xFF, 0},
		"a content's length":    {'M', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const runs = 1000
		for range runs {
			var d pgoutput.Decoder
			if _, err := d.Decode(m); !errors.Is(err, pgoutput.ErrMalformed) {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / runs; each > 4096 {
			t.Errorf("%s: %d bytes are allocated", name, each)
		}
	}
}

func TestRowsAreDecodedWithoutAllocations(t *testing.T) {
	row := encode(&pgoutput.Update{
		Relation: 1, Sent: pgoutput.SentRow, Old: []pgoutput.Column{{Kind: pgoutput.KindNull}},
		New: []pgoutput.Column{{Kind: pgoutput.KindText, Data: []byte("value")}},
	}, false)
	var d pgoutput.Decoder
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Decode(row); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a row", n)
	}
	m, err := d.Decode(row)
	if err != nil {
		t.Fatal(err)
	}
	value := m.(*pgoutput.Update).New[0].Data
	row[len(row)-1] = '!'
	if string(value) != "valu!" {
		t.Errorf("the value is a copy: %s", value)
	}
}

func TestLSNText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]pgoutput.LSN{"0/0": 0, "16/B374D848": 0x16_B374D848, "FFFFFFFF/FFFFFFFF": 1<<64 - 1, "1/0": 1 << 32} {
		got, err := pgoutput.ParseLSN(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		var back pgoutput.LSN
		if written, _ := got.MarshalText(); back.UnmarshalText(written) != nil || back != want {
			t.Errorf("%s: %v", text, back)
		}
	}
	for _, text := range []string{"", "/", "1", "1/", "/1", "1/2/3", "100000000/0", "0/100000000", "g/0", "-1/0", "+1/0", " 1/0", "1_0/0", "0x1/0"} {
		if got, err := pgoutput.ParseLSN(text); err == nil {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
	if a, b := pgoutput.LSN(255).Bytes(), pgoutput.LSN(256).Bytes(); string(a) >= string(b) || len(a) != 8 {
		t.Errorf("%x and %x", a, b)
	}
}
