package sdk

import "context"

// Check judges rows and units without changing them.
type Check interface {
	// Plan prepares for a schema; an error says why the check can't run on it (a missing column, for instance).
	Plan(ctx context.Context, in SchemaChange) error
	// Rows judges one batch, whose ownership passes, and returns findings on rows that fail. They must not depend on where the
	// runtime cuts batches, nor on units before.
	Rows(ctx context.Context, b Batch) ([]Finding, error)
	// Result judges the unit that the batches since the last Result make, and begins the next one.
	Result(ctx context.Context) (CheckResult, error)
	// Close frees what the constructor took.
	Close(ctx context.Context) error
}

// Finding is one fault of one row. What follows (a warning, quarantine, blocking the unit) is the operator's choice with on_fail,
// unless the finding is only a warning.
type Finding struct {
	Row     int // index in the batch
	Column  string
	Code    string // short and stable: required, range, enum …
	Reason  string // for people: the value, what was expected
	Warning bool
}

// CheckResult is the verdict on a unit.
type CheckResult struct {
	Verdict Verdict
	Message string
	Metrics map[string]float64
}

// Verdict of a check on a unit as a whole; faults of single rows are findings.
type Verdict string

// The verdicts.
const (
	Pass Verdict = "pass"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)
