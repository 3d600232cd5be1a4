package contract

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shownRule gives all of a rule on one line: id, kind, columns, what is asked, limit, severity and line.
func shownRule(r Rule) string {
	parts := []string{r.ID + ":", string(r.Kind)}
	for _, c := range r.Columns {
		parts = append(parts, c.Name())
	}
	add := func(ok bool, format string, args ...any) {
		if ok {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(r.Type != nil, "%v", r.Type)
	add(r.Layout != "", "layout %s", r.Layout)
	add(r.Zone != nil, "zone %s", r.Zone)
	add(r.Values != nil, "%v", r.Values)
	add(r.Pattern != nil, "/%s/", r.Pattern)
	add(r.Format != "", "%s", r.Format)
	add(r.Min != nil, "from %s", shownBound(r.Min))
	add(r.Max != nil, "to %s", shownBound(r.Max))
	add(r.Step != "", "step %s", r.Step)
	add(r.MinCount != nil, "at least %d", deref(r.MinCount))
	add(r.MaxCount != nil, "at most %d", deref(r.MaxCount))
	add(r.Limit != none, "limit %s", r.Limit)
	add(r.Severity != SeverityError, "%s", r.Severity)
	return strings.Join(append(parts, fmt.Sprintf("@%d", r.Place.Line)), " ")
}

func deref(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func shownBound(b *Bound) string {
	if b == nil {
		return ""
	}
	text := string(b.Number)
	switch b.Of {
	case BoundTime:
		text = b.Time.Format(time.RFC3339)
	case BoundOfDay:
		text = b.SinceMidnight.String()
	}
	if b.Exclusive {
		text += " exclusive"
	}
	return text
}

// rulesOf shows the rules of the only object, without those about types, and what isn't supported.
func rulesOf(t *testing.T, text string) (rules, unsupported []string) {
	t.Helper()
	c, err := Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	found, not := c.Schema[0].Rules()
	for _, r := range found {
		if r.Kind != KindType {
			rules = append(rules, shownRule(r))
		}
	}
	for _, u := range not {
		if !strings.HasPrefix(u.What, "type of") {
			unsupported = append(unsupported, fmt.Sprintf("%s: %s @%d", u.What, u.Reason, u.Place.Line))
		}
	}
	return rules, unsupported
}

func TestColumnOptionsBecomeRules(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, lines, rule string }{
		{"required", "required: true", "c.required: required c @10"},
		{"unique", "unique: true", "c.unique: unique c @10"},
		{"lengths", "logicalType: string\nlogicalTypeOptions:\n  minLength: 2\n  maxLength: 4", "c.length: length c at least 2 at most 4 @12"},
		{"one length", "logicalType: string\nlogicalTypeOptions: {maxLength: 0}", "c.length: length c at most 0 @11"},
		{"pattern", "logicalType: string\nlogicalTypeOptions:\n  pattern: ^\\u0041[0-9]+$", "c.pattern: pattern c /^\\x{0041}[0-9]+$/ @12"},
		{"format", "logicalType: string\nlogicalTypeOptions: {format: ipv4}", "c.format: format c ipv4 @11"},
		{"closed range", "logicalType: integer\nlogicalTypeOptions: {minimum: 1, maximum: 10}", "c.range: range c from 1 to 10 @11"},
		{"open range", "logicalType: number\nlogicalTypeOptions: {exclusiveMinimum: 0.1, exclusiveMaximum: 1e3}", "c.range: range c from 0.1 exclusive to 1e3 exclusive @11"},
		{"half-open range", "logicalType: number\nlogicalTypeOptions: {minimum: 0, exclusiveMaximum: 1}", "c.range: range c from 0 to 1 exclusive @11"},
		{"dates", "logicalType: date\nlogicalTypeOptions: {exclusiveMinimum: 01/02/2020, maximum: '2021-01-01', format: dd/MM/yyyy}", "c.range: range c from 2020-02-01T00:00:00Z exclusive to 2021-01-01T00:00:00Z @11"},
		{"instants", "logicalType: timestamp\nlogicalTypeOptions: {minimum: '2020-01-01 00:00:00+10:00', timezone: true}", "c.range: range c from 2019-12-31T14:00:00Z @11"},
		{"instants in a zone", "logicalType: timestamp\nlogicalTypeOptions: {minimum: '2020-01-01 00:00:00', timezone: true, defaultTimezone: UTC}", "c.range: range c from 2020-01-01T00:00:00Z @11"},
		{"times", "logicalType: time\nlogicalTypeOptions: {minimum: '06:30:00', maximum: '22:00'}", "c.range: range c from 6h30m0s to 22h0m0s @11"},
		{"multiple", "logicalType: number\nlogicalTypeOptions: {multipleOf: 0.05}", "c.multiple_of: multiple_of c step 0.05 @11"},
		{"items", "logicalType: array\nlogicalTypeOptions: {minItems: 1, maxItems: 3}", "c.item_count: item_count c at least 1 at most 3 @11"},
		{"distinct items", "logicalType: array\nlogicalTypeOptions: {uniqueItems: true}", "c.unique_items: unique_items c @11"},
		{"item", "logicalType: array\nitems: {logicalType: string, required: true}", "c.[].required: required c.[] @11"},
		{"field", "logicalType: object\nproperties: [{name: x, unique: true, physicalName: y}]", "c.y.unique: unique c.y @11"},
		{"field required by its object", "logicalType: object\nlogicalTypeOptions: {required: [x]}\nproperties: [{name: x}]", "c.x.required: required c.x @12"},
		{"physical name", "physicalName: p\nrequired: true", "p.required: required p @11"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rules, unsupported := rulesOf(t, onColumn(head, tc.lines))
			if diff := cmp.Diff([]string{tc.rule}, rules); diff != "" {
				t.Error(diff)
			}
			if len(unsupported) > 0 {
				t.Errorf("unsupported: %q", unsupported)
			}
		})
	}
}

func TestQualityBecomesRules(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, quality, rule string }{
		{"nulls", "{metric: nullValues, mustBe: 0}", "c.required: required c @11"},
		{"few nulls", "{id: q, metric: nullValues, mustBeLessThan: 1, unit: percent, severity: warning}", "q: required c limit < 1 % warning @11"},
		{"missing", "{name: q, metric: missingValues, mustBe: 0}", "q: missing c [<nil> ] @11"},
		{"listed missing", "{metric: missingValues, mustBeLessOrEqualTo: 3, arguments: {missingValues: [N/A, -1, null]}}", "c.missing: missing c [N/A -1 <nil>] limit <= 3 @11"},
		{"valid values", "{metric: invalidValues, mustBe: 0, arguments: {validValues: [a, 1, true]}, severity: info}", "c.enum: enum c [a 1 true] info @11"},
		{"pattern", "{metric: invalidValues, mustBe: 0, arguments: {pattern: '^x'}, severity: critical}", "c.pattern: pattern c /^x/ @11"},
		{"duplicates", "{metric: duplicateValues, mustBeBetween: [1, 5]}", "c.unique: unique c limit between 1 and 5 @11"},
		{"few duplicates", "{metric: duplicateValues, mustNotBeBetween: [1, 5], unit: rows}", "c.unique: unique c limit not between 1 and 5 @11"},
		{"not", "{metric: nullValues, mustNotBe: 0.5}", "c.required: required c limit != 0.5 @11"},
		{"greater", "{metric: nullValues, mustBeGreaterThan: 0}", "c.required: required c limit > 0 @11"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rules, unsupported := rulesOf(t, onColumn(head, "quality:\n- "+tc.quality))
			if diff := cmp.Diff([]string{tc.rule}, rules); diff != "" {
				t.Error(diff)
			}
			if len(unsupported) > 0 {
				t.Errorf("unsupported: %q", unsupported)
			}
		})
	}
}

