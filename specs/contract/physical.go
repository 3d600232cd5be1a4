package contract

import (
	"regexp"
	"strconv"
	"strings"
)

// physical is a physicalType taken apart: "DECIMAL(12,2)" is decimal with the numbers 12 and 2.
type physical struct {
	name string
	args []int
	// zoned marks types that hold instants rather than wall-clock times.
	zoned    bool
	unsigned bool
}

var physicalArgs = regexp.MustCompile(`[(\[]([^)\]]*)[)\]]`)

// parsePhysical reads the type names of common SQL dialects, Arrow, Iceberg and JSON. Unknown names come back as
// they are, in lower case.
func parsePhysical(text string) physical {
	var p physical
	text = strings.ToLower(text)
	if m := physicalArgs.FindStringSubmatch(text); m != nil {
		for arg := range strings.SplitSeq(m[1], ",") {
			if n, err := strconv.Atoi(strings.TrimSpace(arg)); err == nil {
				p.args = append(p.args, n)
			}
		}
		text = physicalArgs.ReplaceAllString(text, " ")
	}
	words := strings.Join(strings.Fields(text), " ")
	if rest, ok := strings.CutSuffix(words, " with time zone"); ok {
		words, p.zoned = rest, true
	}
	if rest, ok := strings.CutSuffix(words, " with local time zone"); ok {
		words, p.zoned = rest, true
	}
	words = strings.TrimSuffix(words, " without time zone")
	if rest, ok := strings.CutSuffix(words, " unsigned"); ok {
		words, p.unsigned = rest, true
	}
	switch words {
	case "timestamptz", "timestamp_tz", "timestamp_ltz", "datetimeoffset":
		words, p.zoned = "timestamp", true
	}
	p.name = words
	return p
}

// family is the kind of value that a physical type holds.
type family string

const (
	familyUnknown   family = ""
	familyString    family = "string"
	familyBinary    family = "binary"
	familyBoolean   family = "boolean"
	familyInteger   family = "integer"
	familyFloat     family = "float"
	familyDecimal   family = "decimal"
	familyDate      family = "date"
	familyTime      family = "time"
	familyTimestamp family = "timestamp"
)

// families lists the physical types that are understood. Names that dialects use for different widths (int, float)
// count as the wider one where a narrower reading could refuse good data.
var families = map[family]string{
	familyString: "string|text|varchar|char|bpchar|nvarchar|nchar|varchar2|nvarchar2|character|character varying|clob|" +
		"tinytext|mediumtext|longtext|utf8|large_utf8|largestring|uuid|uniqueidentifier|json|jsonb|variant|xml|enum",
	familyBinary:  "binary|varbinary|blob|tinyblob|mediumblob|longblob|bytea|bytes|raw|large_binary|fixed",
	familyBoolean: "bool|boolean|bit",
	familyInteger: "tinyint|smallint|mediumint|int|integer|bigint|int1|int2|int4|int8|int16|int32|int64|uint8|uint16|" +
		"uint32|uint64|serial|smallserial|bigserial|serial2|serial4|serial8|byteint|hugeint|long|short|i8|i16|i32|i64|u8|u16|u32|u64",
	familyFloat:     "float|real|double|double precision|float4|float8|float32|float64|f32|f64|binary_float|binary_double",
	familyDecimal:   "decimal|numeric|number|dec|bignumeric|decimal128|decimal256",
	familyDate:      "date|date32",
	familyTime:      "time|time32|time64|timetz",
	familyTimestamp: "timestamp|datetime|datetime2|smalldatetime|timestamp_ntz|timestamp_s|timestamp_ms|timestamp_ns",
}

func (p physical) family() family {
	for f, names := range families {
		for name := range strings.SplitSeq(names, "|") {
			if name == p.name {
				return f
			}
		}
	}
	return familyUnknown
}
