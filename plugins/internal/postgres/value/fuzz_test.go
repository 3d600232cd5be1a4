package value

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Types of the fixture: PostgreSQL's own have its oids.
const (
	oidInt4    = 23
	oidTags    = 1007
	oidAddress = 20_000
	oidPerson  = 20_001
	oidPeople  = 20_002
	oidHstore  = 20_003
	oidStores  = 20_004
)

// fixture is types as a server would have them.
func fixture() map[uint32]*pgType {
	types := map[uint32]*pgType{}
	for oid, name := range map[uint32]string{
		16: "bool", 17: "bytea", 20: "int8", 21: "int2", 23: "int4", 25: "text", 26: "oid", 114: "json", 700: "float4", 701: "float8", 1082: "date", 1083: "time",
		1114: "timestamp", 1184: "timestamptz", 1186: "interval", 1700: "numeric", 2950: "uuid", 3802: "jsonb",
	} {
		types[oid] = &pgType{name: name, schema: "pg_catalog", variety: 'b', delimiter: ',', typmod: -1}
	}
	array := func(oid, element uint32) {
		types[oid] = &pgType{name: "_" + types[element].name, schema: types[element].schema, variety: 'b', array: true, element: element, delimiter: ','}
	}
	array(oidTags, oidInt4)
	array(1231, 1700)
	types[oidAddress] = &pgType{name: "address", schema: "public", variety: 'c', delimiter: ',', attributes: []attribute{{"zip", oidInt4, -1}, {"tags", oidTags, -1}}}
	types[oidPerson] = &pgType{name: "person", schema: "public", variety: 'c', delimiter: ',', attributes: []attribute{
		{"name", 25, -1}, {"home", oidAddress, -1}, {"born", 1082, -1}}}
	array(oidPeople, oidPerson)
	types[oidHstore] = &pgType{name: "hstore", schema: "public", variety: 'b', extension: "hstore", delimiter: ','}
	array(oidStores, oidHstore)
	return types
}