func TestObjectQualityBecomesRules(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, lines, rule string }{
		{"row count", "quality: [{metric: rowCount, mustBeGreaterOrEqualTo: 10}]", "row_count: row_count limit >= 10 @8"},
		{"row count exactly", "quality: [{id: n, metric: rowCount, mustBe: 7}]", "n: row_count limit = 7 @8"},
		{"composite", "quality: [{metric: duplicateValues, mustBe: 0, arguments: {properties: [a, b]}}]", "a+b.unique: unique a b @8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rules, unsupported := rulesOf(t, onObject(head, tc.lines))
			if diff := cmp.Diff([]string{tc.rule}, rules); diff != "" {
				t.Error(diff)
			}
			if len(unsupported) > 0 {
				t.Errorf("unsupported: %q", unsupported)
			}
		})
	}
}

func TestDemandsWithoutARuleAreReported(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"prose", onColumn(head, "quality: [{type: text, description: x}]"), "quality rule of c (text): it is prose for people @10"},
		{"sql", onColumn(head, "quality: [{name: q, type: sql, query: x, mustBe: 0}]"), "quality rule q of c (sql): SQL rules run in the system that holds the data @10"},
		{"custom", onObject(head, "quality: [{type: custom, engine: soda, implementation: x}]"), `quality rule (custom): it is written for another engine, "soda" @8`},
		{"unit", onColumn(head, "quality: [{metric: nullValues, mustBe: 0, unit: files}]"), `quality rule nullValues of c (library): its unit "files" is not known; known are rows and percent @10`},
		{"operand", onColumn(head, "quality: [{metric: nullValues, mustBe: few}]"), "quality rule nullValues of c (library): few can't be compared with a count @10"},
		{"no arguments", onColumn(head, "quality: [{metric: invalidValues, mustBe: 0}]"), "quality rule invalidValues of c (library): arguments give neither validValues nor a pattern @10"},
		{"no list", onColumn(head, "quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: a}}]"), "quality rule invalidValues of c (library): arguments.validValues isn't a list @10"},
		{"no missing list", onColumn(head, "quality: [{metric: missingValues, mustBe: 0, arguments: {missingValues: a}}]"), "quality rule missingValues of c (library): arguments.missingValues isn't a list @10"},
		{"pattern of a number", onColumn(head, "quality: [{metric: invalidValues, mustBe: 0, arguments: {pattern: 1}}]"), "quality rule invalidValues of c (library): arguments.pattern isn't a string @10"},
		{"limit on two", onColumn(head, "quality: [{metric: invalidValues, mustBeLessThan: 9, arguments: {pattern: a, validValues: [a]}}]"), "quality rule invalidValues of c (library): a limit on validValues and a pattern together can't be split; write one rule for each @10"},
		{"row count of a column", onColumn(head, "quality: [{metric: rowCount, mustBe: 1}]"), "quality rule rowCount of c (library): rowCount belongs to the object, not to a property @10"},
		{"row count in percent", onObject(head, "quality: [{metric: rowCount, mustBe: 1, unit: percent}]"), "quality rule rowCount (library): a number of rows has no percentage @8"},
		{"nulls of an object", onObject(head, "quality: [{metric: nullValues, mustBe: 1}]"), "quality rule nullValues (library): nullValues belongs to a property, not to the object @8"},
		{"duplicates of nothing", onObject(head, "quality: [{metric: duplicateValues, mustBe: 0}]"), "quality rule duplicateValues (library): arguments.properties names no properties @8"},
		{"look-ahead", onColumn(head, "logicalType: string\nlogicalTypeOptions: {pattern: a(?=b)}"), "pattern of c: it isn't a regular expression of RE2: error parsing regexp: invalid or unsupported Perl syntax: `(?=` @11"},
		{"display format", onColumn(head, "logicalType: string\nlogicalTypeOptions: {format: password}"), `format "password" of c: it says how to treat values and allows all of them @11`},
		{"unknown format", onColumn(head, "logicalType: string\nlogicalTypeOptions: {format: iban}"), `format "iban" of c: it isn't known; known are email, uuid, uri, hostname, ipv4, ipv6, byte @11`},
		{"date format", onColumn(head, "logicalType: date\nlogicalTypeOptions: {format: QQQ}"), `format of c: format "QQQ": "QQQ" is not understood @11`},
		{"bound", onColumn(head, "logicalType: date\nlogicalTypeOptions: {minimum: soon}"), `range of c: bound "soon" is in neither the column's format nor ISO 8601 @11`},
		{"zone", onColumn(head, "logicalType: timestamp\nlogicalTypeOptions: {timezone: true, defaultTimezone: Mars/Olympus}"), "default time zone of c: unknown time zone Mars/Olympus @11"},
		{"field count", onColumn(head, "logicalType: object\nlogicalTypeOptions: {maxProperties: 2}"), "maxProperties of c: the fields of a column are fixed by its type @11"},
		{"field of an open object", onColumn(head, "logicalType: object\nlogicalTypeOptions: {required: [x]}"), "required field x of c: the object lists no properties @11"},
		{"boolean option", onColumn(head, "logicalType: boolean\nlogicalTypeOptions: {maximum: '1'}"), "option maximum of c: ODCS gives it no meaning for booleans @11"},
		{"unique items of all rows", onColumn(head, "logicalType: array\nitems: {unique: true}"), "uniqueness of c.[]: items of arrays aren't compared between rows; use uniqueItems @11"},
		{"duplicates of items", onColumn(head, "logicalType: array\nitems: {quality: [{metric: duplicateValues, mustBe: 0}]}"), "quality rule duplicateValues of c.[] (library): items of arrays aren't compared between rows; use uniqueItems @11"},
		{"nested key", onColumn(head, "logicalType: object\nproperties: [{name: x, primaryKey: true}]"), "primary key c.x: only top-level columns can be part of a primary key @11"},
		{"foreign key", onColumn(head, "relationships: [{to: x.y}]"), "relationship of column c: the rows of x.y aren't at hand when these rows are checked @10"},
		{"older rule", onColumn(oldHead, "quality: [{type: library, rule: freshness}]"), `quality rule freshness of c (library): "freshness" is not a known metric or rule @10`},
		{"older row count", onObject(oldHead, "quality: [{type: library, rule: rowCount}]"), "quality rule rowCount (library): it names no operator @8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			rules, unsupported := rulesOf(t, tc.text)
			if diff := cmp.Diff([]string{tc.want}, unsupported); diff != "" {
				t.Error(diff)
			}
			if len(rules) > 0 {
				t.Errorf("rules: %q", rules)
			}
		})
	}
}

