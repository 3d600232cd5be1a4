package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/qanat-data/qanat/core/pluginhost/process"
	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// launched is a plugin process with its folders.
type launched struct {
	*process.Process
	host    *Host
	inst    Instance
	client  pluginv1.PluginClient
	scratch string
	sockets string
	closing sync.Once
}

// launch runs the locked binary of an instance and holds it to its locked manifest.
func (h *Host) launch(ctx context.Context, inst Instance) (*launched, error) {
	entry, binary, err := h.resolve(ctx, inst.Kind, inst.Plugin)
	if err != nil {
		return nil, err
	}
	l, err := h.start(ctx, inst, binary)
	if err != nil {
		return nil, err
	}
	manifest, err := l.describe(ctx)
	if err == nil {
		if parts := entry.Manifest.Differences(manifest); len(parts) > 0 {
			err = &registry.ManifestError{Plugin: entry.Name, File: entry.File, Differences: parts}
		}
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (h *Host) start(ctx context.Context, inst Instance, binary string) (*launched, error) {
	env, err := environment(inst)
	if err != nil {
		return nil, err
	}
	scratch, sockets, err := h.folders.instance(string(inst.Kind) + "-" + inst.Plugin)
	if err != nil {
		return nil, fmt.Errorf("folders of plugin %q: %w", inst.Plugin, err)
	}
	l := &launched{host: h, inst: inst, scratch: scratch, sockets: sockets}
	l.Process, err = process.Start(ctx, h.launcher, process.Spec{
		Kind: string(inst.Kind), Name: inst.Plugin, Binary: binary, Dir: h.settings.ProjectDir, Sockets: sockets,
		Scratch: scratch, Env: env, MemoryLimit: inst.MemoryLimit, Timeout: h.settings.Deadlines.Start,
		Logger: h.settings.Logger.Named(string(inst.Kind) + "-" + inst.Plugin), Dial: dialOptions(),
	})
	if err != nil {
		return nil, errors.Join(err, l.removeFolders())
	}
	l.client = pluginv1.NewPluginClient(l.Conn())
	if err := h.register(l); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// The windows are those of the plugin's side: several frames under way keep both ends busy.
const (
	streamWindow     = 4 << 20
	connectionWindow = 16 << 20
	socketBuffer     = 512 << 10
)

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(wire.Codec{}), grpc.MaxCallRecvMsgSize(wire.MaxMessage), grpc.MaxCallSendMsgSize(wire.MaxMessage),
		),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithWriteBufferSize(socketBuffer),
		grpc.WithReadBufferSize(socketBuffer),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
	}
}

var variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment checks the variables that an instance names. The value is in no error: it may be a secret.
func environment(inst Instance) ([]string, error) {
	for _, variable := range inst.Env {
		name, _, assigned := strings.Cut(variable, "=")
		if !assigned || !variablePattern.MatchString(name) {
			return nil, inst.from(fmt.Errorf("environment variable %q: expected NAME=value", name))
		}
		if name == sdk.CookieKey || strings.HasPrefix(name, "PLUGIN_") {
			return nil, inst.from(fmt.Errorf("environment variable %q belongs to the plugin protocol", name))
		}
	}
	return slices.Clone(inst.Env), nil
}

// describe asks the plugin what it is.
func (l *launched) describe(ctx context.Context) (registry.Manifest, error) {
	var described *pluginv1.DescribeResponse
	err := l.unary(ctx, "describe", func(ctx context.Context) (err error) {
		described, err = l.client.Describe(ctx, &pluginv1.DescribeRequest{})
		return err
	})
	if err != nil {
		return registry.Manifest{}, err
	}
	manifest, err := registry.FromDescribe(described, l.Protocol())
	if err != nil {
		return registry.Manifest{}, l.inst.violation("its description: %v", err)
	}
	return manifest, nil
}

// unary makes a call within its deadline, and says what went wrong in the terms of this package.
func (l *launched) unary(ctx context.Context, name string, call func(context.Context) error) error {
	limit := l.host.settings.Deadlines.Call
	late := l.inst.late(name, limit)
	callCtx, cancel := context.WithTimeoutCause(ctx, limit, late)
	defer cancel()
	err := call(callCtx)
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.Canceled, codes.DeadlineExceeded:
		// The plugin's side knows the deadline as well, and may be the first to end the call.
		select {
		case <-callCtx.Done():
		case <-time.After(exitGrace):
		}
	}
	if callCtx.Err() != nil {
		cause := context.Cause(callCtx)
		l.Kill(cause)
		return cause
	}
	return l.broken(err)
}

// exitGrace is how long a lost connection is given to turn out to be a crash.
const exitGrace = 2 * time.Second

// broken says why a call or a stream failed: the process has ended, or the plugin said so, or it did what it must not do.
func (l *launched) broken(err error) error {
	st := status.Convert(err)
	for _, detail := range st.Details() {
		if frame, ok := detail.(*pluginv1.Error); ok {
			return l.inst.from(sdkError(frame))
		}
	}
	switch st.Code() {
	case codes.Unavailable, codes.Canceled:
		select {
		case <-l.Done():
			return l.Err()
		case <-time.After(exitGrace):
			return l.inst.violation("it closed the connection: %s", st.Message())
		}
	case codes.Unimplemented, codes.InvalidArgument, codes.Unknown:
		return l.inst.from(sdk.Fatal(errors.New(cut(st.Message()))))
	}
	return l.inst.violation("%s", cut(st.Message()))
}

// close ends the process and removes its folders. Calls after the first do nothing.
func (l *launched) close() {
	l.closing.Do(func() {
		log := l.host.settings.Logger
		if !l.Close(l.host.settings.Deadlines.Close) {
			log.Warn("plugin did not end when it was asked to, and was killed", "kind", l.inst.Kind, "name", l.inst.Plugin)
		}
		if err := l.removeFolders(); err != nil {
			log.Warn("scratch folder of a plugin", "error", err)
		}
		l.host.forget(l)
	})
}

func (l *launched) removeFolders() error {
	return errors.Join(os.RemoveAll(l.scratch), os.RemoveAll(l.sockets))
}
