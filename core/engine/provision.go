package engine

import (
	"context"
	"fmt"

	"github.com/qanat-data/qanat/core/policy"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
)

// ProvisionRequest says what to do in the system of a pipeline's source.
type ProvisionRequest struct {
	Remove bool // take away what the source has made
	DryRun bool
}

// Provision makes what a pipeline's source needs of its own in the other system, or removes it, and returns what was done. A run does
// the former by itself. A source without such needs gives no actions.
func (p *Project) Provision(ctx context.Context, pipeline *spec.Pipeline, r ProvisionRequest) ([]sdk.Action, error) {
	if !r.Remove { // what is there may always be taken away
		admitted, err := p.governor.admit(ctx, pipeline, policy.ActionProvision, p.public(pipeline))
		if err != nil {
			return nil, err
		}
		p.tell(pipeline.Name, admitted)
	}
	if faults := p.settings(ctx, pipeline); spec.HasErrors(faults) {
		return nil, &FaultsError{Faults: faults}
	}
	if pipeline.Source == nil {
		return nil, fmt.Errorf("pipeline %q has no source", pipeline.Name)
	}
	use := &pipeline.Source.Use
	if !p.able(registry.Source, use, registry.Provisioner) {
		return nil, nil
	}
	instance, err := p.instanceOf(ctx, registry.Source, use)
	if err != nil {
		return nil, err
	}
	return p.Plugins.Provision(ctx, instance, sdk.ProvisionRequest{Remove: r.Remove}, r.DryRun)
}
