package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/hashicorp/go-hclog"

	"github.com/qanat-data/qanat/core/pluginhost/process"
	"github.com/qanat-data/qanat/registry"
)

// Settings of a host. Zero deadlines and a nil allocator take defaults.
type Settings struct {
	Dir        string // the project's state folder; copies of plugins and scratch folders go below it
	ProjectDir string // the working directory of plugins
	Lock       *registry.Lock
	Paths      []string // plugin folders, absolute or from ProjectDir
	Logger     hclog.Logger
	Alloc      memory.Allocator
	Deadlines  Deadlines
	// Admit, if given, is asked before the process of a plugin starts; its error is why it may not. Of a plugin that is not locked yet
	// the entry has no manifest. Describe says that it is to be started only to say what it is.
	Admit func(ctx context.Context, kind registry.Kind, entry registry.Entry, describe bool) error
}

// Deadlines bound how long the host waits for a plugin. Time in which the plugin waits for the host does not count. A plugin that
// is late is killed, and the call returns a *DeadlineError.
type Deadlines struct {
	Start    time.Duration // until the process is connected; 30 s
	Call     time.Duration // a unary call, and opening and planning on a stream; 1 min
	Answer   time.Duration // the answer to a batch, a schema, a begin or a commit; 10 min
	Finish   time.Duration // all that a collecting transform gives in the end; 6 h
	Stop     time.Duration // from Stop to the end of a read; 1 min
	Liveness time.Duration // how often a source that sends nothing is asked whether it lives, and how long it may take; 15 s
	Close    time.Duration // until a process that was asked to end is killed; 10 s
}

func (d Deadlines) withDefaults() Deadlines {
	for _, field := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&d.Start, 30 * time.Second}, {&d.Call, time.Minute}, {&d.Answer, 10 * time.Minute}, {&d.Finish, 6 * time.Hour},
		{&d.Stop, time.Minute}, {&d.Liveness, 15 * time.Second}, {&d.Close, 10 * time.Second},
	} {
		if *field.value <= 0 {
			*field.value = field.standard
		}
	}
	return d
}

// Instance is one component of a plugin with its settings.
type Instance struct {
	Kind        registry.Kind // may be empty where the call implies it
	Plugin      string        // name
	Config      json.RawMessage
	Env         []string // "NAME=value": all that the process sees of the environment
	MemoryLimit int64    // resident bytes; 0 is no limit
}

// of returns the instance with the kind that a call implies.
func (i Instance) of(kind registry.Kind) (Instance, error) {
	if i.Kind != "" && i.Kind != kind {
		return i, fmt.Errorf("plugin %q is used as a %s, its kind says %q", i.Plugin, kind, i.Kind)
	}
	i.Kind = kind
	return i, nil
}

// Host runs plugins. Safe for concurrent use.
type Host struct {
	settings Settings
	store    *process.Store
	launcher *process.Launcher
	folders  *folders

	trusting sync.Mutex // one first use at a time

	mu      sync.Mutex
	running map[*launched]bool
	closed  bool
}

// New prepares the folders below settings.Dir. Close the host at the end.
func New(settings Settings) (*Host, error) {
	if settings.Lock == nil {
		return nil, errors.New("a plugin host needs a lock file")
	}
	var err error
	for _, path := range []*string{&settings.Dir, &settings.ProjectDir} {
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	paths := make([]string, 0, len(settings.Paths))
	for _, path := range settings.Paths {
		if !filepath.IsAbs(path) {
			path = filepath.Join(settings.ProjectDir, path)
		}
		paths = append(paths, path)
	}
	settings.Paths = paths
	settings.Deadlines = settings.Deadlines.withDefaults()
	if settings.Alloc == nil {
		settings.Alloc = memory.DefaultAllocator
	}
	if settings.Logger == nil {
		settings.Logger = hclog.NewNullLogger()
	}
	store, err := process.NewStore(filepath.Join(settings.Dir, "plugins"))
	if err != nil {
		return nil, err
	}
	folders, err := newFolders(filepath.Join(settings.Dir, "tmp"))
	if err != nil {
		return nil, err
	}
	return &Host{
		settings: settings, store: store, folders: folders, launcher: process.NewLauncher(), running: map[*launched]bool{},
	}, nil
}

// Close kills the plugins that still run, as a last resort: their handles should have been closed before, and may be closed
// afterwards.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	left := make([]*launched, 0, len(h.running))
	for l := range h.running {
		left = append(left, l)
	}
	h.mu.Unlock()
	for _, l := range left {
		l.Kill(ErrClosed)
		<-l.Done()
	}
	h.launcher.Close()
	return h.folders.close()
}

// Manifest is what the lock file says about a plugin whose binary is unchanged. A plugin that the lock does not know is asked what
// it is, and added.
func (h *Host) Manifest(ctx context.Context, kind registry.Kind, name string) (registry.Manifest, error) {
	entry, _, err := h.resolve(ctx, kind, name)
	return entry.Manifest, err
}

// register takes part in Close.
func (h *Host) register(l *launched) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errors.New("the plugin host is closed")
	}
	h.running[l] = true
	return nil
}

func (h *Host) forget(l *launched) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.running, l)
}
