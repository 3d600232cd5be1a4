package sample

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// plainTypes are the types of one word.
func plainTypes() map[string]arrow.DataType {
	return map[string]arrow.DataType{
		"null": arrow.Null, "bool": arrow.FixedWidthTypes.Boolean, "int8": arrow.PrimitiveTypes.Int8, "int16": arrow.PrimitiveTypes.Int16,
		"int32": arrow.PrimitiveTypes.Int32, "int64": arrow.PrimitiveTypes.Int64, "uint8": arrow.PrimitiveTypes.Uint8,
		"uint16": arrow.PrimitiveTypes.Uint16, "uint32": arrow.PrimitiveTypes.Uint32, "uint64": arrow.PrimitiveTypes.Uint64,
		"float16": arrow.FixedWidthTypes.Float16, "float32": arrow.PrimitiveTypes.Float32, "float64": arrow.PrimitiveTypes.Float64,
		"string": arrow.BinaryTypes.String, "large_string": arrow.BinaryTypes.LargeString, "string_view": arrow.BinaryTypes.StringView,
		"binary": arrow.BinaryTypes.Binary, "large_binary": arrow.BinaryTypes.LargeBinary, "binary_view": arrow.BinaryTypes.BinaryView,
		"date32": arrow.FixedWidthTypes.Date32, "date64": arrow.FixedWidthTypes.Date64,
		"interval_months": arrow.FixedWidthTypes.MonthInterval, "interval_day_time": arrow.FixedWidthTypes.DayTimeInterval,
		"interval_month_day_nano": arrow.FixedWidthTypes.MonthDayNanoInterval,
		"uuid":                    extensions.NewUUIDType(), "bool8": extensions.NewBool8Type(),
	}
}

// ParseType reads a type such as int64, decimal(12,2), timestamp[us, UTC], list<string> or struct<a: int64, b: list<date32>>.
func ParseType(text string) (arrow.DataType, error) {
	p := &parser{rest: text}
	t, err := p.parse()
	if err == nil && p.skip() != "" {
		err = fmt.Errorf("%q is left over", p.rest)
	}
	if err != nil {
		return nil, fmt.Errorf("type %q: %w", text, err)
	}
	return t, nil
}

// parser reads from the front of what is left.
type parser struct{ rest string }

func (p *parser) skip() string {
	p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace)
	return p.rest
}

// take removes a sign if it comes next.
func (p *parser) take(sign string) bool {
	after, ok := strings.CutPrefix(p.skip(), sign)
	if ok {
		p.rest = after
	}
	return ok
}

func (p *parser) expect(sign string) error {
	if !p.take(sign) {
		return fmt.Errorf("expected %q before %q", sign, p.rest)
	}
	return nil
}

// word takes letters, digits and what else names have.
func (p *parser) word() string {
	end := strings.IndexFunc(p.skip(), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_/+-", r)
	})
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

func (p *parser) number() (int32, error) {
	word := p.word()
	n, err := strconv.ParseInt(word, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q: expected a number", word)
	}
	return int32(n), nil
}

func (p *parser) parse() (arrow.DataType, error) {
	name := p.word()
	if t, ok := plainTypes()[name]; ok {
		return t, nil
	}
	switch name {
	case "decimal", "decimal32", "decimal64", "decimal128", "decimal256":
		return p.decimal(name)
	case "fixed":
		return p.fixed()
	case "time", "duration", "timestamp":
		return p.time(name)
	case "list", "large_list", "list_view", "large_list_view", "fixed_list", "map", "dictionary", "run_end":
		return p.container(name)
	case "struct", "union", "dense_union":
		return p.fields(name)
	}
	known := slices.Sorted(maps.Keys(plainTypes()))
	return nil, fmt.Errorf("%q is not a type, allowed are %s, decimal(p,s), fixed(n), time[unit], timestamp[unit, zone], duration[unit], "+
		"list<t>, map<k, v>, struct<name: t, …> and the other containers of the suite's README", name, strings.Join(known, ", "))
}

