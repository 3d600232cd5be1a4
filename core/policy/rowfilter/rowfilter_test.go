package rowfilter_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/qanat-data/qanat/core/policy/rowfilter"
)

var people = arrow.NewSchema([]arrow.Field{
	{Name: "region", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "code", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "amount", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "limit", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	{Name: "consent", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "_erased", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
}, nil)

const egress = "data.governance.egress.team.filter"

func compiled(t testing.TB, source string) *ast.Compiler {
	t.Helper()
	module, err := ast.ParseModuleWithOpts("egress.rego", source, ast.ParserOptions{ProcessAnnotation: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	c := ast.NewCompiler()
	if c.Compile(map[string]*ast.Module{"egress.rego": module}); c.Failed() {
		t.Fatalf("%v\n%s", c.Errors, source)
	}
	return c
}

func store() storage.Store {
	return inmem.NewFromObject(map[string]any{
		"list": []any{"eu", "uk"}, "empty": []any{}, "limits": map[string]any{"eu": 10, "uk": 20},
		"residency": map[string]any{"permitted": map[string]any{"eu": []any{"uk", "eu"}}, "restricted": []any{"eu", "us"}},
		"consent":   map[string]any{"required_for": []any{"marketing"}},
	})
}

func input(t testing.TB, text string) ast.Value {
	t.Helper()
	term, err := ast.ParseTerm(text)
	if err != nil {
		t.Fatal(err)
	}
	return term.Value
}

const known = `{"purpose": "billing", "destination": {"region": "uk"}}`

func translate(t testing.TB, source string) (rowfilter.Result, error) {
	t.Helper()
	translator, err := rowfilter.New(compiled(t, source), rowfilter.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return translator.Filter(t.Context(), store(), egress, input(t, known), people)
}

// Bodies of a filter and what they come to.
func TestPoliciesBecomePredicates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, legacy, v2 string }{
		{body: `filter if input.row.region == "eu"`, legacy: `region == "eu"`},
		{body: `filter if input.purpose == "billing"`, legacy: `true`},
		{body: `filter if input.purpose == "marketing"`, legacy: `false`},
		{body: `filter if not input.row.region == "eu"`, legacy: `not (region == "eu")`},
		{body: `filter if not input.row.amount > 9`, legacy: `amount is not null and not (amount > 9)`, v2: `not (amount > 9)`},
		{body: `filter if { x := input.row.region; not x == "eu" }`, legacy: `region is not null and not (region == "eu")`},
		{body: `filter if { x := input.row.region; input.row.amount > 1 }`, legacy: `region is not null and amount > 1`},
		{body: `filter if input.row.region == input.row.region`, legacy: `region is not null`},
		{body: `filter if input.row.consent`, legacy: `consent`},
		{body: `filter if not input.row.consent`, legacy: `not (consent)`},
		{body: `filter if input.row.region`, legacy: `region is not null`},
		{body: `filter if input.row.region == null`, legacy: `false`},
		{body: `filter if input.row.region != null`, legacy: `region is not null`},
		{body: `filter if input.row.region = _`, legacy: `region is not null`},
		{body: `filter if input.row.region in data.list`, legacy: `region in {"eu", "uk"}`},
		{body: `filter if input.row.region in data.empty`, legacy: `region in {}`},
		{body: `filter if { some r in data.list; input.row.region == r }`, legacy: `region in {"eu", "uk"}`},
		{body: `filter if input.row.amount > data.limits[input.row.region]`, legacy: `(region == "eu" and amount > 10) or (region == "uk" and amount > 20)`},
		{body: `filter if startswith(input.row.code, "a_b")`, legacy: `code starts "a_b"`},
		{body: `filter if 9 < input.row.amount`, legacy: `amount > 9`},
		{body: `filter if input.row.amount <= input.row.limit`, legacy: `amount <= limit`},
		{body: "filter if a\na if input.row.amount == 1\na if input.row.amount > 7", legacy: `amount == 1 or amount > 7`},
		{body: "filter if not a\na if input.row.amount == 1\na if input.row.amount > 7", legacy: `not (amount == 1 or amount > 7)`},
		{body: "filter if f(input.row.amount)\nf(x) if x == 1\nf(x) if x > 7", legacy: `amount is not null and (amount == 1 or amount > 7)`},
		{body: "filter if not f(input.row.amount)\nf(x) if x == 1", legacy: `amount is not null and not (amount == 1)`, v2: `not (amount == 1)`},
		{body: "filter if a\ndefault a := false\na if input.row.consent", legacy: `consent`},
		{body: "filter if not a\ndefault a := false\na if input.row.consent", legacy: `not (consent)`},
		{body: "default filter := false\nfilter if input.row.consent", legacy: `consent`},
		{body: "filter if every r in data.list { input.row.region != r }", legacy: `region != "eu" and region != "uk"`},
	} {
		for _, version := range []string{"v1", "v2"} {
			want := c.legacy
			if version == "v2" && c.v2 != "" {
				want = c.v2
			}
			r, err := translate(t, "package governance.egress.team\nimport rego."+version+"\n"+c.body)
			if err != nil {
				t.Errorf("%s, %s: %v", version, c.body, err)
			} else if got := r.Predicate.String(); got != want {
				t.Errorf("%s, %s:\n%s, want\n%s", version, c.body, got, want)
			}
		}
	}
}

// One translator serves many callers at once.
func TestTranslatorIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	translator, err := rowfilter.New(compiled(t, residency), rowfilter.Limits{Time: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	data, in := store(), input(t, known)
	texts := make([]string, 16)
	var wg sync.WaitGroup
	for i := range texts {
		wg.Go(func() {
			r, err := translator.Filter(t.Context(), data, egress, in, people)
			if texts[i] = fmt.Sprint(r.Predicate); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if slices.ContainsFunc(texts, func(text string) bool { return text != texts[0] }) {
		t.Errorf("one policy, several filters: %q", texts)
	}
}

func BenchmarkFilter(b *testing.B) {
	translator, err := rowfilter.New(compiled(b, residency), rowfilter.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	data, in := store(), input(b, known)
	for b.Loop() {
		if _, err := translator.Filter(b.Context(), data, egress, in, people); err != nil {
			b.Fatal(err)
		}
	}
}
