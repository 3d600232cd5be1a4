// Package plan works out what a pipeline will do before any data moves: schemas, column lineage, what is written and with which
// guarantee. It is pure: whatever must be asked of plugins and tables it asks of a Prober that the engine hands in. Files are
// read by core/spec; running what was planned is core/engine's.
package plan

import (
	"github.com/qanat-data/qanat/sdk"
)

// Plan is what a pipeline will do.
type Plan struct {
	Pipeline string   `json:"pipeline"`
	Flows    []Flow   `json:"flows"`
	Faults   []Fault  `json:"faults,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Fault is a reason why the pipeline can't run. Path is the JSON pointer of the part of the pipeline's document that is to blame.
type Fault struct {
	Flow    string `json:"flow"`
	Path    string `json:"path"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Environment says that not the spec but what it stands on is at fault: a plugin, a server, a permission.
	Environment bool  `json:"environment,omitempty"`
	Err         error `json:"-"`
}

// Flow is what one flow will do.
type Flow struct {
	Name       string      `json:"name"` // pipeline.flow
	Inputs     []Input     `json:"inputs"`
	Provision  []string    `json:"provision,omitempty"` // what is made in the source's system before it is read
	Pinned     bool        `json:"pinned,omitempty"`    // reads all of its input once a run, after the flows before it
	After      []string    `json:"after,omitempty"`     // flows of this pipeline that write its inputs
	Transforms []Transform `json:"transforms,omitempty"`
	Checks     []Check     `json:"checks,omitempty"`
	Outputs    []Output    `json:"outputs"`
	Guarantee  string      `json:"guarantee"`
	Lineage    []Lineage   `json:"lineage"`
	Notes      []string    `json:"notes,omitempty"`
}

// Input is a stream of a source or a dataset.
type Input struct {
	Name          string               `json:"name"`
	Dataset       string               `json:"dataset,omitempty"`
	External      *sdk.ExternalDataset `json:"external,omitempty"`
	Columns       []Column             `json:"columns,omitempty"` // empty when they are known only by reading
	EstimatedRows int64                `json:"estimated_rows,omitempty"`
	Changes       bool                 `json:"changes,omitempty"` // what is read of a dataset with a key: its net changes
	Query         string               `json:"query,omitempty"`   // what a source asks its system for
	Note          string               `json:"note,omitempty"`
}

// Column is a column of a schema.
type Column struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Nullable bool   `json:"nullable,omitempty"`
}

// Transform is one transform of a flow.
type Transform struct {
	Name          string          `json:"name"`
	Plugin        string          `json:"plugin"`
	Version       string          `json:"version"`
	Cardinality   sdk.Cardinality `json:"cardinality,omitempty"`
	Deterministic bool            `json:"deterministic"`
	Collects      bool            `json:"collects,omitempty"`
	Description   string          `json:"description,omitempty"`
}

// Check is one check of a flow.
type Check struct {
	Name    string `json:"name"`
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	OnFail  string `json:"on_fail"`
}

// Output is a dataset, or what a sink writes.
type Output struct {
	Stream      string               `json:"stream"`
	Dataset     string               `json:"dataset,omitempty"`
	Sink        string               `json:"sink,omitempty"`
	Target      string               `json:"target"` // the dataset's name, or the external one in one text
	External    *sdk.ExternalDataset `json:"external,omitempty"`
	Mode        string               `json:"mode"`
	Key         []string             `json:"key,omitempty"` // by which rows replace others
	New         bool                 `json:"new,omitempty"` // the dataset does not exist yet
	Columns     []Column             `json:"columns,omitempty"`
	Conversions []string             `json:"conversions,omitempty"` // of types that a table can't hold
	Changes     []string             `json:"changes,omitempty"`     // to a dataset or a sink's target
}

// Lineage says which columns an output column comes from. From are written dataset.column, or stream.column for a source.
type Lineage struct {
	Output string          `json:"output"`
	Column string          `json:"column"`
	From   []string        `json:"from"`
	Kind   sdk.LineageKind `json:"kind"`
}
