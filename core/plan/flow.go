package plan

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// landing plans the flow from the source to the landing zone.
func (m *maker) landing(ctx context.Context) error {
	source := m.pipeline.Source
	f := Flow{Name: m.name(LandingFlow), Guarantee: string(sdk.ExactlyOnce)}
	manifest, err := m.prober.Manifest(ctx, registry.Source, &source.Use)
	if err != nil {
		m.fault(f.Name, source.Path, err)
		return m.datasets(ctx, &f, nil, nil, m.landingTarget())
	}
	if component, _ := manifest.Component(registry.Source); slices.Contains(component.Abilities, registry.Provisioner) {
		actions, err := m.prober.Provision(ctx, &source.Use)
		if err != nil {
			m.fault(f.Name, source.Path, err)
		}
		f.Provision = actionTexts(actions)
	}
	streams, err := m.prober.Streams(ctx, &source.Use)
	if err != nil {
		m.fault(f.Name, source.Path, err)
		return m.datasets(ctx, &f, nil, nil, m.landingTarget())
	}
	var changes []sdk.SchemaChange
	names := map[string]string{}
	for _, s := range streams {
		input := Input{Name: s.Name, Columns: columnsOf(s.Schema), EstimatedRows: s.EstimatedRows, Query: s.Query, Note: s.Note}
		names[s.Name] = s.Name
		if s.External.Name != "" {
			input.External = &s.External
			names[s.Name] = externalName(s.External)
		}
		f.Inputs = append(f.Inputs, input)
		changes = append(changes, sdk.SchemaChange{Stream: s.Name, Version: 1, Schema: s.Schema, Key: s.Key})
	}
	f.Notes = append(f.Notes, "landing is append-only; the source is acknowledged after the ledger row")
	return m.datasets(ctx, &f, changes, begin(changes, names), m.landingTarget())
}

func (m *maker) landingTarget() target {
	return target{
		template: m.pipeline.Landing.Dataset, placeholder: "stream", mode: "append", path: "/landing/dataset",
		quarantines: m.pipeline.Landing.OnSchemaChange == "quarantine",
	}
}

// flow plans a flow over datasets.
func (m *maker) flow(ctx context.Context, s *spec.Flow) error {
	f := Flow{Name: m.name(s.Name), Pinned: s.Write.Mode == "overwrite", Guarantee: string(sdk.ExactlyOnce)}
	inputs, names, err := m.inputs(ctx, s, &f)
	if err != nil {
		return err
	}
	lineage := begin(inputs, names)
	for i := range s.Transforms {
		inputs, lineage = m.transform(ctx, s, &f, &s.Transforms[i], inputs, lineage)
	}
	m.checks(ctx, s, &f, inputs)
	if s.Sink != nil {
		m.sink(ctx, s, &f, inputs, lineage)
		m.plan.Flows = append(m.plan.Flows, f)
		return nil
	}
	return m.datasets(ctx, &f, inputs, lineage, target{
		template: s.To, placeholder: "name", mode: s.Write.Mode, key: s.Write.Key, path: s.Path + "/to", quarantines: s.OnSchemaChange == "quarantine",
	})
}

