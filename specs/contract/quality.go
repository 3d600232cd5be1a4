package contract

// Kinds of quality rules.
const (
	QualityText    = "text"
	QualityLibrary = "library"
	QualitySQL     = "sql"
	QualityCustom  = "custom"
)

// Metrics of the library.
const (
	MetricNullValues      = "nullValues"
	MetricMissingValues   = "missingValues"
	MetricInvalidValues   = "invalidValues"
	MetricDuplicateValues = "duplicateValues"
	MetricRowCount        = "rowCount"
)

// Quality is one quality rule, as written; Object.Rules gives it in a form that a checker can follow.
type Quality struct {
	located
	ID                       string                    `odcs:"id,id"`
	Name                     string                    `odcs:"name"`
	Description              string                    `odcs:"description"`
	Type                     string                    `odcs:"type"`
	Dimension                string                    `odcs:"dimension"`
	Method                   string                    `odcs:"method"`
	Severity                 string                    `odcs:"severity"`
	BusinessImpact           string                    `odcs:"businessImpact"`
	Unit                     string                    `odcs:"unit"`
	Scheduler                string                    `odcs:"scheduler"`
	Schedule                 string                    `odcs:"schedule"`
	Tags                     []string                  `odcs:"tags"`
	AuthoritativeDefinitions []AuthoritativeDefinition `odcs:"authoritativeDefinitions"`
	CustomProperties         []CustomProperty          `odcs:"customProperties"`

	// Of library rules. Rule and ValidValues are how v3.0.x says metric and its arguments.
	Metric      string         `odcs:"metric"`
	Rule        string         `odcs:"rule"`
	ValidValues []any          `odcs:"validValues"`
	Arguments   map[string]any `odcs:"arguments"`

	// Of SQL rules.
	Query string `odcs:"query"`

	// Of custom rules; Implementation is a string or map[string]any.
	Engine         string `odcs:"engine"`
	Implementation any    `odcs:"implementation"`

	// Operators of library and SQL rules. MustBe and MustNotBe may be anything.
	MustBe                 any      `odcs:"mustBe"`
	MustNotBe              any      `odcs:"mustNotBe"`
	MustBeGreaterThan      *Number  `odcs:"mustBeGreaterThan"`
	MustBeGreaterOrEqualTo *Number  `odcs:"mustBeGreaterOrEqualTo"`
	MustBeLessThan         *Number  `odcs:"mustBeLessThan"`
	MustBeLessOrEqualTo    *Number  `odcs:"mustBeLessOrEqualTo"`
	MustBeBetween          []Number `odcs:"mustBeBetween"`
	MustNotBeBetween       []Number `odcs:"mustNotBeBetween"`
}

// Kind gives the type of the rule with ODCS's defaults applied: library where a metric is named, or where an older
// contract names a rule, else text.
func (q *Quality) Kind() string {
	switch {
	case q.Type != "":
		return q.Type
	case q.Metric != "", q.Rule != "":
		return QualityLibrary
	default:
		return QualityText
	}
}
