package pluginhost

import (
	"context"
	"fmt"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// ConfigFault is a fault that a plugin found in its settings.
type ConfigFault struct {
	Path    string // JSON pointer, "" for the whole
	Message string
}

// Validate lets the plugin check the settings beyond their JSON Schema. It connects to nothing.
func (h *Host) Validate(ctx context.Context, inst Instance) ([]ConfigFault, error) {
	var response *pluginv1.ValidateResponse
	err := h.once(ctx, inst, "validate", func(ctx context.Context, l *launched) (err error) {
		response, err = l.client.Validate(ctx, &pluginv1.ValidateRequest{Kind: inst.Kind.Proto(), Config: inst.Config})
		return err
	})
	var faults []ConfigFault
	for _, f := range response.GetFaults() {
		faults = append(faults, ConfigFault{Path: cut(f.GetPath()), Message: cut(f.GetMessage())})
	}
	return faults, err
}

// Test connects with the settings, changes nothing, and returns a line about what was found.
func (h *Host) Test(ctx context.Context, inst Instance) (string, error) {
	var response *pluginv1.TestResponse
	err := h.once(ctx, inst, "test", func(ctx context.Context, l *launched) (err error) {
		response, err = l.client.Test(ctx, &pluginv1.TestRequest{Kind: inst.Kind.Proto(), Config: inst.Config, Scratch: l.scratch})
		return err
	})
	return cut(response.GetSummary()), err
}

// Discover lists the streams of a source.
func (h *Host) Discover(ctx context.Context, inst Instance) ([]sdk.Stream, error) {
	inst, err := inst.of(registry.Source)
	if err != nil {
		return nil, err
	}
	var response *pluginv1.DiscoverResponse
	err = h.once(ctx, inst, "discover", func(ctx context.Context, l *launched) (err error) {
		response, err = l.client.Discover(ctx, &pluginv1.DiscoverRequest{Config: inst.Config, Scratch: l.scratch})
		return err
	})
	if err != nil {
		return nil, err
	}
	streams, err := streamsOf(response)
	if err != nil {
		return nil, inst.violation("its streams: %v", err)
	}
	return streams, nil
}

// Provision makes what a source needs of its own in the other system, or removes it, and returns what was done: nothing the second
// time. A dry run returns what would be done. The source must have the ability.
func (h *Host) Provision(ctx context.Context, inst Instance, req sdk.ProvisionRequest, dryRun bool) ([]sdk.Action, error) {
	inst, err := inst.of(registry.Source)
	if err != nil {
		return nil, err
	}
	var response *pluginv1.Actions
	err = h.once(ctx, inst, "provision", func(ctx context.Context, l *launched) (err error) {
		response, err = l.client.Provision(ctx, &pluginv1.ProvisionRequest{
			Config: inst.Config, Scratch: l.scratch, Streams: req.Streams, Remove: req.Remove, DryRun: dryRun,
		})
		return err
	})
	return actionsOf(response), err
}

// once launches an instance for one call.
func (h *Host) once(ctx context.Context, inst Instance, name string, call func(context.Context, *launched) error) error {
	l, err := h.launch(ctx, inst)
	if err != nil {
		return err
	}
	defer l.close()
	return l.unary(ctx, name, func(ctx context.Context) error { return call(ctx, l) })
}

func streamsOf(response *pluginv1.DiscoverResponse) ([]sdk.Stream, error) {
	var streams []sdk.Stream
	seen := map[string]bool{}
	for _, s := range response.GetStreams() {
		if err := checkName(s.GetName()); err != nil {
			return nil, err
		}
		if seen[s.GetName()] {
			return nil, fmt.Errorf("stream %q is there twice", s.GetName())
		}
		seen[s.GetName()] = true
		out := sdk.Stream{
			Name: s.GetName(), Description: cut(s.GetDescription()), Key: s.GetKey(), Tags: s.GetTags(),
			External: external(s.GetExternal()), EstimatedRows: max(0, s.GetEstimatedRows()),
			Query: cut(s.GetQuery()), Note: cut(s.GetNote()),
		}
		if len(s.GetSchema()) > 0 {
			schema, err := schemaOf(s.GetSchema(), s.GetKey())
			if err != nil {
				return nil, fmt.Errorf("stream %q: %w", s.GetName(), err)
			}
			out.Schema = schema
		}
		streams = append(streams, out)
	}
	return streams, nil
}
