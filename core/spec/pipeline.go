package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// Node is a value of a YAML file with its position; see yamltree.Node.
type Node = yamltree.Node

// Pipeline is a source and the flows that follow it. A pipeline may do without a source (flows over
// datasets that exist) or without flows (landing only).
type Pipeline struct {
	// Kind is always pipeline.
	Kind string `json:"kind" jsonschema:"required,enum=pipeline"`
	// Name identifies the pipeline in its project.
	Name string `json:"name" jsonschema:"required,pattern=^[a-z][a-z0-9_-]*$"`
	// Owner is who answers for the data: a team or a person.
	Owner string `json:"owner,omitempty"`
	// Purpose is what the data is processed for, as policies name it.
	Purpose string `json:"purpose,omitempty"`
	// Description says what the pipeline is for.
	Description string `json:"description,omitempty"`
	// Tags are words that policies and people select pipelines by.
	Tags []string `json:"tags,omitempty"`
	// Source is the plugin that data comes from.
	Source *Source `json:"source,omitempty"`
	// Landing is where the source's records are kept raw; required with a source.
	Landing *LandingHop `json:"landing,omitempty"`
	// Flows are the hops that follow.
	Flows []Flow `json:"flows,omitempty"`

	// Node is the document with overlays and connections merged in.
	Node *Node `json:"-"`
}

// Use names a plugin, or a connection that names one, with its settings.
type Use struct {
	// Plugin is the plugin to use; either this or connection is given.
	Plugin string `json:"plugin,omitempty"`
	// Connection is the connection whose plugin and config to use.
	Connection string `json:"connection,omitempty"`
	// Config holds the plugin's settings, merged over those of the connection.
	Config *Node `json:"config,omitempty"`
	// Env lists the environment variables that the plugin's process may see. It sees no others.
	Env []string `json:"env,omitempty"`
	// Limits bounds the plugin's process.
	Limits *Limits `json:"limits,omitempty"`

	// Path is the JSON pointer of this use in the pipeline's Node.
	Path string `json:"-"`
}

// Limits bounds a plugin's process. What is left out is up to the host.
type Limits struct {
	// Memory is the most memory that the process may use.
	Memory Size `json:"memory,omitempty"`
}

// Source is the plugin that data comes from.
type Source struct {
	Use
	// Follow makes a run go on for ever, waiting for new records, instead of ending when there are none left.
	Follow bool `json:"follow,omitempty"`
}

// LandingHop says how the source's records are kept raw.
type LandingHop struct {
	// Dataset is where a stream's records go. {stream} stands for the name of the stream.
	Dataset string `json:"dataset" jsonschema:"required"`
	// Commit says when what was read becomes durable and visible.
	Commit Commit `json:"commit,omitzero"`
	// OnSchemaChange says what happens on a change of schema that the dataset can't follow.
	OnSchemaChange string `json:"on_schema_change,omitempty" jsonschema:"enum=stop,enum=quarantine,default=stop"`
}

// Commit says when a unit ends: at the first checkpoint past any of its thresholds.
type Commit struct {
	// Every is the longest time between commits.
	Every Duration `json:"every,omitempty" jsonschema:"default=5s"`
	// Rows is the number of rows after which to commit.
	Rows int64 `json:"rows,omitempty" jsonschema:"minimum=1,default=1000000"`
	// Bytes is the amount of data after which to commit.
	Bytes Size `json:"bytes,omitempty" jsonschema:"default=256MiB"`
}

// Flow is one hop: from datasets, through transforms and checks, to datasets or a sink.
type Flow struct {
	// Name identifies the flow in its pipeline.
	Name string `json:"name" jsonschema:"required,pattern=^[a-z][a-z0-9_-]*$"`
	// From lists the datasets to read. A * stands for any characters within one part: landing.shop.*.
	From []string `json:"from" jsonschema:"required"`
	// As gives inputs another name than the last part of their dataset's name: {processing.shop.orders: o}.
	As map[string]string `json:"as,omitempty"`
	// Transforms change the rows, one after the other.
	Transforms []Transform `json:"transforms,omitempty"`
	// Checks judge the rows that the transforms leave.
	Checks []Check `json:"checks,omitempty"`
	// To is the dataset to write; either this or sink is given. {name} stands for the last part of the input's name.
	To string `json:"to,omitempty"`
	// Write says how rows are written.
	Write Write `json:"write,omitzero"`
	// Sink is the plugin to write to.
	Sink *Sink `json:"sink,omitempty"`
	// Commit says when what was read becomes durable and visible.
	Commit Commit `json:"commit,omitzero"`
	// OnSchemaChange says what happens on a change of schema that the target can't follow.
	OnSchemaChange string `json:"on_schema_change,omitempty" jsonschema:"enum=stop,enum=quarantine,default=stop"`

	// Path is the JSON pointer of the flow in the pipeline's Node.
	Path string `json:"-"`
}

// Transform is a plugin that changes rows.
type Transform struct {
	Use
	// Name tells the transforms of a flow apart, in overlays and in reports.
	Name string `json:"name,omitempty"`
}

// Check is a plugin that judges rows.
type Check struct {
	Use
	// Name tells the checks of a flow apart, in overlays and in reports.
	Name string `json:"name,omitempty"`
	// OnFail says what a failed check does: warn notes it, quarantine sets the rows or the unit aside, block holds the unit until people promote it.
	OnFail string `json:"on_fail,omitempty" jsonschema:"enum=warn,enum=quarantine,enum=block,default=quarantine"`
}

// Sink is a plugin that writes to a system outside of the zones.
type Sink struct {
	Use
}

// Write says how rows are written to a dataset.
type Write struct {
	// Mode is append, overwrite (each unit replaces the dataset), upsert (by key) or history (by key, and when each version held).
	Mode string `json:"mode,omitempty" jsonschema:"enum=append,enum=overwrite,enum=upsert,enum=history,default=append"`
	// Key lists the columns that identify a row, for upsert and history; a dataset may leave it out and takes the source's.
	Key []string `json:"key,omitempty"`
}

// Uses lists every plugin use of the pipeline in the order of the file.
func (p *Pipeline) Uses() []*Use {
	var uses []*Use
	if p.Source != nil {
		uses = append(uses, &p.Source.Use)
	}
	for i := range p.Flows {
		uses = append(uses, p.Flows[i].Uses()...)
	}
	return uses
}

// Uses lists every plugin use of the flow in the order in which rows meet them.
func (f *Flow) Uses() []*Use {
	var uses []*Use
	for i := range f.Transforms {
		uses = append(uses, &f.Transforms[i].Use)
	}
	for i := range f.Checks {
		uses = append(uses, &f.Checks[i].Use)
	}
	if f.Sink != nil {
		uses = append(uses, &f.Sink.Use)
	}
	return uses
}

// Fingerprint identifies what the flow does: a hash of its definition with overlays, connections and
// defaults filled in. References stay references, so a secret's value is not in it.
func (f *Flow) Fingerprint() string { return fingerprint(f) }

// LandingFingerprint is the fingerprint of the hop from the source to the landing zone; empty without a source.
func (p *Pipeline) LandingFingerprint() string {
	if p.Source == nil {
		return ""
	}
	return fingerprint(struct {
		Source  *Source
		Landing *LandingHop
	}{p.Source, p.Landing})
}

func fingerprint(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		// Specs are built from JSON-like trees only.
		panic(fmt.Sprintf("spec: fingerprint: %v", err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func defaultCommit() Commit {
	return Commit{Every: Duration(5e9), Rows: 1_000_000, Bytes: 256 << 20}
}
