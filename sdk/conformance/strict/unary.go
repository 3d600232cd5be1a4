package strict

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Describe asks the plugin what it is.
func (p *Process) Describe(ctx context.Context) (*pluginv1.DescribeResponse, error) {
	var response *pluginv1.DescribeResponse
	err := p.unary(ctx, "describe", func(ctx context.Context) (err error) {
		response, err = p.client.Describe(ctx, &pluginv1.DescribeRequest{})
		return err
	})
	return response, err
}

// Fault is one that the plugin found in its settings.
type Fault struct{ Path, Message string }

// String is the fault in a line.
func (f Fault) String() string { return strings.TrimSpace(f.Path + " " + f.Message) }

// Validate has the plugin check settings.
func (p *Process) Validate(ctx context.Context, kind pluginv1.Kind, config []byte) ([]Fault, error) {
	var response *pluginv1.ValidateResponse
	err := p.unary(ctx, "validate", func(ctx context.Context) (err error) {
		response, err = p.client.Validate(ctx, &pluginv1.ValidateRequest{Kind: kind, Config: config})
		return err
	})
	var faults []Fault
	for _, f := range response.GetFaults() {
		faults = append(faults, Fault{Path: f.GetPath(), Message: f.GetMessage()})
		p.say(f.GetPath(), f.GetMessage())
	}
	return faults, err
}

// Test has the plugin try its settings.
func (p *Process) Test(ctx context.Context, kind pluginv1.Kind, config []byte) (string, error) {
	var response *pluginv1.TestResponse
	err := p.unary(ctx, "test", func(ctx context.Context) (err error) {
		response, err = p.client.Test(ctx, &pluginv1.TestRequest{Kind: kind, Config: config, Scratch: p.scratch})
		return err
	})
	p.say(response.GetSummary())
	return response.GetSummary(), err
}

// Discover lists the streams of a source; schemas and names are checked.
func (p *Process) Discover(ctx context.Context, config []byte) ([]sdk.Stream, error) {
	var response *pluginv1.DiscoverResponse
	err := p.unary(ctx, "discover", func(ctx context.Context) (err error) {
		response, err = p.client.Discover(ctx, &pluginv1.DiscoverRequest{Config: config, Scratch: p.scratch})
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.streams(response)
}

func (p *Process) streams(response *pluginv1.DiscoverResponse) ([]sdk.Stream, error) {
	var streams []sdk.Stream
	seen := map[string]bool{}
	for _, s := range response.GetStreams() {
		if err := checkName(s.GetName()); err != nil {
			return nil, err
		}
		if seen[s.GetName()] {
			return nil, violation("stream %q is listed twice", s.GetName())
		}
		seen[s.GetName()] = true
		p.say(s.GetName(), s.GetDescription(), s.GetQuery(), s.GetNote(), s.GetExternal().GetNamespace(), s.GetExternal().GetName())
		out := sdk.Stream{
			Name: s.GetName(), Description: s.GetDescription(), Key: s.GetKey(), Tags: s.GetTags(), EstimatedRows: s.GetEstimatedRows(),
			Query: s.GetQuery(), Note: s.GetNote(),
			External: sdk.ExternalDataset{Namespace: s.GetExternal().GetNamespace(), Name: s.GetExternal().GetName()},
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

// Provision has a source make, or remove, what it needs in the other system, or only say what it would do.
func (p *Process) Provision(ctx context.Context, config []byte, req sdk.ProvisionRequest, dryRun bool) ([]sdk.Action, error) {
	var response *pluginv1.Actions
	err := p.unary(ctx, "provision", func(ctx context.Context) (err error) {
		response, err = p.client.Provision(ctx, &pluginv1.ProvisionRequest{
			Config: config, Scratch: p.scratch, Streams: req.Streams, Remove: req.Remove, DryRun: dryRun,
		})
		return err
	})
	return actionsOf(response, p.say), err
}

// unary makes a call within the limit, and says what went wrong in the terms of this package.
func (p *Process) unary(ctx context.Context, name string, call func(context.Context) error) error {
	late := &Late{Call: name, Limit: p.spec.Limit}
	ctx, cancel := context.WithTimeoutCause(ctx, p.spec.Limit, late)
	defer cancel()
	err := call(ctx)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return p.broken(err)
}

// exitGrace is how long a lost connection is given to turn out to be a crash.
const exitGrace = 2 * time.Second

// broken says why a call or a stream failed.
func (p *Process) broken(err error) error {
	st := status.Convert(err)
	for _, detail := range st.Details() {
		if frame, ok := detail.(*pluginv1.Error); ok {
			p.say(frame.GetMessage(), frame.GetPath())
			return reported(frame)
		}
	}
	p.say(st.Message())
	switch st.Code() {
	case codes.Unavailable, codes.Canceled:
		select {
		case <-p.child.exited:
			return p.crash()
		case <-time.After(exitGrace):
			return violation("it closed the connection: %s", st.Message())
		}
	case codes.Unimplemented, codes.InvalidArgument, codes.Unknown:
		return sdk.Fatal(errors.New(st.Message()))
	}
	return violation("%v: %s", st.Code(), st.Message())
}