func TestPrimaryKeyIsRequiredAndUniqueTogether(t *testing.T) {
	t.Parallel()
	rules, _ := rulesOf(t, head+`schema:
- name: o
  properties:
  - {name: b, primaryKey: true, primaryKeyPosition: 2, required: false}
  - {name: a, primaryKey: true, primaryKeyPosition: 1, unique: true}
`)
	want := []string{
		"primary_key: unique a b @10", "b.required: required b @9", "a.required: required a @10", "a.unique: unique a @10",
	}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Error(diff)
	}
	rules, _ = rulesOf(t, onColumn(head, "primaryKey: true\nunique: true"))
	if diff := cmp.Diff([]string{"primary_key: unique c @10", "c.required: required c @10"}, rules); diff != "" {
		t.Error(diff)
	}
}

func TestRulesOfOlderContractsAreUnderstood(t *testing.T) {
	t.Parallel()
	rules, unsupported := rulesOf(t, onColumn(oldHead, `logicalType: integer
logicalTypeOptions: {minimum: 1, exclusiveMinimum: true, maximum: 9, exclusiveMaximum: false}
quality:
- {type: library, rule: nullCheck}
- {type: library, rule: duplicateCount, mustBeLessThan: 10}
- {rule: validValues, validValues: [1, 2], mustBe: 0}
`))
	want := []string{
		"c.range: range c from 1 exclusive to 9 @11", "c.required: required c @13", "c.unique: unique c limit < 10 @14",
		"c.enum: enum c [1 2] @15",
	}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Error(diff)
	}
	if len(unsupported) > 0 {
		t.Errorf("unsupported: %q", unsupported)
	}
}

