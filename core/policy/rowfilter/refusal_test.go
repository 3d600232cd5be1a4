package rowfilter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/qanat-data/qanat/core/mask/filter"
	"github.com/qanat-data/qanat/core/policy/rowfilter"
)

// What has no predicate of the same meaning is refused, with its place and the reason.
func TestRefusalsNameThePlaceAndTheReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body string
		line int
		why  string
	}{
		{`filter if { some k; input.row[k] == "x" }`, 3, "the name of a column must be a constant"},
		{`filter if input.row.regoin == "eu"`, 3, `the dataset has no column "regoin"`},
		{`filter if input.row.amount == "10"`, 3, "it is a number (int64) and never equals a text"},
		{`filter if not input.row.amount == "10"`, 3, "it is a number (int64) and never equals a text"},
		{`filter if input.row.region > 5`, 3, "it is a text (utf8) and never equals a number"},
		{`filter if input.row.region in ["eu", 5]`, 3, "it is a text (utf8) and never equals a number"},
		{`filter if input.row.region == ["eu"]`, 3, "an array, a set or an object"},
		{`filter if input.row.region == input.row.amount`, 3, "it is a text (utf8) and never equals a number"},
		{`filter if startswith("eu-west", input.row.region)`, 3, "only a column can be tested"},
		{`filter if startswith(input.row.amount, "1")`, 3, "it is a number (int64) and never equals a text"},
		{`filter if "x" in input.row.tags`, 3, "only a column can be looked up"},
		{`filter if lower(input.row.region) == "eu"`, 3, "lower over a row can't be translated"},
		{`filter if input.row.amount + 1 > 5`, 3, "plus over a row can't be translated"},
		{`filter if regex.match("e.", input.row.region)`, 3, "regex.match over a row can't be translated"},
		{`filter if is_null(input.row.region)`, 3, "is_null over a row can't be translated"},
		{`filter if object.get(input.row, "region", "x") == "x"`, 3, "object.get over a row can't be translated"},
		{`filter if input.row.tags[0] == "x"`, 3, "what is inside of a column"},
		{`filter if input.row`, 3, "the row as a whole"},
		{`filter if not input.row`, 3, "the row as a whole"},
		{`filter if count(input.row) > 1`, 3, "count over a row can't be translated"},
		{`filter if input.row.tags == null`, 0, ""},
		{`filter if input.row.tags < 5`, 3, "can't be compared in a filter"},
		{`filter if input == {"row": {}}`, 3, "can't read the input as a whole"},
		{`filter if { some k, v in input; v.region == "eu" }`, 3, "can't read the input as a whole"},
		{`filter if input[input.purpose] == 1`, 3, "can't read the input as a whole"},
		{"filter if h with input.row as {\"region\": \"eu\"}\nh if input.row.region == \"eu\"", 3, "`with` isn't allowed"},
		{"filter if h\nh if input.row.amount == 1\nelse if input.row.amount == 2", 3, "`else`"},
		{"filter if count(deny) == 0\ndeny contains 1 if input.row.amount == 1", 3, "can't be"},
		{"filter if {\n\tinput.row.amount == 1\n\tevery x in input.row.tags { x == \"a\" }\n}", 5, "`every`"},
		{`filter if count([1 | input.row.amount == 1]) == 1`, 3, "can't be translated"},
		{"filter if input.row.amount < most\nmost := 10 if input.row.region == \"eu\"\nmost := 20 if input.row.consent", 4, "two values for one row"},
		{"filter if input.row.amount < most\nmost := x if { some x in [1, 2]; input.row.limit > x }", 4, "two values for one row"},
		{"filter if input.row.amount < most(input.row.region)\nmost(r) := 10 if r == \"eu\"\nmost(r) := 20 if r != \"uk\"", 4, "two values for one row"},
		{"filter := true if input.row.amount == 1\nfilter := false if input.row.region == \"eu\"", 3, "two values for one row"},
		{"filter if m.a == 1\nm[k] := v if { some k, v in {\"a\": 1}; input.row.amount == v }", 4, "two values for one row"},
		{"filter contains 1 if input.row.amount == 1", 3, "neither a function nor a set"},
		{"filter(x) if input.row.amount == x", 3, "neither a function nor a set"},
		{`filter if input.row.amount == 1e900`, 3, "its exponent must lie between"},
	} {
		for _, version := range []string{"v1", "v2"} {
			r, err := translate(t, "package governance.egress.team\nimport rego."+version+"\n"+c.body)
			if c.line == 0 {
				if err != nil {
					t.Errorf("%s: %v", c.body, err)
				}
				continue
			}
			var refused *rowfilter.UntranslatableError
			if !errors.As(err, &refused) {
				t.Errorf("%s, %s: %v %v, want a refusal", version, c.body, r.Predicate, err)
				continue
			}
			if refused.File != "egress.rego" || refused.Line != c.line || !strings.Contains(refused.Why, c.why) || refused.Expression == "" {
				t.Errorf("%s, %s: %v, want line %d: %s", version, c.body, refused, c.line, c.why)
			}
		}
	}
}

