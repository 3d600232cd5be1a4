package policy

// API is the version of the contract that inputs and decisions follow.
const API = "governance/v1"

// Point is a place where leave is asked.
type Point string

// The points.
const (
	PluginLoad Point = "plugin.load" // before a plugin's process starts
	SpecAdmit  Point = "spec.admit"  // when a pipeline is validated, planned or run
	Plan       Point = "plan"        // when the schema of an output is known, and at each change of it
	Promotion  Point = "promotion"   // before a unit becomes visible in the next zone
	Egress     Point = "egress"      // before rows leave: sinks, exports, results of queries
	Access     Point = "access"      // before somebody reads
	Lifecycle  Point = "lifecycle"   // retention and erasure
)

// Points are all of them, in the order in which a pipeline comes to them.
func Points() []Point {
	return []Point{PluginLoad, SpecAdmit, Plan, Promotion, Egress, Access, Lifecycle}
}

// The actions.
const (
	ActionValidate  = "validate"
	ActionRun       = "run" // and plan
	ActionReplay    = "replay"
	ActionProvision = "provision"
	ActionStart     = "start"    // a plugin
	ActionDescribe  = "describe" // a plugin, which is started only to say what it is
)

// Input is what is to be decided. Fields that a point has no use for stay empty.
type Input struct {
	API         string       `json:"api"`
	Point       Point        `json:"point"`
	Time        string       `json:"time"`        // RFC 3339; the only clock that policies have
	Environment string       `json:"environment"` // what is not known is an empty text, so that rules that use it are not undefined
	RunID       string       `json:"run_id,omitempty"`
	Principal   Principal    `json:"principal"`
	Purpose     string       `json:"purpose"`
	Exemptions  []Exemption  `json:"exemptions,omitempty"`
	Plugin      *Plugin      `json:"plugin,omitempty"`
	Spec        any          `json:"spec,omitempty"`
	Change      *Change      `json:"change,omitempty"`
	Plan        any          `json:"plan,omitempty"`
	Dataset     *Dataset     `json:"dataset,omitempty"`
	Destination *Destination `json:"destination,omitempty"`
	From        string       `json:"from,omitempty"` // zones
	To          string       `json:"to,omitempty"`
	Quality     *Quality     `json:"quality,omitempty"`
	Contract    *Contract    `json:"contract,omitempty"`
	Action      string       `json:"action"` // what is to be done: see the actions
	Stats       any          `json:"stats,omitempty"`
	Age         string       `json:"age,omitempty"`
	Request     any          `json:"request,omitempty"`
	// Row is what a filter is about. It is never given: a filter is made into a condition on columns.
	Row map[string]any `json:"row,omitempty"`
}

// Principal is who asks.
type Principal struct {
	ID        string         `json:"id"`
	Kind      string         `json:"kind,omitempty"` // user or service
	Groups    []string       `json:"groups,omitempty"`
	Clearance string         `json:"clearance,omitempty"`
	Attrs     map[string]any `json:"attrs,omitempty"`
}

// Exemption takes what a rule says away until a time.
type Exemption struct {
	Rule    string `json:"rule"`
	By      string `json:"by"`
	Until   string `json:"until"` // RFC 3339
	Ticket  string `json:"ticket,omitempty"`
	Dataset string `json:"dataset,omitempty"` // empty: any
}

// Plugin is a locked manifest.
type Plugin struct {
	Name         string       `json:"name"`
	Version      string       `json:"version"`
	Kind         string       `json:"kind"`
	Digest       string       `json:"digest"`
	Locked       bool         `json:"locked"`    // it is in the lock file; else only name, kind and digest are known
	Publisher    string       `json:"publisher"` // by its own word
	Signature    Signature    `json:"signature"`
	Capabilities Capabilities `json:"capabilities"`
}

// Signature says who vouches for a plugin.
type Signature struct {
	Verified bool   `json:"verified"`
	Identity string `json:"identity"`
	Issuer   string `json:"issuer"`
}

// Capabilities are what a plugin says it needs.
type Capabilities struct {
	Network []string `json:"network"`
	FS      []string `json:"fs"`
	Secrets []string `json:"secrets"`
	Other   []string `json:"other"`
}

// Change says who brought a spec about.
type Change struct {
	Author    Person   `json:"author"`
	Approvals []Person `json:"approvals,omitempty"`
	Diff      any      `json:"diff,omitempty"`
}

// Person is somebody named.
type Person struct {
	ID string `json:"id"`
}

// Dataset is described in the same way at every point.
type Dataset struct {
	Namespace      string            `json:"namespace,omitempty"`
	Name           string            `json:"name"`
	Zone           string            `json:"zone,omitempty"`
	Version        string            `json:"version,omitempty"`
	Owner          string            `json:"owner,omitempty"`
	Steward        string            `json:"steward,omitempty"`
	Domain         string            `json:"domain,omitempty"`
	Classification string            `json:"classification,omitempty"`
	Tags           []string          `json:"tags,omitempty"`
	Residency      string            `json:"residency,omitempty"`
	Columns        map[string]Column `json:"columns"`
}

// Column of a dataset.
type Column struct {
	Type           string    `json:"type"`
	Nullable       bool      `json:"nullable"`
	Classification string    `json:"classification,omitempty"`
	Tags           []string  `json:"tags,omitempty"`
	DerivedFrom    []Derived `json:"derived_from,omitempty"`
}

// Derived is a column that another comes from.
type Derived struct {
	Dataset string   `json:"dataset,omitempty"`
	Column  string   `json:"column"`
	Tags    []string `json:"tags,omitempty"`
	Type    string   `json:"type,omitempty"` // DIRECT or INDIRECT
	Subtype string   `json:"subtype,omitempty"`
	Masking bool     `json:"masking"`
}

// Destination is where rows go.
type Destination struct {
	Name   string `json:"name"`
	Kind   string `json:"kind,omitempty"` // sink, dataset, query
	Plugin string `json:"plugin,omitempty"`
	Region string `json:"region,omitempty"`
}

// Quality is what checks said of a version of a dataset.
type Quality struct {
	DatasetVersion string      `json:"dataset_version"`
	Assertions     []Assertion `json:"assertions"`
}

// Assertion is one check's result.
type Assertion struct {
	Name     string `json:"name"`
	Severity string `json:"severity"`
	Status   string `json:"status"`
}

// Contract is what a dataset promises, and how a unit departs from it.
type Contract struct {
	ID          string       `json:"id"`
	Version     string       `json:"version,omitempty"`
	Diff        ContractDiff `json:"diff"`
	MajorBumped bool         `json:"major_bumped"`
}

// ContractDiff names changes.
type ContractDiff struct {
	Breaking []string `json:"breaking"`
}
