package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/qanat-data/qanat/registry"
)

// Plugin is a binary on the plugin path.
type Plugin struct {
	registry.Entry
	State string `json:"state"` // locked, new, changed or missing
}

// The states of a plugin.
const (
	PluginLocked  = "locked"
	PluginNew     = "new"
	PluginChanged = "changed"
	PluginMissing = "missing"
)

// ListPlugins compares the binaries on the plugin path with the lock. Binaries that are not locked are asked what they are.
func (p *Project) ListPlugins(ctx context.Context) ([]Plugin, error) {
	var list []Plugin
	for _, binary := range p.binaries() {
		plugin, err := p.look(ctx, binary)
		if err != nil {
			return nil, fmt.Errorf("plugin binary %q: %w", binary.Path, err)
		}
		list = append(list, plugin)
	}
	for _, entry := range p.Lock.Entries() {
		if !slices.ContainsFunc(list, func(known Plugin) bool { return known.File == entry.File }) {
			list = append(list, Plugin{Entry: entry, State: PluginMissing})
		}
	}
	return list, nil
}

func (p *Project) binaries() []registry.Binary {
	binaries, problems := registry.Discover(p.PluginPaths())
	for _, problem := range problems {
		p.Log.Warn("plugin path", "path", problem.Path, "error", problem.Err)
	}
	return binaries
}

func (p *Project) look(ctx context.Context, binary registry.Binary) (Plugin, error) {
	entry, locked := p.Lock.FindFile(binary.File)
	if !locked {
		described, err := p.Plugins.Describe(ctx, binary)
		return Plugin{Entry: described, State: PluginNew}, err
	}
	digest, err := registry.Digest(binary.Path)
	if err != nil {
		return Plugin{}, err
	}
	if _, changed := errors.AsType[*registry.ChangedError](entry.Verify(digest)); changed {
		return Plugin{Entry: entry, State: PluginChanged}, nil
	}
	return Plugin{Entry: entry, State: PluginLocked}, nil
}

// LockPlugins accepts binaries as they are now: those named, or all.
func (p *Project) LockPlugins(ctx context.Context, files []string) ([]Plugin, error) {
	var accepted []Plugin
	for _, binary := range p.binaries() {
		if len(files) > 0 && !slices.Contains(files, binary.File) {
			continue
		}
		entry, err := p.Plugins.Describe(ctx, binary)
		if err != nil {
			return nil, fmt.Errorf("plugin binary %q: %w", binary.Path, err)
		}
		if err := p.Lock.Accept(entry); err != nil {
			return nil, err
		}
		accepted = append(accepted, Plugin{Entry: entry, State: PluginLocked})
	}
	for _, file := range files {
		if !slices.ContainsFunc(accepted, func(known Plugin) bool { return known.File == file }) {
			return nil, &registry.MissingError{File: file, Looked: p.PluginPaths()}
		}
	}
	return accepted, nil
}

// DescribePlugin asks a binary what it is: a file of the plugin path, or a path.
func (p *Project) DescribePlugin(ctx context.Context, file string) (Plugin, error) {
	for _, binary := range p.binaries() {
		if binary.File == file {
			return p.look(ctx, binary)
		}
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return Plugin{}, err
	}
	entry, err := p.Plugins.Describe(ctx, registry.Binary{File: filepath.Base(path), Path: path})
	return Plugin{Entry: entry, State: PluginNew}, err
}
