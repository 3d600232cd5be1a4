package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/qanat-data/qanat/registry"
)

// resolve finds the locked plugin and the copy of its binary that may run. A plugin that is not locked yet is trusted.
func (h *Host) resolve(ctx context.Context, kind registry.Kind, name string) (registry.Entry, string, error) {
	entry, locked := h.settings.Lock.Find(kind, name)
	if !locked {
		var err error
		if entry, err = h.trust(ctx, kind, name); err != nil {
			return registry.Entry{}, "", err
		}
	}
	path, err := registry.Locate(h.settings.Paths, entry.File)
	if errors.Is(err, fs.ErrNotExist) {
		return registry.Entry{}, "", h.missing(kind, name, entry.File)
	}
	if err != nil {
		return registry.Entry{}, "", err
	}
	found, err := h.store.Digest(path)
	if err != nil {
		return registry.Entry{}, "", err
	}
	if err := entry.Verify(found); err != nil {
		return registry.Entry{}, "", err
	}
	if err := h.admit(ctx, kind, entry, false); err != nil {
		return registry.Entry{}, "", err
	}
	binary, err := h.store.Copy(path, entry.SHA256)
	return entry, binary, err
}

func (h *Host) admit(ctx context.Context, kind registry.Kind, entry registry.Entry, describe bool) error {
	if h.settings.Admit == nil {
		return nil
	}
	return h.settings.Admit(ctx, kind, entry, describe)
}

func (h *Host) missing(kind registry.Kind, name, file string) error {
	missing := &registry.MissingError{Kind: kind, Name: name, File: file, Looked: h.settings.Paths}
	binaries, _ := registry.Discover(h.settings.Paths)
	for _, b := range binaries {
		missing.Found = append(missing.Found, b.File)
	}
	return missing
}

// trust asks the binaries that are named like the plugin what they are, and locks the one that is it.
func (h *Host) trust(ctx context.Context, kind registry.Kind, name string) (registry.Entry, error) {
	h.trusting.Lock()
	defer h.trusting.Unlock()
	if entry, locked := h.settings.Lock.Find(kind, name); locked {
		return entry, nil
	}
	for _, binary := range h.candidates(kind, name) {
		digest, err := h.store.Digest(binary.Path)
		if err != nil {
			return registry.Entry{}, err
		}
		if err := h.admit(ctx, kind, registry.Entry{Name: name, Kinds: []registry.Kind{kind}, File: binary.File, SHA256: digest}, false); err != nil {
			return registry.Entry{}, err
		}
		entry, err := h.describe(ctx, binary, digest)
		if err != nil {
			return registry.Entry{}, err
		}
		if !entry.Serves(kind, name) {
			h.settings.Logger.Warn("a plugin binary is not what its name says", "file", binary.File,
				"name", entry.Name, "kinds", fmt.Sprint(entry.Kinds))
			continue
		}
		if err := h.admit(ctx, kind, entry, false); err != nil { // by what it says of itself: what may not run is not trusted
			return registry.Entry{}, err
		}
		if err := h.settings.Lock.Add(entry); err != nil {
			return registry.Entry{}, err
		}
		h.settings.Logger.Info("plugin trusted on first use", "file", entry.File, "name", entry.Name, "kinds", fmt.Sprint(entry.Kinds),
			"version", entry.Manifest.Version, "publisher", entry.Manifest.Publisher, "sha256", entry.SHA256, "lock", h.settings.Lock.Path())
		return entry, nil
	}
	return registry.Entry{}, h.missing(kind, name, "")
}

// candidates are binaries that are not locked and have the plugin's name, that of its kind first. Others are not started to look
// for a name: "qanat plugin lock" takes in plugins whose files are named differently.
func (h *Host) candidates(kind registry.Kind, name string) []registry.Binary {
	binaries, _ := registry.Discover(h.settings.Paths)
	var first, others []registry.Binary
	for _, b := range binaries {
		_, locked := h.settings.Lock.FindFile(b.File)
		switch {
		case locked || b.Name != name:
		case b.Kind == kind:
			first = append(first, b)
		default:
			others = append(others, b)
		}
	}
	return append(first, others...)
}

// Describe runs a binary only to ask what it is, and returns the entry that would lock it. It changes nothing; a person or the
// trust on first use decides.
func (h *Host) Describe(ctx context.Context, binary registry.Binary) (registry.Entry, error) {
	digest, err := h.store.Digest(binary.Path)
	if err != nil {
		return registry.Entry{}, err
	}
	name := binary.Name
	if name == "" {
		name = binary.File
	}
	if err := h.admit(ctx, binary.Kind, registry.Entry{Name: name, File: binary.File, SHA256: digest}, true); err != nil {
		return registry.Entry{}, err
	}
	return h.describe(ctx, binary, digest)
}

// describe runs the binary that has a digest.
func (h *Host) describe(ctx context.Context, binary registry.Binary, digest string) (registry.Entry, error) {
	copied, err := h.store.Copy(binary.Path, digest)
	if err != nil {
		return registry.Entry{}, err
	}
	inst := Instance{Kind: binary.Kind, Plugin: binary.Name}
	if inst.Kind == "" {
		inst = Instance{Kind: "unnamed", Plugin: binary.File}
	}
	l, err := h.start(ctx, inst, copied)
	if err != nil {
		return registry.Entry{}, err
	}
	defer l.close()
	manifest, err := l.describe(ctx)
	if err != nil {
		return registry.Entry{}, err
	}
	return registry.NewEntry(binary.File, digest, manifest), nil
}
