package engine

import (
	"context"
	"errors"

	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/policy"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/registry"
)

// Validate checks the settings of every plugin that the pipelines use: against the plugin's schema, with places in the files, and
// then by the plugin itself. It starts plugins, but neither servers nor anything that the plugins talk to. Pipelines may have faults
// of their own; what can be judged is. The error joins what kept plugins from being asked.
func (p *Project) Validate(ctx context.Context, pipelines []*spec.Pipeline) ([]spec.Fault, error) {
	var faults []spec.Fault
	var failures []error
	seen := map[string]bool{}
	for _, pipeline := range pipelines {
		admitted, err := p.governor.admit(ctx, pipeline, policy.ActionValidate, p.public(pipeline))
		if err != nil {
			failures = append(failures, err)
			continue // nothing is started for it
		}
		p.tell(pipeline.Name, admitted)
		for _, use := range kindsOf(pipeline) {
			found, err := p.validateUse(ctx, use.kind, use.Use)
			faults = append(faults, found...)
			if err != nil && !seen[err.Error()] {
				seen[err.Error()] = true
				failures = append(failures, err)
			}
		}
	}
	return faults, errors.Join(failures...)
}

// settings are the faults in a pipeline's settings that their schemas show, and references that lead nowhere. Plugins that are
// missing are left to the plan, which tells them all.
func (p *Project) settings(ctx context.Context, pipeline *spec.Pipeline) []spec.Fault {
	var faults []spec.Fault
	for _, use := range kindsOf(pipeline) {
		found, _, err := p.checkSettings(ctx, use.kind, use.Use)
		if err == nil {
			faults = append(faults, found...)
		}
	}
	return faults
}

// kindUse is a plugin of a spec and what it is used as.
type kindUse struct {
	*spec.Use
	kind registry.Kind
}

func kindsOf(p *spec.Pipeline) []kindUse {
	var uses []kindUse
	if p.Source != nil {
		uses = append(uses, kindUse{&p.Source.Use, registry.Source})
	}
	for i := range p.Flows {
		f := &p.Flows[i]
		for j := range f.Transforms {
			uses = append(uses, kindUse{&f.Transforms[j].Use, registry.Transform})
		}
		for j := range f.Checks {
			uses = append(uses, kindUse{&f.Checks[j].Use, registry.Check})
		}
		if f.Sink != nil {
			uses = append(uses, kindUse{&f.Sink.Use, registry.Sink})
		}
	}
	return uses
}

// checkSettings holds the settings of one plugin against its schema, and resolves them if they fit.
func (p *Project) checkSettings(ctx context.Context, kind registry.Kind, use *spec.Use) ([]spec.Fault, pluginhost.Instance, error) {
	manifest, err := p.Plugins.Manifest(ctx, kind, use.Plugin)
	if err != nil {
		return nil, pluginhost.Instance{}, err
	}
	component, _ := manifest.Component(kind)
	faults := spec.ValidateConfig(use.Config, component.ConfigSchema)
	if spec.HasErrors(faults) {
		return faults, pluginhost.Instance{}, nil
	}
	instance, err := p.instanceOf(ctx, kind, use)
	if unresolved, ok := errors.AsType[*FaultsError](err); ok {
		return append(faults, unresolved.Faults...), instance, nil
	}
	return faults, instance, err
}

func (p *Project) validateUse(ctx context.Context, kind registry.Kind, use *spec.Use) ([]spec.Fault, error) {
	if use.Plugin == "" { // loading has told it
		return nil, nil
	}
	faults, instance, err := p.checkSettings(ctx, kind, use)
	if err != nil || spec.HasErrors(faults) {
		return faults, err
	}
	said, err := p.Plugins.Validate(ctx, instance)
	if err != nil {
		return faults, err
	}
	return append(faults, place(use, said)...), nil
}

// place puts what a plugin says of its settings into the file.
func place(use *spec.Use, said []pluginhost.ConfigFault) []spec.Fault {
	var faults []spec.Fault
	for _, f := range said {
		faults = append(faults, use.Config.Fault(f.Path, "plugin-setting", f.Message))
	}
	return faults
}
