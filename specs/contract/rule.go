package contract

import (
	"regexp"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// Kind says what a rule asks of values or rows. The comment names the fields of Rule that it uses. Nulls break only
// Required and Missing; every other kind passes over them.
type Kind string

// The kinds of rules.
const (
	// KindType: values have the Type; text holds such a value, dates and times as Layout says.
	KindType Kind = "type"
	// KindRequired: no null. A field of a struct that is null itself doesn't break it.
	KindRequired Kind = "required"
	// KindUnique: no two rows of the dataset agree in all Columns. A row breaks it if an earlier one has the same
	// values; rows with a null in any of the Columns never do, as in SQL.
	KindUnique Kind = "unique"
	// KindEnum: one of Values.
	KindEnum Kind = "enum"
	// KindMissing: none of Values; a nil among them stands for null.
	KindMissing Kind = "missing"
	// KindPattern: Pattern matches somewhere in the text; authors anchor it if they mean all of it.
	KindPattern Kind = "pattern"
	// KindLength: between MinCount and MaxCount characters (Unicode code points).
	KindLength Kind = "length"
	// KindRange: between Min and Max.
	KindRange Kind = "range"
	// KindMultipleOf: a whole multiple of Step.
	KindMultipleOf Kind = "multiple_of"
	// KindFormat: text in the Format.
	KindFormat Kind = "format"
	// KindItemCount: between MinCount and MaxCount items in the array.
	KindItemCount Kind = "item_count"
	// KindUniqueItems: no two items of one array are equal.
	KindUniqueItems Kind = "unique_items"
	// KindRowCount: Limit holds for the number of rows of the dataset; no row breaks it by itself. No Columns.
	KindRowCount Kind = "row_count"
)

// Format is a form that text can have.
type Format string

// The formats of text.
const (
	FormatEmail    Format = "email"
	FormatUUID     Format = "uuid"
	FormatURI      Format = "uri"
	FormatHostname Format = "hostname"
	FormatIPv4     Format = "ipv4"
	FormatIPv6     Format = "ipv6"
	// FormatByte is text in base64.
	FormatByte Format = "byte"
)

// Severity is how bad it is to break a rule.
type Severity string

// The severities. ODCS leaves the words open: info and warning (and their short forms) are recognised, everything
// else and nothing at all mean error.
const (
	SeverityInfo    Severity = "info"
	SeverityWarning Severity = "warning"
	SeverityError   Severity = "error"
)

// Rule is one demand of a contract on the rows of an object, free of ODCS's vocabulary. A checker counts the rows
// (for KindRowCount: all rows) that break it and asks Limit about the count.
type Rule struct {
	// ID is distinct within the object and stable as long as the contract's text is: the id or name of a quality
	// rule, else columns and kind, as in iata.required.
	ID   string
	Kind Kind
	// Columns is one column for most kinds, several for KindUnique, none for KindRowCount. A column inside an array is
	// judged per item, and a row breaks the rule if any of its items does.
	Columns []Column

	Type   arrow.DataType
	Layout string // of Go's time package; empty: ISO 8601
	// Zone is where texts of timestamps without an offset are, if the column holds instants. Nil means that wall-clock
	// times are meant.
	Zone     *time.Location
	Values   []any // nil, bool, int64, uint64, float64 or string
	Pattern  *regexp.Regexp
	Format   Format
	Min, Max *Bound
	Step     Number
	// MinCount and MaxCount are nil where that side is open.
	MinCount, MaxCount *int

	Limit    Limit
	Severity Severity
	// Dimension (accuracy, completeness …) and Description are the author's, where given.
	Dimension   string
	Description string
	// Place is where the contract asks for it.
	Place Place
}

// Bound is one end of a range. One of Number, Time and SinceMidnight is set, as Of says.
type Bound struct {
	Of            BoundKind
	Number        Number
	Time          time.Time
	SinceMidnight time.Duration
	// Exclusive bounds are not allowed values themselves.
	Exclusive bool
}

// BoundKind is what a bound is compared with.
type BoundKind string

// The kinds of bounds: numbers; dates (midnight UTC) and timestamps (UTC, or wall-clock time as if it were UTC where
// the column has no zone); times of day.
const (
	BoundNumber BoundKind = "number"
	BoundTime   BoundKind = "time"
	BoundOfDay  BoundKind = "time_of_day"
)

// Unsupported is a demand of a contract that no Rule expresses. Tools show it, so that nobody takes it for checked.
type Unsupported struct {
	// What names the demand, as in "quality rule freshness (sql)".
	What   string
	Reason string
	Place  Place
}

// Operator compares a count with a limit.
type Operator string

// The operators. Between includes both ends.
const (
	OpEqual          Operator = "="
	OpNotEqual       Operator = "!="
	OpGreater        Operator = ">"
	OpGreaterOrEqual Operator = ">="
	OpLess           Operator = "<"
	OpLessOrEqual    Operator = "<="
	OpBetween        Operator = "between"
	OpNotBetween     Operator = "not between"
)

// Limit says how many rows may break a rule.
type Limit struct {
	Op    Operator
	Value Number
	// Upper is the other end for OpBetween and OpNotBetween.
	Upper Number
	// Percent means that the limit counts hundredths of all rows.
	Percent bool
}

// none is the limit of rules that no row may break.
var none = Limit{Op: OpEqual, Value: "0"}