// Functions with several values are fine where nothing of the row goes into them.
func TestFunctionsOfKnownValuesMayHaveSeveral(t *testing.T) {
	t.Parallel()
	r, err := translate(t, `package governance.egress.team
import rego.v1
filter if input.row.amount < most(input.purpose)
most(p) := 10 if p == "billing"
most(p) := 20 if p == "marketing"
`)
	if err != nil || r.Predicate.String() != "amount < 10" {
		t.Errorf("%v, %v", r.Predicate, err)
	}
}

// Text is compared as it is: no wildcards, no escapes, no bytes that SQL would read.
func TestTextReachesDuckDBAsAnArgument(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, sql, arg string }{
		{`startswith(input.row.code, "a_b")`, `starts_with("code", CAST(? AS VARCHAR))`, `a_b`},
		{`contains(input.row.code, "\\")`, `contains("code", CAST(? AS VARCHAR))`, `\`},
		{`endswith(input.row.code, "%")`, `ends_with("code", CAST(? AS VARCHAR))`, `%`},
		{`input.row.code == "a\u0000b"`, `("code" = CAST(? AS VARCHAR))`, "a\x00b"},
		{`input.row.code == "'; drop table x; --"`, `("code" = CAST(? AS VARCHAR))`, "'; drop table x; --"},
	} {
		for _, negated := range []bool{false, true} {
			body, want := "filter if "+c.body, c.sql
			if negated {
				body, want = "filter if not "+c.body, "("+c.sql+" IS NOT TRUE)"
			}
			r, err := translate(t, "package governance.egress.team\nimport rego.v2\n"+body)
			if err != nil {
				t.Fatal(err)
			}
			text, args, err := filter.SQL(r.Predicate, people)
			if err != nil || text != want || len(args) != 1 || args[0] != c.arg {
				t.Errorf("%s: %s %q %v, want %s %q", body, text, args, err, want, c.arg)
			}
		}
	}
}

func TestResultsAreAllNoneOrWhere(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]rowfilter.Kind{
		`filter if input.purpose == "billing"`:                               rowfilter.All,
		`filter if input.purpose == "marketing"`:                             rowfilter.None,
		`filter if input.row.amount == 1`:                                    rowfilter.Where,
		`filter if { input.purpose == "marketing"; input.row.amount == 1 }`:  rowfilter.None,
		"filter if input.row.amount == 1\nfilter if input.purpose != \"x\"":  rowfilter.All,
		`filter := input.purpose`:                                            rowfilter.None,
		`filter := false`:                                                    rowfilter.None,
		"default filter := true\nfilter := false if input.purpose == \"no\"": rowfilter.All,
	} {
		r, err := translate(t, "package governance.egress.team\nimport rego.v1\n"+body)
		if err != nil || r.Kind != want || r.Predicate == nil {
			t.Errorf("%s: %s %v %v, want %s", body, r.Kind, r.Predicate, err, want)
		}
	}
}

const residency = `package governance.egress.team
import rego.v1
filter if {
	region_ok
	consent_ok
	not input.row._erased == true
}
region_ok if input.row.region in local_regions
region_ok if not input.row.region in data.residency.restricted
local_regions contains r if {
	some r, dests in data.residency.permitted
	input.destination.region in dests
}
consent_ok if not input.purpose in data.consent.required_for
consent_ok if input.row.consent == true
`

func TestTheResidencyPolicyTranslates(t *testing.T) {
	t.Parallel()
	r, err := translate(t, residency)
	want := `(region in {"eu"} or (region is not null and not (region in {"eu", "us"}))) and not (_erased == true)`
	if err != nil || r.Predicate.String() != want {
		t.Errorf("%v %v, want\n%s", r.Predicate, err, want)
	}
	if got := fmt.Sprint(r.Columns); got != "[region _erased]" {
		t.Error(got)
	}
}

// Twenty helpers of two bodies, and as many calls of a function, are disjunctions and not a million queries.
func TestHelpersDoNotMultiply(t *testing.T) {
	t.Parallel()
	source := "package governance.egress.team\nimport rego.v1\nf(x, y) if x == y\nf(x, y) if x > y\nfilter if {\n"
	for i := range 20 {
		source += fmt.Sprintf("\th%d\n\tf(input.row.amount, %d)\n", i, i)
	}
	source += "}\n"
	for i := range 20 {
		source += fmt.Sprintf("h%d if input.row.amount == %d\nh%d if input.row.limit > %d\n", i, i, i, i)
	}
	r, err := translate(t, source)
	if err != nil {
		t.Fatal(err)
	}
	if and, ok := r.Predicate.(filter.And); !ok || len(and) != 41 { // and the amount is not null
		t.Errorf("%s", r.Predicate)
	}
}

func TestLimitsHold(t *testing.T) {
	t.Parallel()
	many := make([]string, 3000)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	set := "filter if input.row.amount in {" + strings.Join(many, ", ") + "}"
	alternatives := "filter if input.row.amount == " + strings.Join(many[:30], "\nfilter if input.row.limit > ")
	negations := "filter if not h0"
	for i := range 20 {
		negations += fmt.Sprintf("\nh%d if not input.row.amount > %d", i, i)
	}
	for _, c := range []struct {
		body   string
		limits rowfilter.Limits
		what   string
	}{
		{set, rowfilter.Limits{Parts: 100}, "parts"},
		{set, rowfilter.Limits{}, ""},
		{alternatives, rowfilter.Limits{Queries: 10}, "queries"},
		{"filter if h\nh if input.row.amount == 1\nh if input.row.limit > 4\nh if input.row.consent", rowfilter.Limits{Support: 2}, "support rules"},
		{negations, rowfilter.Limits{}, ""},
	} {
		translator, err := rowfilter.New(compiled(t, "package governance.egress.team\nimport rego.v2\n"+c.body), c.limits)
		if err != nil {
			t.Fatal(err)
		}
		_, err = translator.Filter(t.Context(), store(), egress, input(t, known), people)
		var limit *rowfilter.LimitError
		if c.what == "" && err != nil || c.what != "" && (!errors.As(err, &limit) || limit.What != c.what || limit.Got <= limit.Limit) {
			t.Errorf("%.60s: %v, want too many %q", c.body, err, c.what)
		}
	}
}

// Choices of values multiply until the time is over.
func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	source := "package governance.egress.team\nimport rego.v1\nfilter if {\n"
	for i := range 40 {
		source += fmt.Sprintf("\tsome x%d in [%d, 100]\n\tinput.row.amount > x%d\n", i, i, i)
	}
	source += "}\n"
	translator, err := rowfilter.New(compiled(t, source), rowfilter.Limits{Time: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = translator.Filter(t.Context(), store(), egress, input(t, known), people); !errors.Is(err, rowfilter.ErrTimeout) {
		t.Errorf("%v, want %v", err, rowfilter.ErrTimeout)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = translator.Filter(cancelled, store(), egress, input(t, known), people); !errors.Is(err, rowfilter.ErrTimeout) {
		t.Errorf("%v, want %v", err, rowfilter.ErrTimeout)
	}
}

func TestFilterRefusesWrongCalls(t *testing.T) {
	t.Parallel()
	translator, err := rowfilter.New(compiled(t, residency), rowfilter.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		query string
		input ast.Value
		want  error
	}{
		{"data.governance.egress.other.filter", input(t, known), rowfilter.ErrNoRule},
		{egress, input(t, `{"row": {}}`), rowfilter.ErrInput},
		{egress, ast.String("x"), rowfilter.ErrInput},
		{egress, nil, rowfilter.ErrInput},
		{"input.row", input(t, known), nil},
		{"data.governance[x]", input(t, known), nil},
		{"filter :=", input(t, known), nil},
	} {
		_, err := translator.Filter(t.Context(), store(), c.query, c.input, people)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.query, err, c.want)
		}
	}
	if _, err := translator.Filter(t.Context(), store(), egress, input(t, known), arrow.NewSchema(nil, nil)); err == nil {
		t.Error("a filter of columns that the dataset doesn't have was translated")
	}
}
