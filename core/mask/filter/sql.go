package filter

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// SQL prints a predicate as a condition of DuckDB over a relation with the columns of the schema. Constants are bound
// arguments (int64, float64 or string), in order; identifiers are quoted. The condition is true for the
// rows that Apply keeps; for others it is false or NULL.
func SQL(p Predicate, s *arrow.Schema) (text string, args []any, err error) {
	f, err := Bind(p, s)
	if err != nil {
		return "", nil, err
	}
	text, args = f.SQL()
	return text, args, nil
}

// SQL prints the filter for DuckDB, as the function of this name does.
func (f *Filter) SQL() (text string, args []any) {
	w := &writer{}
	f.root.sql(w)
	return w.text.String(), w.args
}

type writer struct {
	text strings.Builder
	args []any
}

func (w *writer) put(parts ...string) {
	for _, part := range parts {
		w.text.WriteString(part)
	}
}

// bind puts an argument of a DuckDB type.
func (w *writer) bind(typ string, arg any) {
	w.put("CAST(? AS ", typ, ")")
	w.args = append(w.args, arg)
}

func (w *writer) join(nodes []node, glue, empty string) {
	if len(nodes) == 0 {
		w.put(empty)
		return
	}
	w.put("(")
	for i, n := range nodes {
		if i > 0 {
			w.put(glue)
		}
		n.sql(w)
	}
	w.put(")")
}

func (n andNode) sql(w *writer) { w.join(n, " AND ", "TRUE") }

func (n orNode) sql(w *writer) { w.join(n, " OR ", "FALSE") }

func (n notNode) sql(w *writer) {
	w.put("(")
	n.of.sql(w)
	w.put(" IS NOT TRUE)")
}

func (n constNode) sql(w *writer) {
	if n {
		w.put("TRUE")
	} else {
		w.put("FALSE")
	}
}

// expression is the column with NaN as NULL, and text as text where the column may be an enum.
func (c column) expression() string {
	quoted := `"` + strings.ReplaceAll(c.name, `"`, `""`) + `"`
	switch {
	case c.kind == floatKind:
		return "nullif(" + quoted + ", CAST('NaN' AS " + c.duck() + "))"
	case c.dictionary && c.kind == textKind:
		return "CAST(" + quoted + " AS VARCHAR)"
	}
	return quoted
}

// duck is DuckDB's name of a column's type.
func (c column) duck() string {
	switch c.typ.ID() {
	case arrow.BOOL:
		return "BOOLEAN"
	case arrow.INT8:
		return "TINYINT"
	case arrow.INT16:
		return "SMALLINT"
	case arrow.INT32:
		return "INTEGER"
	case arrow.INT64:
		return "BIGINT"
	case arrow.UINT8:
		return "UTINYINT"
	case arrow.UINT16:
		return "USMALLINT"
	case arrow.UINT32:
		return "UINTEGER"
	case arrow.UINT64:
		return "UBIGINT"
	case arrow.FLOAT32:
		return "FLOAT"
	case arrow.FLOAT64:
		return "DOUBLE"
	case arrow.DECIMAL128:
		d := c.typ.(*arrow.Decimal128Type)
		return fmt.Sprintf("DECIMAL(%d, %d)", d.Precision, d.Scale)
	}
	return "VARCHAR"
}

// inSQL is SQL's spelling of a comparison.
func (o Op) inSQL() string {
	switch o {
	case Equal:
		return " = "
	case NotEqual:
		return " <> "
	}
	return " " + string(o) + " "
}

// against prints a comparison with one value, or a membership of several.
func against[T any](c column, w *writer, op Op, values []T, arg func(T) any) {
	if len(values) == 1 {
		w.put("(", c.expression(), op.inSQL())
		w.bind(c.duck(), arg(values[0]))
		w.put(")")
		return
	}
	w.put("(", c.expression(), " IN (")
	for i, v := range values {
		if i > 0 {
			w.put(", ")
		}
		w.bind(c.duck(), arg(v))
	}
	w.put("))")
}

func (t numberTest[T]) sql(c column, w *writer) {
	against(c, w, t.op, []T{t.value}, numberArg[T])
}

func (t numberSet[T]) sql(c column, w *writer) { against(c, w, Equal, t.list, numberArg[T]) }

// numberArg widens a number to what every driver binds.
func numberArg[T number](v T) any {
	switch v := any(v).(type) {
	case uint64:
		if v > math.MaxInt64 { // database/sql binds no larger ones; the cast reads them from text
			return strconv.FormatUint(v, 10)
		}
		return int64(v)
	case float32:
		return float64(v)
	case float64:
		return v
	}
	return int64(v)
}

func (t decimalTest) sql(c column, w *writer) {
	scale := c.scale()
	texts := make([]string, len(t.list))
	for i, v := range t.list {
		texts[i] = v.ToString(scale)
	}
	against(c, w, t.op, texts, textArg)
}

func textArg(s string) any { return s }

func (t boolTest) sql(c column, w *writer) {
	if t.want {
		w.put("(", c.expression(), ")")
	} else {
		w.put("(NOT ", c.expression(), ")")
	}
}

func (anyTest) sql(c column, w *writer) { w.put("(", c.expression(), " IS NOT NULL)") }

func (t textTest) sql(c column, w *writer) { against(c, w, t.op, []string{t.value}, textArg) }

func (t textSet) sql(c column, w *writer) { against(c, w, Equal, t.list, textArg) }

func (t affixTest) sql(c column, w *writer) {
	function := map[TextOp]string{Starts: "starts_with", Ends: "ends_with", Contains: "contains"}[t.op]
	w.put(function, "(", c.expression(), ", ")
	w.bind("VARCHAR", t.value)
	w.put(")")
}

func (n pair) sql(w *writer) {
	l, r, op := n.left.expression(), n.right.expression(), n.op.inSQL()
	switch {
	case n.left.kind == decimalKind || n.right.kind == decimalKind:
		typ := fmt.Sprintf(" AS DECIMAL(%d, %d))", maxPrecision, n.scale)
		w.put("(CAST(", l, typ, op, "CAST(", r, typ, ")")
	case (n.left.kind == floatKind) != (n.right.kind == floatKind):
		// Rounded to a float an integer keeps its order; where both are equal then, the float is a whole number.
		w.put("(CASE WHEN CAST(", l, " AS DOUBLE) <> CAST(", r, " AS DOUBLE) THEN CAST(", l, " AS DOUBLE)", op, "CAST(", r,
			" AS DOUBLE) ELSE TRY_CAST(", l, " AS HUGEINT)", op, "TRY_CAST(", r, " AS HUGEINT) END)")
	case n.left.kind == intKind && n.right.kind == uintKind, n.left.kind == uintKind && n.right.kind == intKind:
		w.put("(CAST(", l, " AS HUGEINT)", op, "CAST(", r, " AS HUGEINT))")
	default:
		w.put("(", l, op, r, ")")
	}
}
