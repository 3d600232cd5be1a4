package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
)

// Prober answers what only plugins and tables know. Nothing it does changes anything.
type Prober interface {
	Manifest(ctx context.Context, kind registry.Kind, use *spec.Use) (registry.Manifest, error)
	Streams(ctx context.Context, use *spec.Use) ([]sdk.Stream, error)
	// Provision says what is to be made in the source's system before it can be read.
	Provision(ctx context.Context, use *spec.Use) ([]sdk.Action, error)
	Transform(ctx context.Context, use *spec.Use, inputs []sdk.SchemaChange) (sdk.Plan, error)
	Check(ctx context.Context, use *spec.Use, inputs []sdk.SchemaChange) error
	Sink(ctx context.Context, use *spec.Use, request sdk.OpenRequest, inputs []sdk.SchemaChange) (sdk.Opened, map[string][]sdk.Action, error)
	// Datasets lists what exists.
	Datasets(ctx context.Context) ([]spec.Dataset, error)
	// Table is the schema of a dataset's user columns and whether each unit overwrites it; false if it does not exist.
	Table(ctx context.Context, name spec.Dataset) (Table, bool, error)
	// Store says what a dataset would hold of a schema, with the conversions in words.
	Store(schema *arrow.Schema) (*arrow.Schema, []string, error)
	// Follow says what becomes of a dataset's schema, with the changes in words. The key, if it has one, stays as it is.
	Follow(name spec.Dataset, key []string, from, to *arrow.Schema) (*arrow.Schema, []string, error)
}

// Table is what is known of a dataset, existing or planned.
type Table struct {
	Schema    *arrow.Schema // nil when it is known only by reading
	Overwrite bool
	Upsert    bool     // rows replace others by the key
	Key       []string // of a row, by what the dataset is made for or by the word of its source
	Flow      string   // the flow of this pipeline that writes it, if one does
}

// replaces is the key by which rows replace others, if they do.
func (t *Table) replaces() []string {
	if !t.Upsert {
		return nil
	}
	return t.Key
}

// ChangesSuffix ends the name of the dataset that has the net changes of one with a key.
const ChangesSuffix = "__changes"

// LandingFlow is the name of the flow from the source to landing.
const LandingFlow = "landing"

// Make plans a pipeline. Faults are gathered in the plan, so that all are seen at once; an error means that planning itself failed.
func Make(ctx context.Context, p *spec.Pipeline, prober Prober) (*Plan, error) {
	existing, err := prober.Datasets(ctx)
	if err != nil {
		return nil, err
	}
	m := &maker{
		pipeline: p, prober: prober, plan: &Plan{Pipeline: p.Name}, existing: existing, tables: map[spec.Dataset]Table{},
	}
	if p.Source != nil {
		if err := m.landing(ctx); err != nil {
			return nil, err
		}
	}
	for _, i := range order(p.Flows) {
		if err := m.flow(ctx, &p.Flows[i]); err != nil {
			return nil, err
		}
	}
	return m.plan, nil
}

type maker struct {
	pipeline *spec.Pipeline
	prober   Prober
	plan     *Plan
	existing []spec.Dataset
	tables   map[spec.Dataset]Table // written by this pipeline
	open     []spec.Dataset         // patterns of what faulty flows would write
}

// order puts flows behind the flows that write what they read; the order of the file otherwise.
func order(flows []spec.Flow) []int {
	var sorted []int
	placed := map[int]bool{}
	for len(sorted) < len(flows) {
		before := len(sorted)
		for i := range flows {
			if !placed[i] && ready(flows, i, placed) {
				placed[i] = true
				sorted = append(sorted, i)
			}
		}
		if len(sorted) == before { // a circle: the rest in the order of the file
			for i := range flows {
				if !placed[i] {
					placed[i] = true
					sorted = append(sorted, i)
				}
			}
		}
	}
	return sorted
}

func ready(flows []spec.Flow, i int, placed map[int]bool) bool {
	for j := range flows {
		if j != i && !placed[j] && feeds(flows[j], flows[i]) {
			return false
		}
	}
	return true
}

// feeds says whether a flow may write what another reads. A placeholder in a target may become anything.
func feeds(writer, reader spec.Flow) bool {
	if writer.To == "" {
		return false
	}
	target, err := spec.ParsePattern(strings.ReplaceAll(writer.To, "{name}", "*"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(reader.From, func(from string) bool {
		pattern, err := spec.ParsePattern(from)
		return err == nil && (pattern.Matches(target) || target.Matches(pattern))
	})
}

// fault blames a plugin's use. What a plugin says of a setting is placed at the setting.
func (m *maker) fault(flow, path string, err error) {
	if typed, ok := errors.AsType[*sdk.Error](err); ok && typed.Kind == sdk.KindConfig {
		path += "/config" + typed.Path
	}
	m.plan.Faults = append(m.plan.Faults, Fault{
		Flow: flow, Path: path, Message: err.Error(), Environment: sdk.KindOf(err) != sdk.KindConfig, Err: err,
	})
}

func (m *maker) specFault(flow, path, hint, format string, args ...any) {
	m.plan.Faults = append(m.plan.Faults, Fault{Flow: flow, Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (m *maker) name(flow string) string { return m.pipeline.Name + "." + flow }

// externalName is a dataset outside of Qanat in one text: file:/data/orders.csv, s3://bucket/orders.csv.
func externalName(d sdk.ExternalDataset) string {
	if strings.Contains(d.Namespace, "://") {
		return strings.TrimSuffix(d.Namespace, "/") + "/" + strings.TrimPrefix(d.Name, "/")
	}
	return d.Namespace + ":" + d.Name
}

// unknown makes what a faulty flow would write known to the flows behind it, so that they are not blamed for its fault.
func (m *maker) unknown(f *Flow, t target) {
	if open, err := spec.ParsePattern(strings.ReplaceAll(t.template, "{"+t.placeholder+"}", "*")); err == nil {
		m.open = append(m.open, open)
	}
	names := []string{""}
	if strings.Contains(t.template, "{") {
		names = nil
		for _, in := range f.Inputs {
			names = append(names, in.Name)
		}
	}
	for _, name := range names {
		if d, err := spec.Target(t.template, t.placeholder, name); err == nil {
			m.tables[d] = Table{Overwrite: t.mode == "overwrite", Flow: f.Name}
		}
	}
}

// columnsOf describes a schema.
func columnsOf(s *arrow.Schema) []Column {
	if s == nil {
		return nil
	}
	described := make([]Column, s.NumFields())
	for i, field := range s.Fields() {
		described[i] = Column{Name: field.Name, Type: field.Type.String(), Nullable: field.Nullable}
	}
	return described
}

// begin is the lineage of what enters a flow: every column comes from itself.
func begin(inputs []sdk.SchemaChange, names map[string]string) columns {
	c := columns{}
	for _, in := range inputs {
		if in.Schema == nil {
			continue
		}
		for _, field := range in.Schema.Fields() {
			c[sdk.ColumnRef{Input: in.Stream, Column: field.Name}] = origin{
				from: []string{names[in.Stream] + "." + field.Name}, kind: sdk.Identity,
			}
		}
	}
	return c
}
