package contract

import (
	"fmt"
	"slices"
	"strings"
)

var (
	qualityTypes = []string{QualityText, QualityLibrary, QualitySQL, QualityCustom}
	metrics      = []string{MetricNullValues, MetricMissingValues, MetricInvalidValues, MetricDuplicateValues, MetricRowCount}
	dimensions   = []string{"accuracy", "completeness", "conformity", "consistency", "coverage", "timeliness", "uniqueness"}
	operators    = []string{
		"mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo",
		"mustBeBetween", "mustNotBeBetween",
	}
	// qualityKeys are the keys that only some types of rules take.
	qualityKeys = map[string][]string{
		QualityLibrary: append([]string{"metric", "rule", "arguments"}, operators...),
		QualitySQL:     append([]string{"query"}, operators...),
		QualityCustom:  {"engine", "implementation"},
	}
)

func (k *checker) qualities(rules []Quality) {
	for i := range rules {
		k.quality(&rules[i])
	}
}

func (k *checker) quality(q *Quality) {
	if q.has("type") {
		k.word(q.at("type"), "type of quality rule", q.Type, qualityTypes)
	}
	if q.has("dimension") {
		k.word(q.at("dimension"), "dimension", q.Dimension, dimensions)
	}
	k.between(q, "mustBeBetween", q.MustBeBetween)
	k.between(q, "mustNotBeBetween", q.MustNotBeBetween)
	library := q.Type == QualityLibrary || q.has("metric")
	if library {
		k.metric(q)
	}
	if q.Type == QualitySQL {
		k.needs(q, "query")
	}
	if q.Type == QualityCustom {
		k.needs(q, "engine")
		k.needs(q, "implementation")
		k.implementation(q)
	}
	if k.strict {
		k.onlyOwnKeys(q, library)
		k.oneOperator(q, library || q.Type == QualitySQL)
	}
}

func (k *checker) needs(q *Quality, key string) {
	if !q.has(key) {
		k.fault(q.Place, fmt.Sprintf("a quality rule of type %s needs %q", q.Kind(), key), "")
	}
}

func (k *checker) implementation(q *Quality) {
	switch q.Implementation.(type) {
	case string, map[string]any:
	default:
		if q.has("implementation") {
			k.fault(q.at("implementation"), "expected a string or a mapping", "")
		}
	}
}

// metric: v3.0.x names rules of the library freely, so only v3.1 has a list to check against.
func (k *checker) metric(q *Quality) {
	switch {
	case q.has("metric"):
		if k.strict {
			k.word(q.at("metric"), "metric", q.Metric, metrics)
		}
	case k.strict:
		k.needs(q, "metric")
	case !q.has("rule"):
		k.fault(q.Place, `a library rule needs "rule" or "metric"`, "")
	}
}

func (k *checker) onlyOwnKeys(q *Quality, library bool) {
	var allowed, special []string
	if library {
		allowed = append(allowed, qualityKeys[QualityLibrary]...)
	}
	allowed = append(allowed, qualityKeys[q.Type]...)
	for _, keys := range qualityKeys {
		special = append(special, keys...)
	}
	special = append(special, "validValues")
	for key, at := range q.keys {
		if slices.Contains(special, key) && !slices.Contains(allowed, key) {
			k.fault(at, fmt.Sprintf("key %q doesn't belong to a quality rule of type %s", key, q.Kind()), "")
		}
	}
}

func (k *checker) oneOperator(q *Quality, wanted bool) {
	var found []string
	for _, o := range operators {
		if q.has(o) {
			found = append(found, o)
		}
	}
	switch {
	case !wanted || len(found) == 1:
	case len(found) == 0:
		k.fault(q.Place, "an operator is missing", "allowed are "+strings.Join(operators, ", "))
	default:
		k.fault(q.at(found[1]), fmt.Sprintf("expected one operator, found %s", strings.Join(found, " and ")), "write one rule for each")
	}
}

func (k *checker) between(q *Quality, key string, limits []Number) {
	if !q.has(key) {
		return
	}
	if len(limits) != 2 || limits[0].Rat().Cmp(limits[1].Rat()) >= 0 {
		k.fault(q.at(key), "expected two different numbers, the smaller one first", "")
	}
}

// composites checks that rules about several columns name columns that the object has.
func (k *checker) composites(o *Object) {
	for i := range o.Quality {
		q := &o.Quality[i]
		names, ok := q.Arguments["properties"].([]any)
		if !ok {
			continue
		}
		for _, n := range names {
			name, isText := n.(string)
			if !isText {
				k.fault(q.at("arguments"), fmt.Sprintf("expected the name of a property, found %v", n), "")
				continue
			}
			if _, err := o.property(name); err != nil {
				k.fault(q.at("arguments"), err.Error(), "")
			}
		}
	}
}
