package spec

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// Options says what to load.
type Options struct {
	// Dir is the folder that people are in; the current one if empty. Files are named relative to it.
	Dir string
	// Env selects overlays/<Env>.yaml; empty selects none.
	Env string
	// Files are the pipelines to load, each a path of a file or the name of a pipeline of the project.
	// Empty loads all of the project's.
	Files []string
}

// Bundle is what Load found. It may be used only if there was no error among the faults; with errors it
// holds what could be read, for showing.
type Bundle struct {
	// Dir is the project folder, absolute.
	Dir string
	// Env is the environment whose overlay is laid over the specs.
	Env string
	// Project is never nil: without a project file it holds the defaults.
	Project *Project
	// Pipelines are the pipelines asked for, in the order of their files.
	Pipelines []*Pipeline
	// Connections are the connections that the pipelines use; all of the project's if all were asked for.
	Connections []*Connection
}

// Path makes a path that a spec holds absolute; relative ones start from the project folder.
func (b *Bundle) Path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.Dir, path)
}

// Pipeline finds a loaded pipeline by its name; nil if there is none.
func (b *Bundle) Pipeline(name string) *Pipeline {
	for _, p := range b.Pipelines {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Resolver resolves the references of the bundle's specs against the process's environment.
func (b *Bundle) Resolver() *Resolver {
	return NewResolver(ResolverSettings{Dir: b.Dir, FilesBelow: b.Project.FilesBelow})
}

// Load reads the files of a project and returns the specs asked for, with everything that is wrong with
// them, sorted by place.
func Load(ctx context.Context, opts Options) (*Bundle, []Fault) {
	l, err := newLoader(opts)
	if err != nil {
		return nil, []Fault{{Severity: Error, Code: "unreadable", Message: err.Error()}}
	}
	if err := l.read(ctx); err != nil {
		return nil, []Fault{{Severity: Error, Code: "cancelled", Message: err.Error()}}
	}
	l.overlay()
	l.choose()
	b := l.bundle()
	if l.unresolved {
		l.faults = append(l.faults, l.aside...)
	}
	return b, yamltree.Sort(l.faults)
}

// document is one spec of a file.
type document struct {
	node       *Node
	kind, name string
	path       string // of the file
	chosen     bool
}

type loader struct {
	opts  Options
	cwd   string
	dir   string
	paths []string // files asked for
	names []string // pipelines asked for

	docs       []*document
	faults     []Fault
	aside      []Fault // of files that nobody asked for
	unresolved bool    // something named was not found; aside may say why
}

// The names under which a project file is found.
var projectFiles = []string{"qanat.yaml", "qanat.yml"}

func newLoader(opts Options) (*loader, error) {
	cwd, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	l := &loader{opts: opts, cwd: cwd}
	for _, file := range opts.Files {
		if !isPath(file) {
			l.names = append(l.names, file)
			continue
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(cwd, file)
		}
		l.paths = append(l.paths, file)
	}
	l.dir = projectFolder(cwd)
	for i, path := range l.paths {
		dir := projectFolder(filepath.Dir(path))
		if i > 0 && dir != l.dir {
			return nil, fmt.Errorf("%s and %s belong to different projects", l.display(l.paths[0]), l.display(path))
		}
		l.dir = dir
	}
	return l, nil
}

func isPath(file string) bool {
	return strings.ContainsRune(file, filepath.Separator) || isYAML(file)
}

func isYAML(file string) bool {
	return strings.HasSuffix(file, ".yaml") || strings.HasSuffix(file, ".yml")
}

// projectFolder is the nearest folder at or above dir with a project file, or else dir itself.
func projectFolder(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		for _, name := range projectFiles {
			if info, err := os.Stat(filepath.Join(at, name)); err == nil && info.Mode().IsRegular() {
				return at
			}
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// display is a path as people would write it from where they are.
func (l *loader) display(path string) string {
	if rel, err := filepath.Rel(l.cwd, path); err == nil && strings.Count(rel, "..") < 3 {
		return rel
	}
	return path
}

// all tells whether every pipeline of the project is asked for.
func (l *loader) all() bool { return len(l.opts.Files) == 0 }

// read reads the files asked for and, for names and connections, those of the project.
func (l *loader) read(ctx context.Context) error {
	files := slices.Clone(l.paths)
	for _, folder := range []string{"", "pipelines", "connections"} {
		entries, err := os.ReadDir(filepath.Join(l.dir, folder))
		if err != nil {
			continue // the folders are optional
		}
		for _, e := range entries {
			if isYAML(e.Name()) && !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, filepath.Join(l.dir, folder, e.Name()))
			}
		}
	}
	slices.Sort(files)
	for _, path := range slices.Compact(files) {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.file(path)
	}
	return nil
}

func (l *loader) file(path string) {
	asked := slices.Contains(l.paths, path)
	name := filepath.Base(path)
	project := filepath.Dir(path) == l.dir && slices.Contains(projectFiles, name)
	strict := asked || project || filepath.Dir(path) != l.dir
	nodes, faults := yamltree.ReadFile(path, l.display(path))
	for _, n := range nodes {
		doc, fault := classify(n, strict)
		if fault != nil {
			faults = append(faults, *fault)
		}
		if doc != nil {
			doc.path = path
			l.docs = append(l.docs, doc)
		}
	}
	if asked || project || l.all() {
		l.faults = append(l.faults, faults...)
		return
	}
	l.aside = append(l.aside, faults...)
}

var specKinds = []string{"project", "pipeline", "connection"}

// classify tells which spec a document is. In files that may well belong to other programs, those in
// the project folder itself, what doesn't look like a spec is left alone.
func classify(n *Node, strict bool) (*document, *Fault) {
	kind := n.Field("kind")
	foreign := !strict && (kind == nil || n.Field("apiVersion") != nil)
	if foreign {
		return nil, nil
	}
	if slices.Contains(specKinds, kind.Text()) {
		return &document{node: n, kind: kind.Text(), name: n.Field("name").Text()}, nil
	}
	allowed := strings.Join(specKinds, ", ")
	var f Fault
	switch {
	case n.Kind() != yamltree.Map:
		f = n.Fault("", "wrong-type", fmt.Sprintf("expected a map with the keys of a spec, found %s", n.Kind()))
	case kind == nil:
		f = n.Fault("", "missing-key", `key "kind" is missing`).WithHint("allowed kinds: " + allowed)
	default:
		f = n.Fault("/kind", "unknown-kind", fmt.Sprintf("unknown kind %q", kind.Text())).WithHint(yamltree.Suggest(kind.Text(), specKinds))
	}
	if !strict && yamltree.Near(kind.Text(), specKinds) == "" {
		return nil, nil
	}
	return nil, &f
}

// find lists the documents of a kind with a name.
func (l *loader) find(kind, name string) []*document {
	var found []*document
	for _, d := range l.docs {
		if d.kind == kind && d.name == name {
			found = append(found, d)
		}
	}
	return found
}

func (l *loader) namesOf(kind string) []string {
	var names []string
	for _, d := range l.docs {
		if d.kind == kind && d.name != "" {
			names = append(names, d.name)
		}
	}
	return names
}

// choose marks the pipelines asked for.
func (l *loader) choose() {
	for _, d := range l.docs {
		d.chosen = d.kind == "pipeline" && (l.all() || slices.Contains(l.paths, d.path))
	}
	for _, name := range l.names {
		found := l.find("pipeline", name)
		for _, d := range found {
			d.chosen = true
		}
		if len(found) == 0 {
			l.missing("pipeline", name)
		}
	}
	for _, path := range l.paths {
		chosen := func(d *document) bool { return d.chosen && d.path == path }
		if !slices.ContainsFunc(l.docs, chosen) && !l.faulty(path) {
			l.faults = append(l.faults, Fault{Severity: Error, Code: "no-pipeline", File: l.display(path), Message: "the file holds no pipeline"})
		}
	}
}

func (l *loader) faulty(path string) bool {
	return slices.ContainsFunc(l.faults, func(f Fault) bool { return f.File == l.display(path) })
}

func (l *loader) missing(kind, name string) {
	l.unresolved = true
	l.faults = append(l.faults, Fault{
		Severity: Error, Code: "unknown-" + kind, Message: fmt.Sprintf("no %s %q in %s", kind, name, l.dir),
		Hint: yamltree.Suggest(name, l.namesOf(kind)),
	})
}

// defaultName makes a name of a project that has none from its folder's.
func (l *loader) defaultName() string {
	name := regexp.MustCompile(`[^a-z0-9_-]+`).ReplaceAllString(strings.ToLower(filepath.Base(l.dir)), "-")
	if nameForm.MatchString(name) {
		return name
	}
	return "project"
}
