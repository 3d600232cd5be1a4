// Package column knows the types of columns: how operators write them, how they are inferred from values, how text becomes values
// of them, and how the columns of several files become one schema. It reads no files.
package column

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// FormatKey is the metadata key of a string column that holds JSON text; its value is then "json".
const FormatKey = "qanat.format"

// Types of columns.
var (
	timestampUTC   = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	timestampLocal = &arrow.TimestampType{Unit: arrow.Microsecond}
)

var simpleTypes = map[string]arrow.DataType{
	"bool": arrow.FixedWidthTypes.Boolean, "boolean": arrow.FixedWidthTypes.Boolean,
	"int": arrow.PrimitiveTypes.Int64, "int64": arrow.PrimitiveTypes.Int64, "int32": arrow.PrimitiveTypes.Int32,
	"float": arrow.PrimitiveTypes.Float64, "float64": arrow.PrimitiveTypes.Float64, "float32": arrow.PrimitiveTypes.Float32,
	"string": arrow.BinaryTypes.String, "binary": arrow.BinaryTypes.Binary, "date": arrow.FixedWidthTypes.Date32,
	"timestamp": timestampUTC, "timestamp_ntz": timestampLocal,
}

const typeNames = "bool, int32, int64, float32, float64, string, date, timestamp, timestamp_ntz, decimal(p,s), binary, json, " +
	"list<type>, struct<name: type, …>"

var decimalPattern = regexp.MustCompile(`^decimal\(\s*([0-9]{1,2})\s*,\s*([0-9]{1,2})\s*\)$`)

// Field makes a nullable column.
func Field(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true}
}

// JSONField makes a column of JSON text.
func JSONField(name string) arrow.Field {
	f := Field(name, arrow.BinaryTypes.String)
	f.Metadata = arrow.NewMetadata([]string{FormatKey}, []string{"json"})
	return f
}

// IsJSON says whether a column holds JSON text.
func IsJSON(f arrow.Field) bool {
	format, _ := f.Metadata.GetValue(FormatKey)
	return format == "json"
}

// Parse reads a type as operators write it, such as int64, decimal(12,2), list<string> or struct<id: int64, tags: list<string>>.
func Parse(name, text string) (arrow.Field, error) {
	text = strings.TrimSpace(text)
	lower := strings.ToLower(text)
	if t, ok := simpleTypes[lower]; ok {
		return Field(name, t), nil
	}
	if m := decimalPattern.FindStringSubmatch(lower); m != nil {
		return parseDecimal(name, m[1], m[2])
	}
	if inner, ok := bracketed(text, "list<"); ok {
		item, err := Parse("element", inner)
		if err != nil {
			return arrow.Field{}, err
		}
		return Field(name, arrow.ListOfField(item)), nil
	}
	if inner, ok := bracketed(text, "struct<"); ok {
		return parseStruct(name, inner)
	}
	if lower == "json" {
		return JSONField(name), nil
	}
	return arrow.Field{}, fmt.Errorf("unknown type %q, allowed are %s", text, typeNames)
}

func parseDecimal(name, precision, scale string) (arrow.Field, error) {
	p, _ := strconv.Atoi(precision)
	s, _ := strconv.Atoi(scale)
	if p < 1 || p > 38 || s > p {
		return arrow.Field{}, fmt.Errorf("decimal(%d,%d): the precision must be 1 to 38 and the scale at most the precision", p, s)
	}
	return Field(name, &arrow.Decimal128Type{Precision: int32(p), Scale: int32(s)}), nil //nolint:gosec // both are below 39
}

func bracketed(text, opening string) (string, bool) {
	if len(text) < len(opening) || !strings.EqualFold(text[:len(opening)], opening) || !strings.HasSuffix(text, ">") {
		return "", false
	}
	return text[len(opening) : len(text)-1], true
}

func parseStruct(name, inner string) (arrow.Field, error) {
	var children []arrow.Field
	for _, part := range splitTop(inner) {
		child, text, ok := strings.Cut(part, ":")
		child = strings.TrimSpace(child)
		if !ok || child == "" {
			return arrow.Field{}, fmt.Errorf("struct: %q is no \"name: type\"", strings.TrimSpace(part))
		}
		field, err := Parse(child, text)
		if err != nil {
			return arrow.Field{}, err
		}
		children = append(children, field)
	}
	return Field(name, arrow.StructOf(children...)), nil
}

// splitTop splits at the commas that are in no brackets.
func splitTop(text string) []string {
	var parts []string
	depth, from := 0, 0
	for i, c := range text {
		switch c {
		case '<', '(':
			depth++
		case '>', ')':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, text[from:i])
				from = i + 1
			}
		}
	}
	return append(parts, text[from:])
}

// Text is a type as operators write it, for messages.
func Text(f arrow.Field) string {
	if IsJSON(f) {
		return "json"
	}
	switch t := f.Type.(type) {
	case *arrow.StringType:
		return "string"
	case *arrow.Date32Type:
		return "date"
	case *arrow.TimestampType:
		if arrow.TypeEqual(t, timestampUTC) {
			return "timestamp"
		}
		if arrow.TypeEqual(t, timestampLocal) {
			return "timestamp_ntz"
		}
	case *arrow.Decimal128Type:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case *arrow.ListType:
		return "list<" + Text(t.ElemField()) + ">"
	case *arrow.StructType:
		var parts []string
		for _, child := range t.Fields() {
			parts = append(parts, child.Name+": "+Text(child))
		}
		return "struct<" + strings.Join(parts, ", ") + ">"
	}
	return f.Type.String()
}
