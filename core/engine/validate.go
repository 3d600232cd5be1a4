package engine

import (
	"context"
	"errors"

	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/registry"
)

// Validate checks the settings of every plugin that the pipelines use: against the plugin's schema, with places in the files, and
// then by the plugin itself. It starts plugins, but neither servers nor anything that the plugins talk to.
func (p *Project) Validate(ctx context.Context, pipelines []*spec.Pipeline) ([]spec.Fault, error) {
	var faults []spec.Fault
	for _, pipeline := range pipelines {
		for _, use := range kindsOf(pipeline) {
			found, err := p.validateUse(ctx, use.kind, use.Use)
			if err != nil {
				return nil, err
			}
			faults = append(faults, found...)
		}
	}
	return faults, nil
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

func (p *Project) validateUse(ctx context.Context, kind registry.Kind, use *spec.Use) ([]spec.Fault, error) {
	manifest, err := p.Plugins.Manifest(ctx, kind, use.Plugin)
	if err != nil {
		return nil, err
	}
	component, _ := manifest.Component(kind)
	faults := spec.ValidateConfig(use.Config, component.ConfigSchema)
	if spec.HasErrors(faults) {
		return faults, nil
	}
	instance, err := p.instanceOf(ctx, kind, use)
	if unresolved, ok := errors.AsType[*FaultsError](err); ok {
		return append(faults, unresolved.Faults...), nil
	}
	if err != nil {
		return nil, err
	}
	said, err := p.Plugins.Validate(ctx, instance)
	if err != nil {
		return nil, err
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
