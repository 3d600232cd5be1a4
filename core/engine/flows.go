package engine

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/plan"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
)

// environment are the variables that a plugin may see, as NAME=value. One that is not set is a fault of the environment.
func (p *Project) environment(use *spec.Use) ([]string, error) {
	var env []string
	for _, name := range use.Env {
		value, set := os.LookupEnv(name)
		if !set {
			return nil, fmt.Errorf("plugin %q asks for environment variable %s, which is not set", use.Plugin, name)
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}

// flows turns a pipeline into the settings of its flows, in the order of the plan.
func (p *Project) flows(ctx context.Context, pipeline *spec.Pipeline, planned *plan.Plan) ([]*flow.Settings, error) {
	var all []*flow.Settings
	for _, f := range planned.Flows {
		if f.Name == pipeline.Name+"."+plan.LandingFlow && pipeline.Source != nil {
			settings, err := p.landing(ctx, pipeline, f)
			if err != nil {
				return nil, err
			}
			all = append(all, settings)
			continue
		}
		for i := range pipeline.Flows {
			if pipeline.Name+"."+pipeline.Flows[i].Name != f.Name {
				continue
			}
			settings, err := p.flow(ctx, pipeline, &pipeline.Flows[i], f)
			if err != nil {
				return nil, err
			}
			if f.Pinned {
				settings.Datasets.Upstream = upstream(planned, f)
			}
			all = append(all, settings)
		}
	}
	return all, nil
}

// upstream are the flows that a flow's input comes from, near and far. A pinned read of what a failed run has left half done would
// replace a whole dataset by a part of it, so each of them has to end well.
func upstream(planned *plan.Plan, of plan.Flow) []string {
	all := slices.Clone(of.After)
	for i := 0; i < len(all); i++ {
		for _, f := range planned.Flows {
			if f.Name != all[i] {
				continue
			}
			for _, name := range f.After {
				if !slices.Contains(all, name) {
					all = append(all, name)
				}
			}
		}
	}
	return all
}

func (p *Project) landing(ctx context.Context, pipeline *spec.Pipeline, f plan.Flow) (*flow.Settings, error) {
	step, err := p.step(ctx, registry.Source, &pipeline.Source.Use, "")
	if err != nil {
		return nil, err
	}
	return &flow.Settings{
		Name: f.Name, Source: &flow.SourceSettings{
			Step: step, Follow: pipeline.Source.Follow, Provisions: p.able(registry.Source, &pipeline.Source.Use, registry.Provisioner),
		},
		Target: flow.TargetSettings{
			Dataset: datasetOf(pipeline.Landing.Dataset, "stream"), Mode: zone.Append,
			QuarantineSchema: pipeline.Landing.OnSchemaChange == "quarantine",
		},
		Quarantine: quarantineOf(pipeline.Name, plan.LandingFlow), Commit: thresholds(pipeline.Landing.Commit),
		Revisions: p.revisions(&pipeline.Source.Use, registry.Source), Fingerprint: pipeline.LandingFingerprint(),
	}, nil
}

func (p *Project) flow(ctx context.Context, pipeline *spec.Pipeline, s *spec.Flow, f plan.Flow) (*flow.Settings, error) {
	settings := &flow.Settings{
		Name: f.Name, Quarantine: quarantineOf(pipeline.Name, s.Name), Commit: thresholds(s.Commit),
		Fingerprint: s.Fingerprint(), Revisions: map[string]string{},
		Datasets: &flow.DatasetSettings{As: map[zone.Name]string{}, Upstream: f.After, Pinned: f.Pinned},
	}
	for _, in := range f.Inputs {
		name, err := zone.ParseName(in.Dataset)
		if err != nil {
			return nil, err
		}
		if in.Changes {
			name.Dataset += zone.ChangesSuffix
		}
		settings.Datasets.Names = append(settings.Datasets.Names, name)
		settings.Datasets.As[name] = in.Name
	}
	if f.Pinned { // one unit a run, however large
		settings.Commit = flow.Thresholds{}
	}
	if err := p.steps(ctx, s, settings); err != nil {
		return nil, err
	}
	return settings, p.target(ctx, s, settings)
}

func (p *Project) steps(ctx context.Context, s *spec.Flow, settings *flow.Settings) error {
	for i := range s.Transforms {
		t := &s.Transforms[i]
		step, err := p.step(ctx, registry.Transform, &t.Use, t.Name)
		if err != nil {
			return err
		}
		settings.Transforms = append(settings.Transforms, step)
		p.addRevision(settings, &t.Use, registry.Transform)
	}
	for i := range s.Checks {
		c := &s.Checks[i]
		step, err := p.step(ctx, registry.Check, &c.Use, c.Name)
		if err != nil {
			return err
		}
		settings.Checks = append(settings.Checks, flow.CheckStep{Step: step, OnFail: flow.OnFail(c.OnFail)})
		p.addRevision(settings, &c.Use, registry.Check)
	}
	return nil
}

func (p *Project) target(ctx context.Context, s *spec.Flow, settings *flow.Settings) error {
	if s.Sink == nil {
		settings.Target = flow.TargetSettings{
			Dataset: datasetOf(s.To, "name"), Mode: zone.Append, QuarantineSchema: s.OnSchemaChange == "quarantine",
		}
		switch s.Write.Mode {
		case "overwrite":
			settings.Target.Mode = zone.Overwrite
		case "upsert", "history":
			settings.Target.Mode, settings.Target.Key, settings.Target.History = zone.Upsert, s.Write.Key, s.Write.Mode == "history"
		}
		return nil
	}
	step, err := p.step(ctx, registry.Sink, &s.Sink.Use, "")
	if err != nil {
		return err
	}
	p.addRevision(settings, &s.Sink.Use, registry.Sink)
	settings.Target.Sink = &flow.SinkSettings{Step: step, Mode: sdk.WriteMode(s.Write.Mode), Key: s.Write.Key}
	return nil
}

func (p *Project) step(ctx context.Context, kind registry.Kind, use *spec.Use, name string) (flow.Step, error) {
	instance, err := p.instanceOf(ctx, kind, use)
	if err != nil {
		return flow.Step{}, err
	}
	if name == "" {
		name = use.Plugin
	}
	return flow.Step{Name: string(kind) + ":" + name, Instance: instance}, nil
}

func (p *Project) revisions(use *spec.Use, kind registry.Kind) map[string]string {
	settings := &flow.Settings{Revisions: map[string]string{}}
	p.addRevision(settings, use, kind)
	return settings.Revisions
}

func (p *Project) addRevision(settings *flow.Settings, use *spec.Use, kind registry.Kind) {
	if entry, found := p.Lock.Find(kind, use.Plugin); found {
		settings.Revisions[registry.ConventionalFile(kind, use.Plugin)] = entry.Manifest.Version + " sha256:" + entry.SHA256
	}
}

// able says whether a plugin has an ability.
func (p *Project) able(kind registry.Kind, use *spec.Use, ability string) bool {
	entry, _ := p.Lock.Find(kind, use.Plugin)
	component, _ := entry.Manifest.Component(kind)
	return slices.Contains(component.Abilities, ability)
}

func datasetOf(template, placeholder string) func(stream string) (zone.Name, error) {
	return func(stream string) (zone.Name, error) {
		d, err := spec.Target(template, placeholder, stream)
		if err != nil {
			return zone.Name{}, fmt.Errorf("stream %q: %w", stream, err)
		}
		return zoneName(d), nil
	}
}

func quarantineOf(pipeline, name string) zone.Name {
	return zone.Name{Zone: zone.Quarantine, Namespace: pipeline, Dataset: name}
}

func thresholds(c spec.Commit) flow.Thresholds {
	return flow.Thresholds{Every: c.Every.Std(), Rows: c.Rows, Bytes: c.Bytes.Bytes()}
}
