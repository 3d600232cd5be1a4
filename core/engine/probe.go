package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/core/plan"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/policy"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
)

// probe answers core/plan's questions with the project's plugins and tables.
type probe struct {
	project *Project
}

// Plan works out what a pipeline will do. Nothing is changed. Settings that don't fit their plugin give a *FaultsError.
func (p *Project) Plan(ctx context.Context, pipeline *spec.Pipeline) (*plan.Plan, error) {
	return p.planFor(ctx, pipeline, policy.ActionRun, p.public(pipeline))
}

// planFor plans what is done for a purpose of its own, by the spec that policies are told.
func (p *Project) planFor(ctx context.Context, pipeline *spec.Pipeline, action string, told any) (*plan.Plan, error) {
	admitted, err := p.governor.admit(ctx, pipeline, action, told)
	if err != nil {
		return nil, err
	}
	if faults := p.settings(ctx, pipeline); spec.HasErrors(faults) {
		return nil, &FaultsError{Faults: faults}
	}
	planned, err := plan.Make(ctx, pipeline, &probe{project: p})
	if err != nil {
		return nil, err
	}
	planned.Warnings = append(planned.Warnings, notes(admitted)...)
	for i := range planned.Faults { // plugins may quote their settings
		planned.Faults[i].Message = p.Resolver.Redact(planned.Faults[i].Message)
	}
	return planned, nil
}

// instanceOf is a plugin of a spec with its settings resolved.
func (p *Project) instanceOf(ctx context.Context, kind registry.Kind, use *spec.Use) (pluginhost.Instance, error) {
	manifest, err := p.Plugins.Manifest(ctx, kind, use.Plugin)
	if err != nil {
		return pluginhost.Instance{}, err
	}
	component, _ := manifest.Component(kind)
	config, faults := p.Resolver.Config(use.Config, component.ConfigSchema)
	if len(faults) > 0 {
		return pluginhost.Instance{}, &FaultsError{Faults: faults}
	}
	env, err := p.environment(use)
	if err != nil {
		return pluginhost.Instance{}, err
	}
	instance := pluginhost.Instance{Kind: kind, Plugin: use.Plugin, Config: config, Env: env}
	if use.Limits != nil {
		instance.MemoryLimit = use.Limits.Memory.Bytes()
	}
	return instance, nil
}

func (r *probe) Manifest(ctx context.Context, kind registry.Kind, use *spec.Use) (registry.Manifest, error) {
	return r.project.Plugins.Manifest(ctx, kind, use.Plugin)
}

func (r *probe) Streams(ctx context.Context, use *spec.Use) ([]sdk.Stream, error) {
	instance, err := r.project.instanceOf(ctx, registry.Source, use)
	if err != nil {
		return nil, err
	}
	return r.project.Plugins.Discover(ctx, instance)
}

func (r *probe) Provision(ctx context.Context, use *spec.Use) ([]sdk.Action, error) {
	instance, err := r.project.instanceOf(ctx, registry.Source, use)
	if err != nil {
		return nil, err
	}
	return r.project.Plugins.Provision(ctx, instance, sdk.ProvisionRequest{}, true)
}

func (r *probe) Transform(ctx context.Context, use *spec.Use, inputs []sdk.SchemaChange) (planned sdk.Plan, err error) {
	instance, err := r.project.instanceOf(ctx, registry.Transform, use)
	if err != nil {
		return sdk.Plan{}, err
	}
	process, err := r.project.Plugins.Transform(ctx, instance)
	if err != nil {
		return sdk.Plan{}, err
	}
	defer func() { err = errors.Join(err, process.Close()) }()
	return process.Plan(ctx, inputs)
}

func (r *probe) Check(ctx context.Context, use *spec.Use, inputs []sdk.SchemaChange) (err error) {
	instance, err := r.project.instanceOf(ctx, registry.Check, use)
	if err != nil {
		return err
	}
	process, err := r.project.Plugins.Check(ctx, instance)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Close()) }()
	for _, in := range inputs {
		if err := process.Plan(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func (r *probe) Sink(
	ctx context.Context, use *spec.Use, request sdk.OpenRequest, inputs []sdk.SchemaChange,
) (opened sdk.Opened, actions map[string][]sdk.Action, err error) {
	instance, err := r.project.instanceOf(ctx, registry.Sink, use)
	if err != nil {
		return sdk.Opened{}, nil, err
	}
	process, err := r.project.Plugins.Sink(ctx, instance, request)
	if err != nil {
		return sdk.Opened{}, nil, err
	}
	defer func() { err = errors.Join(err, process.Close()) }()
	actions = map[string][]sdk.Action{}
	for _, in := range inputs {
		if actions[in.Stream], err = process.PlanSchema(ctx, in); err != nil {
			return sdk.Opened{}, nil, err
		}
	}
	return process.Opened(), actions, nil
}

func (r *probe) Datasets(ctx context.Context) ([]spec.Dataset, error) {
	names, err := r.project.Zones().List(ctx)
	if err != nil {
		return nil, err
	}
	hidden, err := r.project.hidden(ctx)
	if err != nil {
		return nil, err
	}
	var datasets []spec.Dataset
	for _, n := range names {
		if !hidden[n.String()] {
			datasets = append(datasets, spec.Dataset{Zone: n.Zone, Namespace: n.Namespace, Name: n.Dataset})
		}
	}
	return datasets, nil
}

func (r *probe) Table(ctx context.Context, name spec.Dataset) (plan.Table, bool, error) {
	dataset, err := r.project.Zones().Dataset(ctx, zoneName(name))
	if errors.Is(err, zone.ErrNotFound) {
		return plan.Table{}, false, nil
	}
	if err != nil {
		return plan.Table{}, false, err
	}
	view, err := r.project.Ledger().View(ctx, name.String())
	if err != nil {
		return plan.Table{}, false, err
	}
	table := plan.Table{Schema: dataset.Schema(), Overwrite: view.Overwrite, Upsert: len(dataset.Key()) > 0, Key: dataset.Key()}
	if !table.Upsert {
		table.Key = dataset.SourceKey()
	}
	return table, true, nil
}

func (*probe) Store(schema *arrow.Schema) (*arrow.Schema, []string, error) {
	conversion, err := zone.Storable(schema)
	if err != nil {
		return nil, nil, err
	}
	return conversion.Schema(), conversion.Notes(), nil
}

func (*probe) Follow(name spec.Dataset, key []string, from, to *arrow.Schema) (*arrow.Schema, []string, error) {
	merged, changes, err := zone.FollowKeyed(zoneName(name), key, from, to)
	if err != nil {
		return nil, nil, err
	}
	var words []string
	for _, c := range changes {
		switch c.Kind {
		case zone.ColumnAdded:
			words = append(words, fmt.Sprintf("column %s is added: %s", c.Column, c.To))
		case zone.ColumnWidened:
			words = append(words, fmt.Sprintf("column %s is widened: %s → %s", c.Column, c.From, c.To))
		case zone.ColumnOptional:
			words = append(words, fmt.Sprintf("column %s becomes optional", c.Column))
		}
	}
	return merged, words, nil
}

func zoneName(d spec.Dataset) zone.Name {
	return zone.Name{Zone: d.Zone, Namespace: d.Namespace, Dataset: d.Name}
}
