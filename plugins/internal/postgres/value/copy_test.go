package value

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/internal/pgtest"
)

// seenRow is a row's fields with "-" for a null and "…" for one that is not held.
type seenRow struct {
	fields   string
	size     int64
	oversize bool
}

func collect(into *[]seenRow) func(*Row) error {
	return func(r *Row) error {
		var fields []string
		for i, f := range r.Fields {
			switch {
			case f != nil:
				fields = append(fields, string(f))
			case r.Sizes[i] == -1:
				fields = append(fields, "-")
			default:
				fields = append(fields, "…")
			}
		}
		*into = append(*into, seenRow{strings.Join(fields, ","), r.Size, r.Oversize})
		return nil
	}
}

// streamOf is a COPY stream without its trailer; - stands for a null.
func streamOf(rows ...[]string) []byte {
	s := append([]byte(signature), 0, 0, 0, 0, 0, 0, 0, 3, 'e', 'x', 't')
	for _, row := range rows {
		s = binary.BigEndian.AppendUint16(s, uint16(len(row)))
		for _, f := range row {
			if f == "-" {
				s = binary.BigEndian.AppendUint32(s, 0xffffffff)
				continue
			}
			s = append(binary.BigEndian.AppendUint32(s, uint32(len(f))), f...)
		}
	}
	return s
}

var trailer = []byte{0xff, 0xff}

func TestRowsComeOutHoweverTheStreamIsCut(t *testing.T) {
	t.Parallel()
	stream := append(streamOf([]string{"a", "", "-"}, []string{"-", "-", "-"}, []string{strings.Repeat("x", 30), "bc", ""}, []string{"1", "2", "3"},
		[]string{"key", strings.Repeat("y", 11), "z"}, []string{"", "", ""}), trailer...)
	want := []seenRow{
		{"a,,-", 1, false}, {"-,-,-", 0, false}, {"…,bc,", 32, true}, {"1,2,3", 3, false}, {"key,…,z", 15, true}, {",,", 0, false},
	}
	for piece := 1; piece <= len(stream); piece++ {
		var got []seenRow
		c := NewCopy(3, 12, collect(&got))
		if _, err := (&cutter{to: c, size: piece}).Write(stream); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(seenRow{})); diff != "" {
			t.Fatalf("pieces of %d bytes: %s", piece, diff)
		}
	}
	var got []seenRow
	c := NewCopy(3, 12, collect(&got))
	if _, err := io.Copy(c, iotest.HalfReader(bytes.NewReader(stream))); err != nil || c.Close() != nil || len(got) != len(want) {
		t.Errorf("from a reader: %v, error %v", got, err)
	}
}

func TestStreamsThatAreNotWholeAreErrors(t *testing.T) {
	t.Parallel()
	good := append(streamOf([]string{"a", "b"}, []string{"-", strings.Repeat("x", 100)}), trailer...)
	for n := range good {
		c := NewCopy(2, 50, func(*Row) error { return nil })
		_, err := c.Write(good[:n])
		if closed := c.Close(); err != nil || !errors.Is(closed, ErrStream) {
			t.Errorf("%d bytes of %d: errors %v, %v", n, len(good), err, closed)
		}
	}
	change := func(at int, v byte) []byte {
		s := bytes.Clone(good)
		s[at] = v
		return s
	}
	row := len(signature) + 8 + 3
	for name, stream := range map[string][]byte{
		"signature": change(3, 'X'), "flags": change(len(signature)+1, 1), "extension": change(len(signature)+4, 0x80), "count": change(row+1, 3),
		"length": change(row+2, 0x80), "more after the trailer": append(bytes.Clone(good), 0),
	} {
		for _, piece := range []int{1, 1000} {
			c := NewCopy(2, 50, func(*Row) error { return nil })
			_, err := (&cutter{to: c, size: piece}).Write(stream)
			if !errors.Is(err, ErrStream) || !errors.Is(c.Close(), ErrStream) {
				t.Errorf("%s: error %v", name, err)
			}
			if _, again := c.Write([]byte{0}); !errors.Is(again, ErrStream) {
				t.Errorf("%s: written on after the error: %v", name, again)
			}
		}
	}
}

func TestCallersErrorEndsTheStream(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	rows := 0
	c := NewCopy(1, 50, func(*Row) error { rows++; return stop })
	if _, err := c.Write(append(streamOf([]string{"a"}, []string{"b"}), trailer...)); !errors.Is(err, stop) || !errors.Is(c.Close(), stop) || rows != 1 {
		t.Errorf("error %v after %d rows", err, rows)
	}
}

// TestLargeValuesAreReadPastWithoutBeingHeld has a server send a value of 200 MB.
func TestLargeValuesAreReadPastWithoutBeingHeld(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Shared(t).Database(t))
	var got []seenRow
	c := NewCopy(3, 1000, collect(&got))
	largest := 0
	sql := "copy (select n, case n when 2 then repeat('x', 200000000) else 'small' end, n + 1 from generate_series(1, 3) n) to stdout (format binary)"
	write := writer(func(p []byte) (int, error) {
		n, err := c.Write(p)
		largest = max(largest, cap(c.held))
		return n, err
	})
	if _, err := conn.CopyTo(t.Context(), &cut64K{write}, sql); err != nil {
		t.Fatal(err)
	}
	want := []seenRow{
		{"\x00\x00\x00\x01,small,\x00\x00\x00\x02", 13, false}, {"\x00\x00\x00\x02,…,\x00\x00\x00\x03", 200_000_008, true}, {"\x00\x00\x00\x03,small,\x00\x00\x00\x04", 13, false},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(seenRow{})); diff != "" || c.Close() != nil || largest > 8000 {
		t.Errorf("%d bytes are held; %s", largest, diff)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

type cut64K struct{ to writer }

func (c *cut64K) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m, err := c.to(p[n:min(len(p), n+64<<10)])
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}