func fixtureColumn(t testing.TB, oid uint32) *Column {
	t.Helper()
	c, err := (&Catalog{types: fixture()}).Column("v", oid, -1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fuzzColumns is columns of every codec.
func fuzzColumns(t testing.TB) []*Column {
	t.Helper()
	catalog := &Catalog{types: fixture()}
	var columns []*Column
	for _, oid := range []uint32{
		16, 17, 20, 21, 23, 25, 26, 700, 701, 1082, 1083, 1114, 1184, 1186, 1700, 2950, 3802, 1231, oidTags, oidAddress, oidPerson, oidPeople, oidHstore, oidStores,
	} {
		typmods := []int32{-1}
		if oid == 1700 || oid == 1231 {
			typmods = append(typmods, 38<<16|10+headerSize, 38<<16|headerSize, 5<<16|5+headerSize)
		}
		for _, typmod := range typmods {
			for _, unheld := range []Unheld{UnheldError, UnheldClamp} {
				if unheld == UnheldClamp && !slices.Contains([]uint32{1082, 1083, 1114, 1184}, oid) {
					continue // it is of times only
				}
				c, err := catalog.Column("v", oid, typmod, Options{Unheld: unheld})
				if err != nil {
					t.Fatal(err)
				}
				columns = append(columns, c)
			}
		}
	}
	return columns
}

// checkValue holds the appending of a value to its promises: exactly one more, an error that is a fault, and an array that is whole.
func checkValue(t *testing.T, c *Column, raw []byte, decode func(array.Builder, []byte) error) string {
	t.Helper()
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer alloc.AssertSize(t, 0)
	b := array.NewBuilder(alloc, c.Type)
	defer b.Release()
	given := bytes.Clone(raw)
	err := decode(b, raw)
	var f *Fault
	if b.Len() != 1 || (err != nil && !errors.As(err, &f)) || !bytes.Equal(raw, given) {
		t.Fatalf("%s: %d values, error %v", c.pgName, b.Len(), err)
	}
	if err := decode(b, raw); b.Len() != 2 || (err == nil) != (f == nil) {
		t.Fatalf("%s: once more: %d values, error %v", c.pgName, b.Len(), err)
	}
	a := b.NewArray()
	defer a.Release()
	if err := array.ValidateFull(a); err != nil {
		t.Fatalf("%s: %v", c.pgName, err)
	}
	if f != nil {
		return ""
	}
	if x, y := a.ValueStr(0), a.ValueStr(1); x != y {
		t.Fatalf("%s: %s and %s", c.pgName, x, y)
	}
	return a.ValueStr(0)
}

func FuzzBinary(f *testing.F) {
	columns := fuzzColumns(f)
	for i := range columns {
		f.Add(uint8(i), []byte{0, 0, 0, 1})
		f.Add(uint8(i), []byte{0, 3, 0, 1, 0x40, 0, 0, 2, 0, 1, 0x27, 0x0f, 0, 0})
		f.Add(uint8(i), bytes.Repeat([]byte{0xff}, 8))
		f.Add(uint8(i), []byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9})
		f.Add(uint8(i), []byte{0, 0, 0, 1, 0, 0, 0, 1, 'k', 0xff, 0xff, 0xff, 0xff})
		f.Add(uint8(i), []byte{0, 0, 0, 2, 0, 0, 0, 23, 0xff, 0xff, 0xff, 0xff, 0, 0, 3, 0xef, 0xff, 0xff, 0xff, 0xff})
	}
	f.Fuzz(func(t *testing.T, i uint8, raw []byte) {
		c := columns[int(i)%len(columns)]
		checkValue(t, c, raw, c.AppendBinary)
	})
}

func FuzzText(f *testing.F) {
	columns := fuzzColumns(f)
	for i := range columns {
		for _, text := range []string{
			"", "t", "-1", "1.50", "-0.0001", "NaN", "Infinity", "infinity", "2024-02-29", "0044-03-15 BC", "2024-02-29 13:45:00.5", "2024-02-29 13:45:00.5+05:30:10 BC", "24:00:00",
			`\x00ff`, "01234567-89ab-cdef-0123-456789abcdef", `{1,NULL,"2"}`, `{{1}}`, `[0:1]={1,2}`, `{"(a,\"(1,\"\"{2}\"\")\",2024-02-29)",NULL}`, `("a""b\\",,)`, `"a"=>"b", "c"=>NULL`,
			`{"\"a\"=>\"b\""}`,
		} {
			f.Add(uint8(i), []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, raw []byte) {
		c := columns[int(i)%len(columns)]
		checkValue(t, c, raw, c.AppendText)
	})
}

// FuzzNumericFormsAgree prints a numeric from its binary form, and reads that: the decimals are the same.
func FuzzNumericFormsAgree(f *testing.F) {
	f.Add(int32(38<<16|10+headerSize), []byte{0, 3, 0, 1, 0x40, 0, 0, 2, 0, 1, 0x27, 0x0f, 0, 0})
	f.Add(int32(38<<16|38+headerSize), []byte{0, 1, 0xff, 0xff, 0, 0, 0, 4, 0x27, 0x0f})
	f.Add(int32(5<<16|3+headerSize), []byte{0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, typmod int32, raw []byte) {
		precision, scale, ok := numericModifier(typmod)
		n, err := readNumeric(raw)
		if !ok || precision < 1 || precision > maxPrecision || scale < 0 || scale > precision || err != nil || n.special() {
			return
		}
		n.display = max(n.display, 4*max(0, n.count()-n.weight-1)) // all of its digits are printed
		c := &Column{Name: "v", kind: decimalKind(kind{}, typmod)}
		c.Type = c.kind.arrow
		fromBinary := checkValue(t, c, raw, c.AppendBinary)
		fromText := checkValue(t, c, n.print(nil), c.AppendText)
		if fromBinary != fromText {
			t.Fatalf("%x as decimal(%d,%d): binary %s, text %s from %s", raw, precision, scale, fromBinary, fromText, n.print(nil))
		}
	})
}

// FuzzCopy cuts a stream in two ways and gets the same rows, and no more of them than the limit allows.
func FuzzCopy(f *testing.F) {
	var good bytes.Buffer
	good.WriteString(signature)
	good.Write(make([]byte, 8))
	for range 2 {
		good.Write([]byte{0, 2, 0, 0, 0, 3, 'a', 'b', 'c', 0xff, 0xff, 0xff, 0xff, 0, 2, 0, 0, 0, 0, 0, 0, 0, 20})
		good.Write(make([]byte, 20))
	}
	f.Add(append(bytes.Clone(good.Bytes()), 0xff, 0xff), uint8(1))
	f.Add(good.Bytes(), uint8(7))
	f.Add(append(bytes.Clone(good.Bytes()), 0, 2, 0x7f, 0xff, 0xff, 0xff), uint8(200))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		whole, err1 := rowsOf(stream, len(stream)+1)
		cut, err2 := rowsOf(stream, int(piece)+1)
		if !bytes.Equal(whole, cut) || (err1 == nil) != (err2 == nil) {
			t.Fatalf("whole: %x, %v; cut: %x, %v", whole, err1, cut, err2)
		}
		if err1 != nil && !errors.Is(err1, ErrStream) {
			t.Fatal(err1)
		}
	})
}

// rowsOf is the rows of a stream of two fields, with a limit of 16 bytes, in a form to compare.
func rowsOf(stream []byte, piece int) ([]byte, error) {
	var seen []byte
	c := NewCopy(2, 16, func(r *Row) error {
		held := 0
		for i, f := range r.Fields {
			held += len(f)
			seen = binary.BigEndian.AppendUint32(seen, uint32(r.Sizes[i]))
			seen = append(append(seen, '['), f...)
			if f == nil {
				seen = append(seen, '!')
			}
		}
		if held > 16 || r.Oversize != (r.Size > 16) {
			panic("a row is larger than the limit")
		}
		return nil
	})
	if _, err := (&cutter{to: c, size: piece}).Write(stream); err != nil {
		return seen, err
	}
	return seen, c.Close()
}