func (p *parser) decimal(name string) (arrow.DataType, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	precision, err := p.number()
	if err != nil {
		return nil, err
	}
	scale := int32(0)
	if p.take(",") {
		if scale, err = p.number(); err != nil {
			return nil, err
		}
	}
	bits := map[string]struct {
		id   arrow.Type
		most int32
	}{"decimal": {arrow.DECIMAL128, 38}, "decimal32": {arrow.DECIMAL32, 9}, "decimal64": {arrow.DECIMAL64, 18},
		"decimal128": {arrow.DECIMAL128, 38}, "decimal256": {arrow.DECIMAL256, 76}}[name]
	if precision < 1 || precision > bits.most {
		return nil, fmt.Errorf("%s with %d digits, 1 to %d are allowed", name, precision, bits.most)
	}
	t, err := arrow.NewDecimalType(bits.id, precision, scale)
	if err != nil {
		return nil, err
	}
	return t, p.expect(")")
}

func (p *parser) fixed() (arrow.DataType, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	width, err := p.number()
	if err != nil {
		return nil, err
	}
	return &arrow.FixedSizeBinaryType{ByteWidth: int(width)}, p.expect(")")
}

func (p *parser) time(name string) (arrow.DataType, error) {
	if err := p.expect("["); err != nil {
		return nil, err
	}
	word := p.word()
	unit, ok := map[string]arrow.TimeUnit{"s": arrow.Second, "ms": arrow.Millisecond, "us": arrow.Microsecond, "ns": arrow.Nanosecond}[word]
	if !ok {
		return nil, fmt.Errorf("unit %q, allowed are s, ms, us, ns", word)
	}
	zone := ""
	if name == "timestamp" && p.take(",") {
		p.take("tz=")
		zone = p.word()
	}
	if err := p.expect("]"); err != nil {
		return nil, err
	}
	switch {
	case name == "duration":
		return &arrow.DurationType{Unit: unit}, nil
	case name == "timestamp":
		return &arrow.TimestampType{Unit: unit, TimeZone: zone}, nil
	case unit == arrow.Second || unit == arrow.Millisecond:
		return &arrow.Time32Type{Unit: unit}, nil
	}
	return &arrow.Time64Type{Unit: unit}, nil
}

// container reads the types between angle brackets.
func (p *parser) container(name string) (arrow.DataType, error) {
	if err := p.expect("<"); err != nil {
		return nil, err
	}
	first, err := p.parse()
	if err != nil {
		return nil, err
	}
	t, err := p.around(name, first)
	if err != nil {
		return nil, err
	}
	return t, p.expect(">")
}

func (p *parser) around(name string, first arrow.DataType) (arrow.DataType, error) {
	switch name {
	case "list":
		return arrow.ListOf(first), nil
	case "large_list":
		return arrow.LargeListOf(first), nil
	case "list_view":
		return arrow.ListViewOf(first), nil
	case "large_list_view":
		return arrow.LargeListViewOf(first), nil
	case "dictionary":
		return &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: first}, nil
	case "run_end":
		return arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, first), nil
	}
	if err := p.expect(","); err != nil {
		return nil, err
	}
	if name == "fixed_list" {
		n, err := p.number()
		return arrow.FixedSizeListOf(n, first), err
	}
	items, err := p.parse()
	if err != nil {
		return nil, err
	}
	return arrow.MapOf(first, items), nil
}

func (p *parser) fields(name string) (arrow.DataType, error) {
	if err := p.expect("<"); err != nil {
		return nil, err
	}
	var fields []arrow.Field
	for !p.take(">") {
		if len(fields) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		f := arrow.Field{Name: p.word(), Nullable: true}
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		var err error
		if f.Type, err = p.parse(); err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	codes := make([]arrow.UnionTypeCode, len(fields))
	for i := range codes {
		codes[i] = arrow.UnionTypeCode(i)
	}
	switch name {
	case "union":
		return arrow.SparseUnionOf(fields, codes), nil
	case "dense_union":
		return arrow.DenseUnionOf(fields, codes), nil
	}
	return arrow.StructOf(fields...), nil
}