// Sources expands the from patterns of a flow over what exists and what the pipeline makes.
func (m *maker) sources(s *spec.Flow) []spec.Dataset {
	var names []spec.Dataset
	known := slices.Clone(m.existing)
	for name := range m.tables {
		known = append(known, name)
	}
	slices.SortFunc(known, func(a, b spec.Dataset) int { return slices.Compare([]string{a.String()}, []string{b.String()}) })
	for _, from := range s.From {
		pattern, err := spec.ParsePattern(from)
		if err != nil {
			continue // core/spec has reported it
		}
		for _, name := range known {
			aside := strings.HasSuffix(name.Name, ChangesSuffix) && pattern != name // it is read through the dataset whose changes it has
			if pattern.Matches(name) && !aside && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (m *maker) inputs(ctx context.Context, s *spec.Flow, f *Flow) ([]sdk.SchemaChange, map[string]string, error) {
	var changes []sdk.SchemaChange
	names := map[string]string{}
	for i, from := range s.From {
		pattern, err := spec.ParsePattern(from)
		faulty := func(open spec.Dataset) bool { return pattern.Matches(open) || open.Matches(pattern) }
		if err == nil && !slices.ContainsFunc(m.sources(s), pattern.Matches) && !slices.ContainsFunc(m.open, faulty) {
			m.specFault(f.Name, fmt.Sprintf("%s/from/%d", s.Path, i), "run the pipeline that writes it first, or name a dataset that exists",
				"no dataset matches %q", from)
		}
	}
	for _, name := range m.sources(s) {
		table, planned := m.tables[name]
		var err error
		if !planned {
			if table, _, err = m.prober.Table(ctx, name); err != nil {
				return nil, nil, err
			}
		}
		input := Input{Name: name.Name, Dataset: name.String(), Columns: columnsOf(table.Schema)}
		if as := s.As[name.String()]; as != "" {
			input.Name = as
		}
		if other, taken := names[input.Name]; taken {
			m.specFault(f.Name, s.Path+"/from", "give one of them another name with as",
				"datasets %q and %q would both be called %q", other, name, input.Name)
		}
		if table.Flow != "" && !slices.Contains(f.After, table.Flow) {
			f.After = append(f.After, table.Flow)
		}
		if table.Overwrite && s.Write.Mode != "overwrite" {
			m.specFault(f.Name, s.Path+"/write/mode", "set write: {mode: overwrite}",
				"dataset %q is overwritten as a whole, so what is new in it can't be told", name)
		}
		names[input.Name] = name.String()
		if len(table.Key) > 0 && table.Upsert && !f.Pinned {
			input.Changes = true
			if table.Schema, err = m.changes(table.Schema); err != nil {
				return nil, nil, err
			}
			input.Columns = columnsOf(table.Schema)
		}
		f.Inputs = append(f.Inputs, input)
		changes = append(changes, sdk.SchemaChange{Stream: input.Name, Version: 1, Schema: table.Schema, Key: table.Key})
	}
	return changes, names, nil
}

// changes is what is new in a dataset with a key: its rows, and what happened to them.
func (m *maker) changes(table *arrow.Schema) (*arrow.Schema, error) {
	if table == nil {
		return nil, nil
	}
	stored, _, err := m.prober.Store(change.Net(table))
	return stored, err
}

// known says whether all schemas are known before reading.
func known(inputs []sdk.SchemaChange) bool {
	return !slices.ContainsFunc(inputs, func(c sdk.SchemaChange) bool { return c.Schema == nil })
}

func (m *maker) transform(
	ctx context.Context, s *spec.Flow, f *Flow, t *spec.Transform, inputs []sdk.SchemaChange, lineage columns,
) ([]sdk.SchemaChange, columns) {
	described := Transform{Name: cmp.Or(t.Name, t.Plugin), Plugin: t.Plugin}
	defer func() { f.Transforms = append(f.Transforms, described) }()
	manifest, err := m.prober.Manifest(ctx, registry.Transform, &t.Use)
	if err != nil {
		m.fault(f.Name, t.Path, err)
		return nil, columns{}
	}
	described.Version = manifest.Version
	if len(inputs) == 0 || !known(inputs) {
		f.Notes = append(f.Notes, "transform "+described.Name+" is planned when the schemas are known")
		return nil, columns{}
	}
	planned, err := m.prober.Transform(ctx, &t.Use, inputs)
	if err != nil {
		m.fault(f.Name, t.Path, err)
		return nil, columns{}
	}
	described.Cardinality, described.Deterministic = planned.Cardinality, planned.Deterministic
	described.Collects, described.Description = planned.Collects, planned.Description
	if planned.Collects && s.Write.Mode != "overwrite" {
		m.specFault(f.Name, s.Path+"/write/mode", "set write: {mode: overwrite}",
			"transform %q needs all of its input, so its result replaces what was there", described.Name)
	}
	if !planned.Deterministic {
		m.plan.Warnings = append(m.plan.Warnings, fmt.Sprintf("flow %q: transform %q is not deterministic: a unit that is "+
			"processed again after a crash may come out differently, though never twice", f.Name, described.Name))
	}
	var outputs []sdk.SchemaChange
	for _, out := range planned.Outputs {
		outputs = append(outputs, sdk.SchemaChange{Stream: out.Name, Version: 1, Schema: out.Schema, Key: planned.KeyOf(out, inputs)})
	}
	return outputs, lineage.through(planned.Lineage)
}

func (m *maker) checks(ctx context.Context, s *spec.Flow, f *Flow, inputs []sdk.SchemaChange) {
	for i := range s.Checks {
		check := &s.Checks[i]
		described := Check{Name: cmp.Or(check.Name, check.Plugin), Plugin: check.Plugin, OnFail: check.OnFail}
		manifest, err := m.prober.Manifest(ctx, registry.Check, &check.Use)
		if err == nil && len(inputs) > 0 && known(inputs) {
			err = m.prober.Check(ctx, &check.Use, inputs)
		}
		if err != nil {
			m.fault(f.Name, check.Path, err)
		}
		described.Version = manifest.Version
		f.Checks = append(f.Checks, described)
	}
}

func (m *maker) sink(ctx context.Context, s *spec.Flow, f *Flow, inputs []sdk.SchemaChange, lineage columns) {
	if _, err := m.prober.Manifest(ctx, registry.Sink, &s.Sink.Use); err != nil {
		m.fault(f.Name, s.Sink.Path, err)
		return
	}
	if !known(inputs) {
		inputs = nil
	}
	opened, actions, err := m.prober.Sink(ctx, &s.Sink.Use,
		sdk.OpenRequest{Flow: f.Name, Mode: sdk.WriteMode(s.Write.Mode), Key: s.Write.Key}, inputs)
	if err != nil {
		m.fault(f.Name, s.Sink.Path, err)
		return
	}
	f.Guarantee = string(opened.Guarantee)
	names, told := map[string]string{}, map[string]bool{}
	for _, in := range inputs {
		external := opened.External
		external.Name = strings.ReplaceAll(external.Name, sdk.StreamMark, in.Stream)
		out := Output{Stream: in.Stream, Sink: s.Sink.Plugin, Target: externalName(external), Mode: s.Write.Mode, Columns: columnsOf(in.Schema), External: &external}
		for _, text := range actionTexts(actions[in.Stream]) { // what streams share is done once
			if !told[text] {
				out.Changes = append(out.Changes, text)
			}
			told[text] = true
		}
		names[in.Stream] = out.Target
		f.Outputs = append(f.Outputs, out)
	}
	f.Lineage = lineage.ends(inputs, names)
}

func actionTexts(actions []sdk.Action) []string {
	var texts []string
	for _, action := range actions {
		texts = append(texts, action.Object+": "+action.Description)
	}
	return texts
}

// target is where a flow's streams go.
type target struct {
	template    string
	placeholder string
	mode        string
	key         []string // by which rows replace others; empty takes each stream's own
	path        string
	quarantines bool
}

// datasets plans what a flow writes, and makes it known to the flows behind it.
func (m *maker) datasets(ctx context.Context, f *Flow, streams []sdk.SchemaChange, lineage columns, t target) error {
	if len(streams) == 0 {
		m.unknown(f, t)
	}
	names := map[string]string{}
	taken := map[spec.Dataset]string{}
	for _, s := range streams {
		name, err := spec.Target(t.template, t.placeholder, s.Stream)
		if err != nil {
			m.specFault(f.Name, t.path, "", "stream %q: %v", s.Stream, err)
			continue
		}
		if other, double := taken[name]; double {
			m.specFault(f.Name, t.path, "use {"+t.placeholder+"} in the dataset's name",
				"streams %q and %q would both be written to dataset %q", other, s.Stream, name)
			continue
		}
		taken[name] = s.Stream
		names[s.Stream] = name.String()
		out, table, err := m.output(ctx, f, name, s, t)
		if err != nil {
			return err
		}
		f.Outputs = append(f.Outputs, out)
		m.tables[name] = table
	}
	f.Lineage = lineage.ends(streams, names)
	for _, out := range f.Outputs {
		if len(out.Key) > 0 {
			f.Lineage = out.keptOf(f.Lineage)
		}
	}
	m.plan.Flows = append(m.plan.Flows, *f)
	return nil
}

func (m *maker) output(ctx context.Context, f *Flow, name spec.Dataset, s sdk.SchemaChange, t target) (Output, Table, error) {
	out := Output{Stream: s.Stream, Dataset: name.String(), Target: name.String(), Mode: t.mode}
	table := Table{Overwrite: t.mode == "overwrite", Flow: f.Name, Key: s.Key}
	have, exists, err := m.prober.Table(ctx, name)
	if err != nil {
		return out, table, err
	}
	out.New = !exists
	schema := s.Schema
	if t.mode == "upsert" || t.mode == "history" {
		schema = m.keyed(f, &out, &table, have, exists, s, t)
	}
	if s.Schema == nil {
		table.Schema = have.Schema
		return out, table, nil
	}
	stored, conversions, err := m.prober.Store(schema)
	if err != nil {
		m.specFault(f.Name, t.path, "cast or drop these columns in a transform", "dataset %q: %v", name, err)
		return out, table, nil
	}
	out.Conversions, table.Schema = conversions, stored
	if exists {
		merged, changes, err := m.prober.Follow(name, table.replaces(), have.Schema, stored)
		switch {
		case err != nil && t.quarantines:
			m.plan.Warnings = append(m.plan.Warnings, fmt.Sprintf("flow %q: rows go to quarantine: %v", f.Name, err))
			merged = have.Schema
		case err != nil:
			m.specFault(f.Name, t.path, "change the dataset's name, or set on_schema_change: quarantine", "%v", err)
			merged = have.Schema
		}
		out.Changes, table.Schema = changes, merged
	}
	out.Columns = columnsOf(table.Schema)
	return out, table, nil
}
