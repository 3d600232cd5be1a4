package filter

import (
	"strconv"
	"strings"
)

// Predicate is a condition on a row. The implementations are And, Or, NotTrue, Constant, Compare, CompareColumns, In,
// Text, Column and IsNull of this package. A predicate is a value: nothing changes it after it is built. String is for
// people; SQL is for DuckDB; Marshal is for decisions that travel.
type Predicate interface {
	String() string
	MarshalJSON() ([]byte, error)
	bind(b *binder) node
}

// And is true if all of its parts are; with no parts it is true.
type And []Predicate

// Or is true if one of its parts is; with no parts it is false.
type Or []Predicate

// NotTrue is true if the predicate is false or unknown.
type NotTrue struct{ Of Predicate }

// Constant passes every row, or none.
type Constant bool

// Op is a comparison.
type Op string

// The comparisons. Booleans know equality only.
const (
	Equal          Op = "=="
	NotEqual       Op = "!="
	Less           Op = "<"
	LessOrEqual    Op = "<="
	Greater        Op = ">"
	GreaterOrEqual Op = ">="
)

// Compare compares a column with a constant; a NULL column is unknown.
type Compare struct {
	Column string
	Op     Op
	Value  Value
}

// CompareColumns compares two columns of a row; unknown if one is NULL.
type CompareColumns struct {
	Left  string
	Op    Op
	Right string
}

// In is true if the column equals one of the values.
type In struct {
	Column string
	Values []Value
}

// TextOp is a test of a text column.
type TextOp string

// The tests of text: by bytes, with no wildcards.
const (
	Starts   TextOp = "starts"
	Ends     TextOp = "ends"
	Contains TextOp = "contains"
)

// Text tests what a text column starts with, ends with or contains.
type Text struct {
	Column string
	Op     TextOp
	Value  string
}

// Column is a boolean column taken as a condition.
type Column struct{ Name string }

// IsNull is true if the column is NULL, or, with Not, if it isn't. It is never unknown. NaN counts as NULL.
type IsNull struct {
	Column string
	Not    bool
}

func (p And) String() string { return list(p, " and ", "true") }

func (p Or) String() string { return list(p, " or ", "false") }

func list(parts []Predicate, glue, empty string) string {
	if len(parts) == 0 {
		return empty
	}
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = part.String()
		switch part.(type) {
		case And, Or:
			texts[i] = "(" + texts[i] + ")"
		}
	}
	return strings.Join(texts, glue)
}

func (p NotTrue) String() string { return "not (" + p.Of.String() + ")" }

func (p Constant) String() string { return strconv.FormatBool(bool(p)) }

func (p Compare) String() string { return name(p.Column) + " " + string(p.Op) + " " + p.Value.String() }

func (p CompareColumns) String() string {
	return name(p.Left) + " " + string(p.Op) + " " + name(p.Right)
}

func (p In) String() string {
	const shown = 20
	texts := make([]string, 0, min(len(p.Values), shown)+1)
	for i, v := range p.Values {
		if i == shown {
			texts = append(texts, "… "+strconv.Itoa(len(p.Values)-shown)+" more")
			break
		}
		texts = append(texts, v.String())
	}
	return name(p.Column) + " in {" + strings.Join(texts, ", ") + "}"
}

func (p Text) String() string {
	return name(p.Column) + " " + string(p.Op) + " " + strconv.Quote(p.Value)
}

func (p Column) String() string { return name(p.Name) }

func (p IsNull) String() string {
	if p.Not {
		return name(p.Column) + " is not null"
	}
	return name(p.Column) + " is null"
}

// name quotes a column name that isn't a plain word, so that what people read has one meaning.
func name(column string) string {
	for i, r := range column {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return strconv.Quote(column)
		}
	}
	if column == "" {
		return `""`
	}
	return column
}

// Columns lists the columns that a predicate reads, each once, in the order of the text.
func Columns(p Predicate) []string {
	var names []string
	seen := map[string]bool{}
	add := func(columns ...string) {
		for _, c := range columns {
			if !seen[c] {
				seen[c] = true
				names = append(names, c)
			}
		}
	}
	walk(p, add)
	return names
}

func walk(p Predicate, add func(...string)) {
	switch p := p.(type) {
	case And:
		for _, part := range p {
			walk(part, add)
		}
	case Or:
		for _, part := range p {
			walk(part, add)
		}
	case NotTrue:
		walk(p.Of, add)
	case Compare:
		add(p.Column)
	case CompareColumns:
		add(p.Left, p.Right)
	case In:
		add(p.Column)
	case Text:
		add(p.Column)
	case Column:
		add(p.Name)
	case IsNull:
		add(p.Column)
	}
}
