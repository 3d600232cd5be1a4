package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/specs/contract"
)

// Result implements sdk.Check: it judges what can only be said of the unit as a whole, and begins the next one.
func (k *check) Result(context.Context) (sdk.CheckResult, error) {
	result := sdk.CheckResult{Verdict: sdk.Pass, Metrics: map[string]float64{}}
	var remarks []string
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(k.streams)) {
		s := k.streams[name]
		prefix := ""
		if len(k.streams) > 1 {
			prefix = name + "."
		}
		verdict, broken := s.verdict()
		result.Verdict = worse(result.Verdict, verdict)
		if k.config.ExtraColumns == warnExtra && len(s.extra) > 0 {
			result.Verdict = worse(result.Verdict, sdk.Warn)
		}
		for _, remark := range slices.Concat(broken, s.remarks(k.config.ExtraColumns), s.unseen()) {
			remarks = append(remarks, prefix+remark)
		}
		s.measure(prefix, result.Metrics)
		faults = append(faults, s.reset())
	}
	result.Message = strings.Join(remarks, "; ")
	return result, errors.Join(faults...)
}

// verdict asks the limits of the rules that don't judge single rows.
func (s *stream) verdict() (sdk.Verdict, []string) {
	verdict := sdk.Pass
	var broken []string
	for _, r := range s.rules {
		if r.each {
			continue
		}
		count, found := r.violations, fmt.Sprintf("%d of %d rows break it", r.violations, s.rows)
		if r.Kind == contract.KindRowCount {
			count, found = s.rows, fmt.Sprintf("%d rows", s.rows)
		}
		if r.Limit.Holds(count, s.rows) {
			continue
		}
		broken = append(broken, fmt.Sprintf("%s: %s, expected %s (%s)", r.ID, found, r.Limit, r.where()))
		switch r.Severity {
		case contract.SeverityError:
			verdict = sdk.Fail
		case contract.SeverityWarning:
			verdict = worse(verdict, sdk.Warn)
		}
	}
	return verdict, broken
}

func worse(a, b sdk.Verdict) sdk.Verdict {
	order := []sdk.Verdict{sdk.Pass, sdk.Warn, sdk.Fail}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// remarks is what people should know however the rows turn out.
func (s *stream) remarks(extra string) []string {
	remarks := append(slices.Clone(s.unsupported), s.notes...)
	if extra == warnExtra && len(s.extra) > 0 {
		remarks = append(remarks, "columns that no rule names: "+strings.Join(s.extra, ", "))
	}
	return remarks
}

// unseen names the unique rules that could not be judged to the end of the unit.
func (s *stream) unseen() []string {
	var remarks []string
	for _, r := range s.rules {
		if r.claims.blind {
			remarks = append(remarks, fmt.Sprintf("%s wasn't checked to the end (%s): of a row that was changed or deleted, the values before aren't known",
				r.ID, r.where()))
		}
	}
	return remarks
}

// longestName is how many bytes of a rule's name go into the name of its metric.
const longestName = 200

// metricName makes one printable line of a rule's name, which a contract may write as it likes.
func metricName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, name)
	return strings.ToValidUTF8(name[:min(len(name), longestName)], "")
}

func (s *stream) measure(prefix string, metrics map[string]float64) {
	metrics[prefix+"rows"] = float64(s.rows)
	metrics[prefix+"unchecked_rules"] = float64(len(s.unsupported) + len(s.notes) + len(s.unseen()))
	if s.changes != nil {
		metrics[prefix+"removals"] = float64(s.removals)
	}
	for _, r := range s.rules {
		if r.Kind != contract.KindRowCount {
			metrics[prefix+r.ID+".violations"] = float64(r.violations)
		}
	}
}

func (s *stream) reset() error {
	var faults []error
	s.rows, s.removals = 0, 0
	for _, r := range s.rules {
		r.violations = 0
		if r.seen != nil {
			r.claims.blind = false
			faults = append(faults, r.seen.reset(), r.claims.given.reset())
		}
	}
	return errors.Join(faults...)
}
