package query

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/google/uuid"
)

// JSONForm turns a value of a DuckDB type, written as DuckDB does, into what JSON has types for. What could lose digits as a JSON
// number, such as a decimal, is text, and bytes are base64.
func JSONForm(kind string, value any) any {
	switch v := value.(type) {
	case nil, bool, string, int8, int16, int32, int64, int, uint8, uint16, uint32, uint64:
		return v
	case float32:
		return jsonFloat(float64(v), v)
	case float64:
		return jsonFloat(v, v)
	case time.Time:
		return timeForm(kind, v, "T")
	case []byte:
		if kind == "UUID" && len(v) == len(uuid.UUID{}) {
			return uuid.UUID(v).String()
		}
		return base64.StdEncoding.EncodeToString(v)
	case duckdb.Decimal:
		return decimalForm(v)
	case duckdb.Interval:
		return fmt.Sprintf("%d months %d days %s", v.Months, v.Days, time.Duration(v.Micros)*time.Microsecond)
	case duckdb.Union:
		return JSONForm("", v.Value)
	case []any:
		return listForm(kind, v)
	case map[string]any:
		return structForm(kind, v)
	case duckdb.OrderedMap:
		return mapForm(kind, v)
	case fmt.Stringer:
		return v.String()
	}
	return value
}

// TextForm is a value of a DuckDB type as text, and null for none.
func TextForm(kind string, value any, null string) string {
	switch v := value.(type) {
	case nil:
		return null
	case string:
		return v
	case time.Time:
		return timeForm(kind, v, " ")
	case float64:
		return floatForm(v, 64)
	case float32:
		return floatForm(float64(v), 32)
	case []byte:
		if kind != "UUID" {
			return bytesForm(v)
		}
	}
	switch form := JSONForm(kind, value).(type) {
	case string:
		return form
	case map[string]any, []any:
		doc, err := Marshal(form)
		if err != nil {
			return fmt.Sprint(form)
		}
		return string(doc)
	default:
		return fmt.Sprint(form)
	}
}

// Marshal is JSON without escapes for HTML.
func Marshal(value any) ([]byte, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

func jsonFloat(v float64, number any) any {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return number
}

// floatForm has no exponent.
func floatForm(v float64, bits int) string {
	if word, ok := jsonFloat(v, nil).(string); ok {
		return word
	}
	return strconv.FormatFloat(v, 'f', -1, bits)
}

func timeForm(kind string, t time.Time, between string) string {
	const micros = "15:04:05.999999999"
	switch kind {
	case "DATE":
		return t.Format(time.DateOnly)
	case "TIME":
		return t.Format(micros)
	case "TIMETZ", "TIME WITH TIME ZONE":
		return t.Format(micros + "Z07:00")
	case "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE":
		return t.UTC().Format(time.DateOnly+between+micros) + "Z"
	}
	return t.Format(time.DateOnly + between + micros)
}

// decimalForm has all the digits of the scale: 35.40 stays 35.40.
func decimalForm(d duckdb.Decimal) string {
	if d.Value == nil {
		return ""
	}
	digits := new(big.Int).Abs(d.Value).String()
	if scale := int(d.Scale); scale > 0 {
		if missing := scale + 1 - len(digits); missing > 0 {
			digits = strings.Repeat("0", missing) + digits
		}
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if d.Value.Sign() < 0 {
		return "-" + digits
	}
	return digits
}

// bytesForm is readable text as it is, and other bytes as DuckDB writes them.
func bytesForm(v []byte) string {
	if utf8.Valid(v) && !strings.ContainsFunc(string(v), func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }) {
		return string(v)
	}
	var b strings.Builder
	for _, c := range v {
		if c >= ' ' && c < 0x7f && c != '\\' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, `\x%02X`, c)
	}
	return b.String()
}

func listForm(kind string, items []any) []any {
	element := ""
	if open := strings.LastIndexByte(kind, '['); open > 0 {
		element = kind[:open]
	}
	out := make([]any, len(items))
	for i, item := range items {
		out[i] = JSONForm(element, item)
	}
	return out
}

func structForm(kind string, fields map[string]any) map[string]any {
	kinds := map[string]string{}
	for _, field := range arguments(kind) {
		name, of := fieldOf(field)
		kinds[name] = of
	}
	out := make(map[string]any, len(fields))
	for name, value := range fields {
		out[name] = JSONForm(kinds[name], value)
	}
	return out
}

func mapForm(kind string, m duckdb.OrderedMap) map[string]any {
	of := append(arguments(kind), "", "")
	out := make(map[string]any, m.Len())
	for i, key := range m.Keys() {
		out[TextForm(of[0], key, "null")] = JSONForm(of[1], m.Values()[i])
	}
	return out
}

// arguments are the parts in the outermost brackets of a type: STRUCT("a" DATE, "b" INTEGER[]) has two.
func arguments(kind string) []string {
	open := strings.IndexByte(kind, '(')
	if open < 0 || !strings.HasSuffix(kind, ")") {
		return nil
	}
	var parts []string
	depth, from, quoted := 0, open+1, false
	for i := open + 1; i < len(kind)-1; i++ {
		switch c := kind[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(kind[from:i]))
			from = i + 1
		}
	}
	return slices.DeleteFunc(append(parts, strings.TrimSpace(kind[from:len(kind)-1])), func(s string) bool { return s == "" })
}

// fieldOf takes "name" TYPE apart; quotes in a name are doubled.
func fieldOf(field string) (name, kind string) {
	if !strings.HasPrefix(field, `"`) {
		name, kind, _ = strings.Cut(field, " ")
		return name, kind
	}
	for i := 1; i < len(field); i++ {
		switch {
		case field[i] != '"':
		case i+1 < len(field) && field[i+1] == '"':
			i++
		default:
			return strings.ReplaceAll(field[1:i], `""`, `"`), strings.TrimSpace(field[i+1:])
		}
	}
	return field, ""
}
