package conformance

import (
	"time"
)

// Status of a check.
type Status string

// The statuses.
const (
	Passed  Status = "pass"
	Failed  Status = "fail"
	Skipped Status = "skip"
)

// Result is what came of one check.
type Result struct {
	ID      string `json:"id"`
	Group   string `json:"group"`   // plugin, or a kind
	Promise string `json:"promise"` // in one sentence
	Status  Status `json:"status"`
	// Detail says what was seen and what was expected, or why the check was skipped.
	Detail string `json:"detail,omitempty"`
	// Cost is what a skipped check means to whoever runs the plugin.
	Cost     string        `json:"cost,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
	Duration time.Duration `json:"duration_ns"`
}

// Report is what came of all checks.
type Report struct {
	Plugin      string   `json:"plugin"`
	Version     string   `json:"version"`
	SDK         string   `json:"sdk_version,omitempty"`
	Binary      string   `json:"binary"`
	Kinds       []string `json:"kinds"` // all that it serves
	Kind        string   `json:"kind"`  // that was checked
	Results     []Result `json:"results"`
	Guarantees  []string `json:"guarantees"` // what the operator may rely on, as far as it was shown
	PassedCount int      `json:"passed"`
	FailedCount int      `json:"failed"`
	SkipCount   int      `json:"skipped"`

	Duration time.Duration `json:"duration_ns"`
}

// OK says whether no check failed.
func (r Report) OK() bool { return r.FailedCount == 0 }

// Result returns the result of a check by its name.
func (r Report) Result(id string) (Result, bool) {
	for _, one := range r.Results {
		if one.ID == id {
			return one, true
		}
	}
	return Result{}, false
}

// passed says whether all of these checks ran and passed.
func (r Report) passed(ids ...string) bool {
	for _, id := range ids {
		if one, ok := r.Result(id); !ok || one.Status != Passed {
			return false
		}
	}
	return true
}

func (r *Report) add(one Result) {
	r.Results = append(r.Results, one)
	switch one.Status {
	case Passed:
		r.PassedCount++
	case Failed:
		r.FailedCount++
	case Skipped:
		r.SkipCount++
	}
}
