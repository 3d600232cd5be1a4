package contract

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// Decimal precision that Arrow's two decimal types hold.
const (
	maxPrecision128 = 38
	maxPrecision256 = 76
)

// ArrowType gives the Arrow type of the property's values. ODCS v3.1.0 names logical types and leaves widths to
// logicalTypeOptions.format (Rust's names) and physicalType, so the mapping is
//
//	string     utf8; binary where the format is binary or the physical type is bytea, blob, varbinary …
//	boolean    bool
//	integer    the format i8 … u64 as int8 … uint64, i128 and u128 as decimal(39,0); else the physical type
//	           (smallint, int, numeric(p,0) …); else int64. ODCS's default of i32 is not applied: few authors mean it,
//	           and it would refuse good data
//	number     the format f32 or f64; else the physical type, decimal(p,s) as decimal128 or, above 38 digits,
//	           decimal256; else float64. float without a width counts as double, as in PostgreSQL
//	date       date32; where the physical type is a timestamp or a time, that: v3.0.x has no other logical type for them
//	timestamp  timestamp[us]; in UTC where the option timezone is true or, if it isn't given, the physical type has a zone
//	time       time64[us]
//	array      list of items
//	object     struct of properties; utf8 where none are listed and the physical type is json or text
//
// Without a logicalType the physical type decides alone. A field is nullable unless it is required or part of the
// primary key. The error says what is missing where the contract leaves the type open.
func (p *Property) ArrowType() (arrow.DataType, error) {
	t := parsePhysical(p.PhysicalType)
	switch p.LogicalType {
	case "string":
		if t.family() == familyBinary || p.format() == "binary" {
			return arrow.BinaryTypes.Binary, nil
		}
		return arrow.BinaryTypes.String, nil
	case "boolean":
		return arrow.FixedWidthTypes.Boolean, nil
	case "integer":
		return p.integerType(t)
	case "number":
		return p.numberType(t)
	case "date", "timestamp", "time":
		return p.temporalType(t), nil
	case "array":
		return p.listType()
	case "object":
		return p.structType(t)
	default:
		return p.physicalOnly(t)
	}
}

func (p *Property) format() string {
	if p.LogicalTypeOptions == nil {
		return ""
	}
	return p.LogicalTypeOptions.Format
}

var widths = map[string]arrow.DataType{
	"i8": arrow.PrimitiveTypes.Int8, "i16": arrow.PrimitiveTypes.Int16,
	"i32": arrow.PrimitiveTypes.Int32, "i64": arrow.PrimitiveTypes.Int64,
	"u8": arrow.PrimitiveTypes.Uint8, "u16": arrow.PrimitiveTypes.Uint16,
	"u32": arrow.PrimitiveTypes.Uint32, "u64": arrow.PrimitiveTypes.Uint64,
	"i128": &arrow.Decimal256Type{Precision: 39}, "u128": &arrow.Decimal256Type{Precision: 39},
	"f32": arrow.PrimitiveTypes.Float32, "f64": arrow.PrimitiveTypes.Float64,
}

func (p *Property) integerType(t physical) (arrow.DataType, error) {
	if w, ok := widths[p.format()]; ok {
		return w, nil
	}
	switch t.family() {
	case familyInteger:
		return t.integer(), nil
	case familyDecimal:
		if len(t.args) > 0 {
			return t.decimal(p.PhysicalType)
		}
	}
	return arrow.PrimitiveTypes.Int64, nil
}

func (p *Property) numberType(t physical) (arrow.DataType, error) {
	if w, ok := widths[p.format()]; ok {
		return w, nil
	}
	switch t.family() {
	case familyInteger:
		return t.integer(), nil
	case familyDecimal:
		return t.decimal(p.PhysicalType)
	case familyFloat:
		return t.float(), nil
	}
	if p.PhysicalType != "" {
		return nil, fmt.Errorf("physicalType %q of a number is not known: expected an integer, float or decimal type", p.PhysicalType)
	}
	return arrow.PrimitiveTypes.Float64, nil
}

func (t physical) integer() arrow.DataType {
	narrow := map[string]arrow.DataType{
		"tinyint": arrow.PrimitiveTypes.Int8, "int1": arrow.PrimitiveTypes.Int8, "i8": arrow.PrimitiveTypes.Int8,
		"smallint": arrow.PrimitiveTypes.Int16, "int2": arrow.PrimitiveTypes.Int16, "int16": arrow.PrimitiveTypes.Int16,
		"smallserial": arrow.PrimitiveTypes.Int16, "serial2": arrow.PrimitiveTypes.Int16, "short": arrow.PrimitiveTypes.Int16,
		"i16": arrow.PrimitiveTypes.Int16,
		"int": arrow.PrimitiveTypes.Int32, "integer": arrow.PrimitiveTypes.Int32, "int4": arrow.PrimitiveTypes.Int32,
		"int32": arrow.PrimitiveTypes.Int32, "serial": arrow.PrimitiveTypes.Int32, "serial4": arrow.PrimitiveTypes.Int32,
		"mediumint": arrow.PrimitiveTypes.Int32, "i32": arrow.PrimitiveTypes.Int32,
		"uint8": arrow.PrimitiveTypes.Uint8, "u8": arrow.PrimitiveTypes.Uint8,
		"uint16": arrow.PrimitiveTypes.Uint16, "u16": arrow.PrimitiveTypes.Uint16,
		"uint32": arrow.PrimitiveTypes.Uint32, "u32": arrow.PrimitiveTypes.Uint32,
		"uint64": arrow.PrimitiveTypes.Uint64, "u64": arrow.PrimitiveTypes.Uint64,
		"hugeint": &arrow.Decimal256Type{Precision: 39},
	}
	found, ok := narrow[t.name]
	if !ok {
		found = arrow.PrimitiveTypes.Int64
	}
	if t.unsigned {
		return unsigned[found.ID()]
	}
	return found
}

