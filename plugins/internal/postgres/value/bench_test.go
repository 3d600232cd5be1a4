package value

import (
	"encoding/binary"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

const benchRows = 8192

// benchStream is rows of (int4, int4, int4, text) as COPY sends them.
func benchStream() []byte {
	s := append([]byte(signature), make([]byte, 8)...)
	for i := range uint32(benchRows) {
		s = append(s, 0, 4)
		for _, v := range []uint32{i, i / 7, i * 3} {
			s = binary.BigEndian.AppendUint32(append(s, 0, 0, 0, 4), v)
		}
		text := "customer number " + strconv.Itoa(int(i))
		s = append(binary.BigEndian.AppendUint32(s, uint32(len(text))), text...)
	}
	return append(s, trailer...)
}

type bench struct {
	columns  []*Column
	builders []array.Builder
}

func newBench(b *testing.B) *bench {
	b.Helper()
	n := &bench{}
	for _, oid := range []uint32{23, 23, 23, 25} {
		c := fixtureColumn(b, oid)
		builder := array.NewBuilder(memory.NewGoAllocator(), c.Type)
		b.Cleanup(builder.Release)
		n.columns, n.builders = append(n.columns, c), append(n.builders, builder)
	}
	return n
}

// next makes room for a batch, as a source does that knows how large its batches are.
func (n *bench) next() {
	for _, b := range n.builders {
		b.NewArray().Release()
		b.Reserve(benchRows)
		if s, ok := b.(*array.StringBuilder); ok {
			s.ReserveData(benchRows * 24)
		}
	}
}

func benchmarkCopy(b *testing.B, piece int) {
	stream, n := benchStream(), newBench(b)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		n.next()
		c := NewCopy(4, 16<<20, func(r *Row) error { return AppendRow(n.columns, n.builders, r.Fields) })
		for rest := stream; len(rest) > 0; {
			m := min(piece, len(rest))
			if _, err := c.Write(rest[:m]); err != nil {
				b.Fatal(err)
			}
			rest = rest[m:]
		}
		if err := c.Close(); err != nil || n.builders[0].Len() != benchRows {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)*benchRows/(processorTime(b)-before).Seconds(), "rows/core-s")
}

// processorTime is what this process has used: on a busy machine it says more than the clock.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkCopyBinary(b *testing.B) {
	b.Run("pieces=64KiB", func(b *testing.B) { benchmarkCopy(b, 64<<10) })
	b.Run("pieces=rows", func(b *testing.B) { benchmarkCopy(b, 58) }) // about one row: most are cut
}

func BenchmarkValue(b *testing.B) {
	columns := map[string]*Column{}
	for name, oid := range map[string]uint32{"int8": 20, "float8": 701, "timestamptz": 1184, "text": 25, "numeric": 1700, "uuid": 2950, "date": 1082} {
		columns[name] = fixtureColumn(b, oid)
	}
	decimal, err := (&Catalog{types: fixture()}).Column("v", 1700, 12<<16|2+headerSize, Options{})
	if err != nil {
		b.Fatal(err)
	}
	columns["decimal"] = decimal
	number := []byte{0, 3, 0, 1, 0x40, 0, 0, 2, 0, 1, 0x09, 0x29, 0x17, 0x70}
	for _, c := range []struct {
		name   string
		binary []byte
		text   string
	}{
		{"int8", []byte{0, 0, 0, 0, 7, 0x5b, 0xcd, 0x15}, "123456789"}, {"float8", []byte{0x40, 0x09, 0x21, 0xfb, 0x54, 0x44, 0x2d, 0x18}, "3.141592653589793"},
		{"timestamptz", []byte{0, 2, 0xb5, 0, 0, 0, 0, 0}, "2024-02-29 13:45:00.123456+00"}, {"text", []byte("customer number 17"), "customer number 17"},
		{"numeric", number, "-12345.60"}, {"decimal", number, "-12345.60"}, {"uuid", make([]byte, 16), "01234567-89ab-cdef-0123-456789abcdef"}, {"date", []byte{0, 0, 0x22, 0}, "2024-02-29"},
	} {
		benchmarkValue(b, c.name+"/binary", columns[c.name], columns[c.name].AppendBinary, c.binary)
		benchmarkValue(b, c.name+"/text", columns[c.name], columns[c.name].AppendText, []byte(c.text))
	}
}

func benchmarkValue(b *testing.B, name string, c *Column, decode func(array.Builder, []byte) error, raw []byte) {
	b.Run(name, func(b *testing.B) {
		builder := array.NewBuilder(memory.NewGoAllocator(), c.Type)
		defer builder.Release()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%benchRows == 0 {
				builder.NewArray().Release()
				builder.Reserve(benchRows)
			}
			if err := decode(builder, raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestCommonValuesTakeNoMemoryOfTheirOwn decodes into builders that have room.
func TestCommonValuesTakeNoMemoryOfTheirOwn(t *testing.T) {
	for name, c := range map[string]struct {
		oid    uint32
		typmod int32
		binary []byte
		text   string
	}{
		"int4": {23, -1, []byte{0, 0, 0, 1}, "-17"}, "int8": {20, -1, make([]byte, 8), "17"}, "float8": {701, -1, make([]byte, 8), "1.5e300"},
		"timestamptz": {1184, -1, make([]byte, 8), "2024-02-29 13:45:00.123456+00"}, "text": {25, -1, []byte("abc"), "abc"}, "date": {1082, -1, make([]byte, 4), "2024-02-29"},
		"numeric": {1700, -1, []byte{0, 1, 0, 1, 0x40, 0, 0, 2, 0, 1}, "-10000.00"}, "decimal": {1700, 12<<16 | 2 + headerSize, []byte{0, 1, 0, 1, 0x40, 0, 0, 2, 0, 1}, "-10000.00"},
		"uuid": {2950, -1, make([]byte, 16), "01234567-89ab-cdef-0123-456789abcdef"}, "jsonb": {3802, -1, []byte("\x01{}"), "{}"}, "bytea": {17, -1, []byte("abc"), `\x0102`},
	} {
		column, err := (&Catalog{types: fixture()}).Column("v", c.oid, c.typmod, Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := newBuilder(t, column.Type)
		b.Reserve(4096)
		if s, ok := b.(interface{ ReserveData(int) }); ok {
			s.ReserveData(1 << 16)
		}
		text := []byte(c.text)
		allocated := testing.AllocsPerRun(1000, func() {
			if column.AppendBinary(b, c.binary) != nil || column.AppendText(b, text) != nil {
				t.Fatalf("%s is not read", name)
			}
		})
		if allocated != 0 {
			t.Errorf("%s: %g allocations for a value", name, allocated)
		}
	}
}
