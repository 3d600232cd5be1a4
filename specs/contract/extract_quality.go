package contract

import (
	"cmp"
	"fmt"
	"strings"
)

// quality adds one quality rule; c is nil for those of the object.
func (x *extractor) quality(q *Quality, c *Column) {
	var reason string
	switch kind := q.Kind(); kind {
	case QualityLibrary:
		reason = x.library(q, c)
	case QualityText:
		reason = "it is prose for people"
	case QualitySQL:
		reason = "SQL rules run in the system that holds the data"
	case QualityCustom:
		reason = fmt.Sprintf("it is written for another engine, %q", q.Engine)
	default:
		reason = fmt.Sprintf("its type %q is not known", kind)
	}
	if reason != "" {
		x.refuse(q.Place, q.title(c), reason)
	}
}

func (q *Quality) title(c *Column) string {
	title := "quality rule"
	if name := cmp.Or(q.Name, q.ID, q.Metric, q.Rule); name != "" {
		title += " " + name
	}
	if c != nil {
		title += " of " + c.Name()
	}
	return title + " (" + q.Kind() + ")"
}

// olderRules maps the names of v3.0.x's library rules to metrics.
var olderRules = map[string]string{
	"nullCheck": MetricNullValues, "duplicateCount": MetricDuplicateValues, "uniqueCheck": MetricDuplicateValues,
	"validValues": MetricInvalidValues, "rowCount": MetricRowCount,
	MetricNullValues: MetricNullValues, MetricMissingValues: MetricMissingValues,
	MetricInvalidValues: MetricInvalidValues, MetricDuplicateValues: MetricDuplicateValues,
}

// library adds a rule of the library or says why it can't.
func (x *extractor) library(q *Quality, c *Column) (reason string) {
	metric := q.Metric
	if metric == "" {
		metric = olderRules[q.Rule]
	}
	r, reason := q.base(metric)
	if reason != "" {
		return reason
	}
	if c != nil {
		r.Columns = []Column{*c}
	}
	switch metric {
	case MetricRowCount:
		return x.rowCount(r, c)
	case MetricDuplicateValues:
		return x.duplicates(r, q, c)
	case MetricNullValues, MetricMissingValues, MetricInvalidValues:
		if c == nil {
			return metric + " belongs to a property, not to the object"
		}
	}
	switch metric {
	case MetricNullValues:
		r.Kind = KindRequired
		x.rule(r)
	case MetricMissingValues:
		return x.missing(r, q)
	case MetricInvalidValues:
		return x.invalid(r, q)
	default:
		return fmt.Sprintf("%q is not a known metric or rule", q.Metric+q.Rule)
	}
	return ""
}

// base gives what all library rules have in common.
func (q *Quality) base(metric string) (Rule, string) {
	r := Rule{
		ID: q.ID, Severity: q.severity(), Dimension: q.Dimension, Description: q.Description, Place: q.Place,
	}
	if r.ID == "" {
		r.ID = q.Name
	}
	limit, reason := q.limit(metric)
	r.Limit = limit
	return r, reason
}

func (q *Quality) severity() Severity {
	switch strings.ToLower(q.Severity) {
	case "info", "information", "informational":
		return SeverityInfo
	case "warn", "warning":
		return SeverityWarning
	}
	return SeverityError
}

func (q *Quality) limit(metric string) (Limit, string) {
	l := Limit{Op: OpEqual, Value: "0"}
	switch strings.ToLower(q.Unit) {
	case "", "row", "rows":
	case "percent", "%":
		l.Percent = true
		if metric == MetricRowCount {
			return l, "a number of rows has no percentage"
		}
	default:
		return l, fmt.Sprintf("its unit %q is not known; known are rows and percent", q.Unit)
	}
	for _, o := range []struct {
		op    Operator
		value *Number
	}{
		{OpGreater, q.MustBeGreaterThan}, {OpGreaterOrEqual, q.MustBeGreaterOrEqualTo},
		{OpLess, q.MustBeLessThan}, {OpLessOrEqual, q.MustBeLessOrEqualTo},
	} {
		if o.value != nil {
			l.Op, l.Value = o.op, *o.value
			return l, ""
		}
	}
	switch {
	case q.has("mustBeBetween"):
		l.Op, l.Value, l.Upper = OpBetween, q.MustBeBetween[0], q.MustBeBetween[1]
	case q.has("mustNotBeBetween"):
		l.Op, l.Value, l.Upper = OpNotBetween, q.MustNotBeBetween[0], q.MustNotBeBetween[1]
	case q.has("mustBe"):
		return l.exactly(OpEqual, q.MustBe)
	case q.has("mustNotBe"):
		return l.exactly(OpNotEqual, q.MustNotBe)
	case metric == MetricRowCount:
		return l, "it names no operator"
	}
	return l, ""
}

func (l Limit) exactly(op Operator, value any) (Limit, string) {
	n, ok := exact(fmt.Sprint(value))
	if _, isText := value.(string); !ok || isText {
		return l, fmt.Sprintf("%v can't be compared with a count", value)
	}
	l.Op, l.Value = op, Number(n.RatString())
	if !n.IsInt() {
		l.Value = Number(fmt.Sprint(value))
	}
	return l, ""
}

func (x *extractor) rowCount(r Rule, c *Column) string {
	if c != nil {
		return "rowCount belongs to the object, not to a property"
	}
	r.Kind = KindRowCount
	x.rule(r)
	return ""
}

func (x *extractor) duplicates(r Rule, q *Quality, c *Column) string {
	names, ok := q.Arguments["properties"].([]any)
	if len(names) > 0 && ok {
		r.Columns = nil
	}
	for _, n := range names {
		column, found := find(x.columns, fmt.Sprint(n))
		if !found {
			return fmt.Sprintf("property %v isn't in the object", n)
		}
		r.Columns = append(r.Columns, column)
	}
	switch {
	case len(r.Columns) == 0:
		return "arguments.properties names no properties"
	case c != nil && c.InArray():
		return "items of arrays aren't compared between rows; use uniqueItems"
	}
	r.Kind = KindUnique
	x.rule(r)
	return ""
}

// missing: without a list, nulls and empty text count as missing.
func (x *extractor) missing(r Rule, q *Quality) string {
	r.Kind, r.Values = KindMissing, []any{nil, ""}
	if given, ok := q.Arguments["missingValues"]; ok {
		values, isList := given.([]any)
		if !isList {
			return "arguments.missingValues isn't a list"
		}
		r.Values = values
	}
	x.rule(r)
	return ""
}

func (x *extractor) invalid(r Rule, q *Quality) string {
	values, listed := q.Arguments["validValues"]
	if q.has("validValues") {
		values, listed = q.ValidValues, true
	}
	pattern, matched := q.Arguments["pattern"]
	if !listed && !matched {
		return "arguments give neither validValues nor a pattern"
	}
	if listed && matched && !r.Limit.EachRow() {
		return "a limit on validValues and a pattern together can't be split; write one rule for each"
	}
	if listed {
		list, ok := values.([]any)
		if !ok {
			return "arguments.validValues isn't a list"
		}
		enum := r
		enum.Kind, enum.Values = KindEnum, list
		x.rule(enum)
	}
	if matched {
		text, ok := pattern.(string)
		if !ok {
			return "arguments.pattern isn't a string"
		}
		x.pattern(r, text)
	}
	return ""
}