var unsigned = map[arrow.Type]arrow.DataType{
	arrow.INT8: arrow.PrimitiveTypes.Uint8, arrow.INT16: arrow.PrimitiveTypes.Uint16,
	arrow.INT32: arrow.PrimitiveTypes.Uint32, arrow.INT64: arrow.PrimitiveTypes.Uint64,
	arrow.DECIMAL256: &arrow.Decimal256Type{Precision: 39},
	arrow.UINT8:      arrow.PrimitiveTypes.Uint8, arrow.UINT16: arrow.PrimitiveTypes.Uint16,
	arrow.UINT32: arrow.PrimitiveTypes.Uint32, arrow.UINT64: arrow.PrimitiveTypes.Uint64,
}

func (t physical) float() arrow.DataType {
	switch t.name {
	case "real", "float4", "float32", "f32", "binary_float":
		return arrow.PrimitiveTypes.Float32
	}
	return arrow.PrimitiveTypes.Float64
}

func (t physical) decimal(written string) (arrow.DataType, error) {
	if len(t.args) == 0 {
		return nil, fmt.Errorf("physicalType %q gives no precision: expected precision and scale, as in decimal(12,2)", written)
	}
	precision, scale := t.args[0], 0
	if len(t.args) > 1 {
		scale = t.args[1]
	}
	if precision < 1 || precision > maxPrecision256 || scale > precision || scale < 0 {
		return nil, fmt.Errorf("physicalType %q can't be held: expected a precision of 1 to %d and a scale within it", written, maxPrecision256)
	}
	if precision > maxPrecision128 {
		return &arrow.Decimal256Type{Precision: int32(precision), Scale: int32(scale)}, nil
	}
	return &arrow.Decimal128Type{Precision: int32(precision), Scale: int32(scale)}, nil
}

func (p *Property) temporalType(t physical) arrow.DataType {
	kind := family(p.LogicalType)
	if f := t.family(); kind == familyDate && (f == familyTimestamp || f == familyTime) {
		kind = f
	}
	switch kind {
	case familyDate:
		return arrow.FixedWidthTypes.Date32
	case familyTime:
		return arrow.FixedWidthTypes.Time64us
	}
	if p.zoned(t) {
		return arrow.FixedWidthTypes.Timestamp_us
	}
	return &arrow.TimestampType{Unit: arrow.Microsecond}
}

func (p *Property) zoned(t physical) bool {
	if o := p.LogicalTypeOptions; o != nil && o.Timezone != nil {
		return *o.Timezone
	}
	return t.zoned
}

func (p *Property) listType() (arrow.DataType, error) {
	if p.Items == nil {
		return nil, fmt.Errorf("array %q says nothing about its items", p.Name)
	}
	item, err := p.Items.ArrowType()
	if err != nil {
		return nil, fmt.Errorf("items of %q: %w", p.Name, err)
	}
	return arrow.ListOfField(arrow.Field{Name: "element", Type: item, Nullable: !p.Items.Required}), nil
}

func (p *Property) structType(t physical) (arrow.DataType, error) {
	if len(p.Properties) == 0 {
		if t.family() == familyString {
			return arrow.BinaryTypes.String, nil
		}
		return nil, fmt.Errorf("object %q lists no properties", p.Name)
	}
	fields := make([]arrow.Field, len(p.Properties))
	for i := range p.Properties {
		f := &p.Properties[i]
		ft, err := f.ArrowType()
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", p.Name, f.Name, err)
		}
		fields[i] = arrow.Field{Name: f.ColumnName(), Type: ft, Nullable: !f.Required && !p.requires(f.Name)}
	}
	return arrow.StructOf(fields...), nil
}

func (p *Property) physicalOnly(t physical) (arrow.DataType, error) {
	switch t.family() {
	case familyString:
		return arrow.BinaryTypes.String, nil
	case familyBinary:
		return arrow.BinaryTypes.Binary, nil
	case familyBoolean:
		return arrow.FixedWidthTypes.Boolean, nil
	case familyInteger, familyFloat, familyDecimal:
		return p.numberType(t)
	case familyDate, familyTime, familyTimestamp:
		refined := Property{LogicalType: string(t.family())}
		return refined.temporalType(t), nil
	}
	if p.PhysicalType == "" {
		return nil, fmt.Errorf("property %q has neither a logicalType nor a physicalType", p.Name)
	}
	return nil, fmt.Errorf("physicalType %q of %q is not known and there is no logicalType", p.PhysicalType, p.Name)
}
