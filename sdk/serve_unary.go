package sdk

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Describe implements pluginv1.PluginServer.
func (s *server) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return s.described, nil
}

// Validate implements pluginv1.PluginServer.
func (s *server) Validate(_ context.Context, req *pluginv1.ValidateRequest) (*pluginv1.ValidateResponse, error) {
	c, ok := s.components[req.GetKind()]
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "plugin %q is no %s", s.described.GetName(), kindName(req.GetKind()))
	}
	response := &pluginv1.ValidateResponse{}
	for _, fault := range split(c.validate(req.GetConfig())) {
		var typed *Error
		path, message := "", fault.Error()
		if errors.As(fault, &typed) && typed.Kind == KindConfig {
			path, message = typed.Path, typed.Err.Error()
		}
		response.Faults = append(response.Faults, &pluginv1.ConfigFault{Path: path, Message: message})
	}
	return response, nil
}

// split takes errors.Join apart, also nested ones.
func split(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var faults []error
	for _, fault := range joined.Unwrap() {
		faults = append(faults, split(fault)...)
	}
	return faults
}

// Test implements pluginv1.PluginServer.
func (s *server) Test(ctx context.Context, req *pluginv1.TestRequest) (*pluginv1.TestResponse, error) {
	instance, err := open[closer](ctx, s, req.GetKind(), req.GetConfig(), req.GetScratch())
	if err != nil {
		return nil, unaryError(err)
	}
	defer s.close(ctx, instance)
	tester, ok := instance.(Tester)
	if !ok {
		return &pluginv1.TestResponse{Summary: "the plugin has no test of its own; its settings were accepted"}, nil
	}
	summary, err := tester.Test(ctx)
	if err != nil {
		return nil, unaryError(err)
	}
	return &pluginv1.TestResponse{Summary: summary}, nil
}

// Discover implements pluginv1.PluginServer.
func (s *server) Discover(ctx context.Context, req *pluginv1.DiscoverRequest) (*pluginv1.DiscoverResponse, error) {
	source, err := open[Source](ctx, s, pluginv1.Kind_KIND_SOURCE, req.GetConfig(), req.GetScratch())
	if err != nil {
		return nil, unaryError(err)
	}
	defer s.close(ctx, source)
	streams, err := source.Streams(ctx)
	if err != nil {
		return nil, unaryError(err)
	}
	response := &pluginv1.DiscoverResponse{}
	for _, stream := range streams {
		out := &pluginv1.Stream{
			Name: stream.Name, Description: stream.Description, Key: stream.Key, Tags: stream.Tags, EstimatedRows: stream.EstimatedRows,
			Query: stream.Query, Note: stream.Note,
			External: &pluginv1.ExternalDataset{Namespace: stream.External.Namespace, Name: stream.External.Name},
		}
		if stream.Schema != nil {
			if out.Schema, err = wire.EncodeSchema(stream.Schema); err != nil {
				return nil, unaryError(err)
			}
		}
		response.Streams = append(response.Streams, out)
	}
	return response, nil
}

// Provision implements pluginv1.PluginServer.
func (s *server) Provision(ctx context.Context, req *pluginv1.ProvisionRequest) (*pluginv1.Actions, error) {
	source, err := open[Source](ctx, s, pluginv1.Kind_KIND_SOURCE, req.GetConfig(), req.GetScratch())
	if err != nil {
		return nil, unaryError(err)
	}
	defer s.close(ctx, source)
	provisioner, ok := source.(Provisioner)
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "source %q provisions nothing", s.described.GetName())
	}
	call := provisioner.Provision
	if req.GetDryRun() {
		call = provisioner.PlanProvision
	}
	actions, err := call(ctx, ProvisionRequest{Streams: req.GetStreams(), Remove: req.GetRemove()})
	if err != nil {
		return nil, unaryError(err)
	}
	return actionsFrame(actions), nil
}

type closer interface {
	Close(ctx context.Context) error
}

func (s *server) close(ctx context.Context, instance closer) {
	if err := instance.Close(context.WithoutCancel(ctx)); err != nil {
		s.log.Warn("close", "error", err)
	}
}

// unaryError carries a typed error as a status with a detail.
func unaryError(err error) error {
	code := codes.Internal
	if KindOf(err) == KindConfig {
		code = codes.InvalidArgument
	}
	st, detailErr := status.New(code, err.Error()).WithDetails(errorFrame(err))
	if detailErr != nil {
		return status.Error(code, err.Error())
	}
	return st.Err()
}

// errorFrame is the error as the protocol has it.
func errorFrame(err error) *pluginv1.Error {
	frame := &pluginv1.Error{Code: pluginv1.Error_CODE_FATAL, Message: err.Error()}
	var typed *Error
	if !errors.As(err, &typed) {
		return frame
	}
	frame.RetryAfterMs = typed.After.Milliseconds()
	switch typed.Kind {
	case KindRetryable:
		frame.Code = pluginv1.Error_CODE_RETRYABLE
	case KindRateLimited:
		frame.Code = pluginv1.Error_CODE_RATE_LIMITED
	case KindConfig:
		frame.Code, frame.Path, frame.Message = pluginv1.Error_CODE_CONFIG, typed.Path, typed.Err.Error()
	case KindFenced:
		frame.Code = pluginv1.Error_CODE_FENCED
	case KindFatal:
	}
	return frame
}
