package rowfilter_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// grammar writes random policies over a schema.
type grammar struct {
	r         *rand.Rand
	schema    *arrow.Schema
	v2        bool
	helpers   int    // how many helpers there are to call; h0 … of no argument
	functions int    // f0, if 1
	param     string // the parameter that stands for a column, in functions
	of        arrow.Field
	locals    int
	values    bool        // there are rules with values
	of2       arrow.Field // what picked gives
}

func one[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

var (
	texts   = []string{`"eu"`, `"uk"`, `"a_b"`, `"a%"`, `""`, `"a"`, `"\\"`, `"ä"`, `"A"`}
	numbers = []string{"0", "1", "2", "-1", "2.5", "0.1", "9007199254740993", "9007199254740992", "1e3", "300", "100.25"}
	orders  = []string{"==", "!=", "<", "<=", ">", ">="}
)

// policy is a whole module.
func (g *grammar) policy() string {
	version := "v1"
	if g.v2 {
		version = "v2"
	}
	out := []string{"package governance.egress.team", "import rego." + version}
	g.helpers, g.functions = 0, 0
	var rest []string
	if g.r.IntN(2) == 0 {
		rest = append(g.functionRules(), g.helperRules()...)
	} else {
		rest = append(g.helperRules(), g.functionRules()...)
	}
	if g.values = g.r.IntN(3) == 0; g.values {
		rest = append(rest, fmt.Sprintf("level := %s if %s", one(g.r, []string{"1", "2", "300"}), g.body(1+g.r.IntN(2))))
		if g.r.IntN(2) == 0 {
			rest = append(rest, "default level := 2")
		}
		rest = append(rest, "default shut := true", "shut := false if "+g.body(1))
		f := g.column()
		rest = append(rest, fmt.Sprintf("picked := input.row.%s if %s", f.Name, g.body(1)))
		rest = append(rest, "out(x) := y if { y := x; "+g.simple()+" }")
		g.of2 = f
	}
	if g.r.IntN(6) == 0 {
		out = append(out, "default filter := false")
	}
	for range 1 + g.r.IntN(2) {
		body := g.conditions(1 + g.r.IntN(3))
		if g.values {
			body = append(body, g.negated(g.valued()))
		}
		out = append(out, "filter if { "+strings.Join(body, "; ")+" }")
	}
	return strings.Join(append(out, rest...), "\n") + "\n"
}

// functionRules may make a function of a column, with helpers that there are.
func (g *grammar) functionRules() []string {
	if g.r.IntN(2) == 0 {
		return nil
	}
	var rules []string
	g.of, g.param = g.column(), "x"
	for range 1 + g.r.IntN(2) {
		rules = append(rules, "f0(x) if "+g.body(1+g.r.IntN(2)))
	}
	g.functions, g.param = 1, ""
	return rules
}

// helperRules makes helpers, each with those before it and with the function that there is.
func (g *grammar) helperRules() []string {
	var rules []string
	for g.helpers < 4 && g.r.IntN(2) == 0 {
		name := fmt.Sprintf("h%d", g.helpers)
		for range 1 + g.r.IntN(3) {
			rules = append(rules, name+" if "+g.body(1+g.r.IntN(2)))
		}
		if g.r.IntN(4) == 0 {
			rules = append(rules, "default "+name+" := false")
		}
		g.helpers++
	}
	return rules
}

// valued is an atom over a rule that has a value.
func (g *grammar) valued() string {
	f := g.column()
	return one(g.r, []string{
		"level " + one(g.r, orders) + " " + one(g.r, numbers), "level", "shut", "shut == false", "shut != true",
		"picked == " + constantOf(g.r, g.of2.Type), "picked", "input.row." + g.like(g.of2).Name + " != picked",
		fmt.Sprintf("out(input.row.%s) == %s", f.Name, constantOf(g.r, f.Type)), fmt.Sprintf("out(input.row.%s)", f.Name),
	})
}

func (g *grammar) body(n int) string { return "{ " + strings.Join(g.conditions(n), "; ") + " }" }

func (g *grammar) conditions(n int) []string {
	var out []string
	for range n {
		out = append(out, g.condition()...)
	}
	return out
}

// condition is an atom, negated or not, or a helper.
func (g *grammar) condition() []string {
	if g.helpers > 0 && g.r.IntN(4) == 0 {
		return []string{g.negated(fmt.Sprintf("h%d", g.r.IntN(g.helpers)))}
	}
	if g.functions > 0 && g.r.IntN(5) == 0 {
		return []string{g.negated(fmt.Sprintf("f0(input.row.%s)", g.like(g.of).Name))}
	}
	if g.v2 && g.r.IntN(8) == 0 {
		return []string{"not { " + strings.Join(g.plain(), "; ") + "; " + strings.Join(g.plain(), "; ") + " }"}
	}
	if g.v2 && g.r.IntN(10) == 0 {
		return []string{fmt.Sprintf("(%s or %s)", g.simple(), g.simple())}
	}
	if g.r.IntN(3) == 0 {
		return []string{"not " + g.simple()}
	}
	return g.plain()
}

func (g *grammar) negated(s string) string {
	if g.r.IntN(2) == 0 {
		return "not " + s
	}
	return s
}

func (g *grammar) column() arrow.Field { return one(g.r, g.schema.Fields()) }

// operand is a column, or the parameter that stands for one.
func (g *grammar) operand() (string, arrow.Field) {
	if g.param != "" && g.r.IntN(3) > 0 {
		return g.param, g.of
	}
	f := g.column()
	return "input.row." + f.Name, f
}

func constantOf(r *rand.Rand, t arrow.DataType) string {
	if r.IntN(100) == 0 {
		return one(r, []string{`"10"`, "10", "true", "[1]"})
	}
	if t.ID() == arrow.BOOL {
		return strconv.FormatBool(r.IntN(2) == 0)
	}
	if isText(t) {
		return one(r, texts)
	}
	return one(r, numbers)
}

func (g *grammar) order(t arrow.DataType) string {
	if t.ID() == arrow.BOOL {
		return one(g.r, orders[:2])
	}
	return one(g.r, orders)
}

// simple is an atom of one expression, which can be negated.
func (g *grammar) simple() string {
	column, f := g.operand()
	constant := func() string { return constantOf(g.r, f.Type) }
	switch g.r.IntN(12) {
	case 0, 1:
		return column + " == " + constant()
	case 2:
		return column + " != " + constant()
	case 3:
		return column + " " + g.order(f.Type) + " " + constant()
	case 4:
		return constant() + " " + g.order(f.Type) + " " + column
	case 5:
		return column + " " + g.order(f.Type) + " input.row." + g.like(f).Name
	case 6:
		if isText(f.Type) {
			return fmt.Sprintf("%s(%s, %s)", one(g.r, []string{"startswith", "endswith", "contains"}), column, constant())
		}
		return column
	case 7:
		return fmt.Sprintf("%s in %s", column, g.collection(f.Type))
	case 8:
		return column + one(g.r, []string{" == null", " != null"})
	case 9:
		return g.known()
	case 10:
		if isText(f.Type) && g.r.IntN(8) == 0 {
			return "lower(" + column + ") == " + constant()
		}
		return column
	}
	return column + " == " + constant()
}

// like finds a column of the same type as another, often that one.
func (g *grammar) like(f arrow.Field) arrow.Field {
	var same []arrow.Field
	for _, other := range g.schema.Fields() {
		if arrow.TypeEqual(other.Type, f.Type) {
			same = append(same, other)
		}
	}
	return one(g.r, same)
}

func (g *grammar) collection(t arrow.DataType) string {
	if g.r.IntN(3) == 0 {
		return one(g.r, []string{"data.empty", g.data(t)})
	}
	values := make([]string, 1+g.r.IntN(3))
	for i := range values {
		values[i] = constantOf(g.r, t)
	}
	if g.r.IntN(2) == 0 {
		return "{" + strings.Join(values, ", ") + "}"
	}
	return "[" + strings.Join(values, ", ") + "]"
}

// data is a collection of the data that fits a type.
func (g *grammar) data(t arrow.DataType) string {
	switch {
	case g.r.IntN(60) == 0 || isText(t):
		return "data.list"
	case t.ID() == arrow.BOOL:
		return "data.truths"
	}
	return "data.numbers"
}

func isText(t arrow.DataType) bool {
	return t.ID() == arrow.STRING || t.ID() == arrow.LARGE_STRING || t.ID() == arrow.DICTIONARY
}

func (g *grammar) known() string {
	return one(g.r, []string{`input.purpose == "billing"`, `input.purpose != "billing"`, `"uk" in data.list`, `input.absent == 1`, `count(data.list) == 2`})
}

// plain is a positive atom, of one expression or more.
func (g *grammar) plain() []string {
	column, f := g.operand()
	g.locals++
	v := fmt.Sprintf("v%d", g.locals)
	constant := func() string { return constantOf(g.r, f.Type) }
	switch g.r.IntN(12) {
	case 0:
		return []string{v + " := " + column, g.negated(v + " " + g.order(f.Type) + " " + constant())}
	case 1:
		return []string{v + " := " + column, g.simple()}
	case 2:
		return []string{"some " + v + " in " + g.collection(f.Type), column + " == " + v}
	case 3:
		return []string{"some " + v + " in " + g.collection(f.Type), g.negated(column + " " + g.order(f.Type) + " " + v)}
	case 4:
		return []string{"every " + v + " in " + g.collection(f.Type) + " { " + g.negated(column+" == "+v) + " }"}
	case 5:
		if f.Type.ID() == arrow.STRING {
			return []string{g.negated(fmt.Sprintf("data.limits[%s] %s %s", column, one(g.r, orders), one(g.r, numbers)))}
		}
	case 6:
		return []string{column + " = _"}
	case 7:
		if g.r.IntN(2) == 0 {
			w := fmt.Sprintf("w%d", g.locals)
			other := g.column()
			return []string{fmt.Sprintf("[%s, %s] := [%s, input.row.%s]", v, w, column, other.Name), g.negated(w + " == " + constantOf(g.r, other.Type)), g.negated(v + " != " + constant())}
		}
		if g.r.IntN(2) == 0 {
			other := g.column()
			return []string{fmt.Sprintf("%s := {\"a\": %s, \"b\": input.row.%s}", v, column, other.Name), g.negated(v + ".b == " + constantOf(g.r, other.Type))}
		}
		return []string{v + " := " + g.data(f.Type) + "[_]", g.negated(column + " == " + v)}
	}
	return []string{g.simple()}
}
