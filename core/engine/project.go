package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/instance"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/query"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/objects"
	"github.com/qanat-data/qanat/registry"
)

// StateDir and LockFile are where a project keeps its state and the digests of its plugins, below the project folder.
const (
	StateDir = ".qanat"
	LockFile = "qanat.lock"
)

// Project is an opened project: its specs, its plugins and, once Start has been called, its servers.
type Project struct {
	Bundle   *spec.Bundle
	Resolver *spec.Resolver
	Lock     *registry.Lock
	Plugins  *pluginhost.Host
	Log      hclog.Logger
	Alloc    memory.Allocator

	resolved *spec.Project // with references replaced
	instance *instance.Instance
	ledger   *ledger.Ledger
	governor *governor
	// decisions is where decisions are noted; nil without servers or policies.
	decisions *broker.Journal
}

// Open loads the plugins' lock and readies the plugin host. It starts no server and no plugin.
func Open(bundle *spec.Bundle, log hclog.Logger) (*Project, error) {
	p := &Project{
		Bundle: bundle, Log: log, Alloc: memory.DefaultAllocator,
		Resolver: spec.NewResolver(spec.ResolverSettings{Dir: bundle.Dir, FilesBelow: bundle.Project.FilesBelow}),
	}
	var err error
	if p.resolved, err = p.resolve(bundle.Project); err != nil {
		return nil, err
	}
	if p.governor, err = newGovernor(context.Background(), bundle.Dir, p.resolved, p.record, p.tell); err != nil {
		return nil, err
	}
	if p.Lock, err = registry.OpenLock(filepath.Join(bundle.Dir, LockFile)); err != nil {
		return nil, err
	}
	p.Plugins, err = pluginhost.New(pluginhost.Settings{
		Dir: filepath.Join(bundle.Dir, StateDir), ProjectDir: bundle.Dir, Lock: p.Lock, Paths: p.PluginPaths(),
		Logger: log.Named("plugin"), Alloc: p.Alloc, Admit: p.governor.admitPlugin,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// resolve resolves the project file. Only what is secret in it is kept for redaction: folders and addresses stay readable.
func (p *Project) resolve(project *spec.Project) (*spec.Project, error) {
	resolved, faults := spec.NewResolver(spec.ResolverSettings{Dir: p.Bundle.Dir, FilesBelow: project.FilesBelow}).Project(project)
	if len(faults) > 0 {
		return nil, &FaultsError{Faults: faults}
	}
	for _, path := range spec.SecretPaths() {
		if project.Node == nil {
			break
		}
		if _, faults := p.Resolver.Resolve(project.Node.At(path)); len(faults) > 0 {
			return nil, &FaultsError{Faults: faults}
		}
	}
	return resolved, nil
}

// PluginPaths are the folders that plugins are looked for in, absolute.
func (p *Project) PluginPaths() []string {
	var paths []string
	for _, path := range p.resolved.Plugins.Path {
		paths = append(paths, p.path(path))
	}
	return paths
}

// path makes a path of the project file absolute; relative ones start from the project folder.
func (p *Project) path(path string) string {
	if path == "" {
		return ""
	}
	return p.Bundle.Path(path)
}

// Start starts the project's servers, or connects to those of the process that has.
func (p *Project) Start(ctx context.Context) error {
	store := p.resolved.Objects
	running, err := instance.Open(ctx, instance.Settings{
		Dir: filepath.Join(p.Bundle.Dir, StateDir), Project: p.resolved.Name,
		NATS: natsOf(p.resolved, p.path(p.resolved.NATS.Credentials)),
		Objects: objects.Settings{
			Endpoint: store.Endpoint, AccessKey: store.AccessKey.Reveal(), SecretKey: store.SecretKey.Reveal(),
			Region: store.Region, Secure: store.Secure, BucketPrefix: store.BucketPrefix,
			Timeout: store.Timeout.Std(),
		},
		State: stateOf(p.resolved), Catalog: catalogOf(p.resolved), LandingRetention: store.LandingRetention.Std(), Logger: p.Log,
	})
	if err != nil {
		return err
	}
	p.instance = running
	if p.ledger, err = ledger.Open(ctx, running.DB(), ledger.Dialect(running.State())); err == nil {
		err = p.openDecisions(ctx)
	}
	if err != nil {
		return errors.Join(err, p.Close(ctx))
	}
	return nil
}

// Close stops plugins and, after other commands have let go of them, the servers.
func (p *Project) Close(ctx context.Context) error {
	err := p.Plugins.Close()
	if p.instance != nil {
		err = errors.Join(err, p.instance.Close(ctx))
	}
	return err
}

// Lost is closed when the process that runs the servers is gone.
func (p *Project) Lost() <-chan struct{} { return p.instance.Lost() }

// stateFile is the file of the state database; empty where a server has it.
func (p *Project) stateFile() string {
	if p.resolved.State.Type == "postgres" {
		return ""
	}
	return p.instance.StateFile()
}

// Zones are the project's datasets.
func (p *Project) Zones() *zone.Zones { return p.instance.Zones() }

// Ledger is the project's ledger.
func (p *Project) Ledger() *ledger.Ledger { return p.ledger }

// Query answers SQL over the zones.
func (p *Project) Query(ctx context.Context, text string) (*query.Rows, error) {
	engine := query.New(query.Settings{
		Zones: p.Zones(), Ledger: p.ledger, CacheDir: filepath.Join(p.Bundle.Dir, StateDir, "cache"),
	})
	return engine.Query(ctx, text)
}

// Pipeline finds a pipeline by name.
func (p *Project) Pipeline(name string) (*spec.Pipeline, error) {
	var known []string
	for _, pipeline := range p.Bundle.Pipelines {
		if pipeline.Name == name {
			return pipeline, nil
		}
		known = append(known, pipeline.Name)
	}
	return nil, fmt.Errorf("no pipeline %q; there are %q", name, known)
}

// FaultsError are the faults of specs.
type FaultsError struct {
	Faults []spec.Fault
}

// Error joins the faults; people are shown them with spec.Print.
func (e *FaultsError) Error() string {
	var all []error
	for _, f := range e.Faults {
		all = append(all, errors.New(f.Error()))
	}
	return errors.Join(all...).Error()
}
