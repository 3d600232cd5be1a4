package policy

import "time"

// Severity says what a reason does.
type Severity string

// The severities. Of these, only Deny denies.
const (
	Deny   Severity = "deny"
	Warn   Severity = "warn"
	DryRun Severity = "dryrun"
	Exempt Severity = "exempt" // a rule that somebody is exempt from
)

// ErrorRule is the id of reasons that no rule gives: something failed, so it is denied.
const ErrorRule = "governance.error"

// Decision is the answer to an Input.
type Decision struct {
	ID          string          `json:"decision_id"`
	Point       Point           `json:"point"`
	Allow       bool            `json:"allow"`
	Reasons     []Reason        `json:"reasons,omitempty"`
	Masks       map[string]Mask `json:"masks,omitempty"` // by column
	Drop        []string        `json:"drop,omitempty"`
	Obligations []Obligation    `json:"obligations,omitempty"`
	Policy      Revision        `json:"policy"`
	// RuleLabels are those of the rules that fired.
	RuleLabels []map[string]any `json:"rule_labels,omitempty"`
	InputHash  string           `json:"input_hash"`
	Time       string           `json:"time"`
	Took       time.Duration    `json:"took_ns"`
}

// Reason is what a rule says.
type Reason struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Path     string   `json:"path,omitempty"` // in the input
	Package  string   `json:"package,omitempty"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`
}

// Mask is how a column is masked, and by which rules.
type Mask struct {
	Method string         `json:"method"`
	Args   map[string]any `json:"args,omitempty"`
	Rules  []string       `json:"rules"`
}

// Obligation is something that has to be done along with what is allowed.
type Obligation struct {
	ID    string         `json:"id"`
	Args  map[string]any `json:"args,omitempty"`
	Rules []string       `json:"rules,omitempty"`
}

// Revision names what was loaded: by its own name, if it has one, and by its content.
type Revision struct {
	Revision string `json:"revision,omitempty"`
	Digest   string `json:"digest"`
}

// Denied are the reasons that deny.
func (d Decision) Denied() []Reason {
	var out []Reason
	for _, r := range d.Reasons {
		if r.Severity == Deny {
			out = append(out, r)
		}
	}
	return out
}