func TestTwoBoundsOnOneSideGiveTwoRules(t *testing.T) {
	t.Parallel()
	rules, _ := rulesOf(t, onColumn(head, "logicalType: integer\nlogicalTypeOptions: {minimum: 1, exclusiveMinimum: 3, maximum: 9}"))
	want := []string{"c.range: range c from 1 to 9 @11", "c.range#2: range c from 3 exclusive @11"}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Error(diff)
	}
}

func TestTypeRulesTellHowToReadText(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		"logicalType: date\nlogicalTypeOptions: {format: dd.MM.yyyy}":  "c.type: type c date32 layout 02.01.2006 @10",
		"logicalType: timestamp\nlogicalTypeOptions: {timezone: true}": "c.type: type c timestamp[us, tz=UTC] zone UTC @10",
		"physicalType: bigint": "c.type: type c int64 @10",
	} {
		c, err := Parse("c.yaml", []byte(onColumn(head, lines)))
		if err != nil {
			t.Fatal(err)
		}
		rules, _ := c.Schema[0].Rules()
		if got := shownRule(rules[0]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// The published examples count as a check that no demand goes missing: every column has a type rule or a reason why
// not, and every quality rule appears on one side.
func TestNothingOfThePublishedContractsIsDropped(t *testing.T) {
	t.Parallel()
	for _, file := range append(published(t), "testdata/everything.odcs.yaml") {
		c, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Schema {
			o := &c.Schema[i]
			rules, unsupported := o.Rules()
			types, ids := 0, map[string]bool{}
			for _, r := range rules {
				if r.Kind == KindType {
					types++
				}
				if ids[r.ID] {
					t.Errorf("%s: rule id %s is given twice", filepath.Base(file), r.ID)
				}
				ids[r.ID] = true
			}
			for _, u := range unsupported {
				if strings.HasPrefix(u.What, "type of") {
					types++
				}
				if u.Reason == "" || u.Place.Line == 0 {
					t.Errorf("%s: %+v", filepath.Base(file), u)
				}
			}
			if want := countColumns(o.Columns()); types != want {
				t.Errorf("%s: %s has %d columns and %d verdicts on types", filepath.Base(file), o.Name, want, types)
			}
		}
	}
}

func countColumns(columns []Column) int {
	n := len(columns)
	for _, c := range columns {
		n += countColumns(c.Fields)
		if c.Items != nil {
			n += countColumns([]Column{*c.Items})
		}
	}
	return n
}
