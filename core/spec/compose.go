package spec

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// overlay merges the documents of the environment's overlay over the specs that they name.
func (l *loader) overlay() {
	if l.opts.Env == "" {
		return
	}
	path, ok := l.overlayFile()
	if !ok {
		return
	}
	nodes, faults := yamltree.ReadFile(path, l.display(path))
	l.faults = append(l.faults, faults...)
	for _, n := range nodes {
		over, fault := classify(n, true)
		if fault != nil {
			l.faults = append(l.faults, *fault)
			continue
		}
		l.apply(over)
	}
}

func (l *loader) overlayFile() (string, bool) {
	folder := filepath.Join(l.dir, "overlays")
	if nameForm.MatchString(l.opts.Env) {
		for _, suffix := range []string{".yaml", ".yml"} {
			path := filepath.Join(folder, l.opts.Env+suffix)
			if _, err := os.Stat(path); err == nil {
				return path, true
			}
		}
	}
	var known []string
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if err == nil && isYAML(e.Name()) {
			known = append(known, strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())))
		}
	}
	l.faults = append(l.faults, Fault{
		Severity: Error, Code: "unknown-env", Message: fmt.Sprintf("no overlay for environment %q", l.opts.Env),
		Hint: cmp.Or(yamltree.Suggest(l.opts.Env, known), "write "+l.display(filepath.Join(folder, "ENV.yaml"))),
	})
	return "", false
}

func (l *loader) apply(over *document) {
	targets := l.find(over.kind, over.name)
	if over.kind == "project" {
		targets = l.projects(over)
	}
	if over.name == "" && over.kind != "project" {
		l.faults = append(l.faults, over.node.Fault("", "missing-key", fmt.Sprintf("key \"name\" is missing: it says which %s to change", over.kind)))
		return
	}
	if len(targets) == 0 {
		l.unresolved = true
		message := fmt.Sprintf("no %s %q to lay this over", over.kind, over.name)
		f := over.node.Fault("/name", "unknown-target", message)
		l.faults = append(l.faults, f.WithHint(yamltree.Suggest(over.name, l.namesOf(over.kind))))
		return
	}
	for _, d := range targets {
		d.node = yamltree.Merge(d.node, over.node)
	}
}

// projects is the project that an overlay is for. It needn't give the project's name, and there needn't
// be a project file.
func (l *loader) projects(over *document) []*document {
	if len(l.namesOf("project")) == 0 && over.name == "" {
		name := over.node.Field("kind").WithText(l.defaultName())
		node := yamltree.NewMap(over.node).WithField("kind", over.node.Field("kind")).WithField("name", name)
		l.docs = append(l.docs, &document{node: node, kind: "project", name: name.Text()})
	}
	var found []*document
	for _, d := range l.docs {
		if d.kind == "project" && (over.name == "" || over.name == d.name) {
			found = append(found, d)
		}
	}
	return found
}

// bundle decodes and checks what was chosen.
func (l *loader) bundle() *Bundle {
	b := &Bundle{Dir: l.dir, Env: l.opts.Env, Project: l.project()}
	used := map[string]bool{}
	for _, d := range l.docs {
		if !d.chosen {
			continue
		}
		l.unique(d)
		p := l.pipeline(d, used)
		b.Pipelines = append(b.Pipelines, p)
	}
	for _, d := range l.docs {
		if d.kind == "connection" && (used[d.name] || l.all()) {
			l.unique(d)
			b.Connections = append(b.Connections, l.connection(d))
		}
	}
	l.faults = append(l.faults, checkWriters(b.Pipelines)...)
	return b
}

// unique faults a document whose name another one of its kind has already.
func (l *loader) unique(d *document) {
	same := l.find(d.kind, d.name)
	if d.name == "" || len(same) < 2 {
		return
	}
	for _, second := range same[1:] {
		f := second.node.Fault("/name", "duplicate-name", fmt.Sprintf("a second %s is named %q", d.kind, d.name))
		l.faults = append(l.faults, f.WithHint("the first is at "+same[0].node.Locate("/name").String()))
	}
}

func (l *loader) project() *Project {
	p := defaultProject(l.defaultName())
	first := true
	for _, d := range l.docs {
		switch {
		case d.kind != "project":
		case first:
			l.faults = append(l.faults, checkProjectText(d.node)...)
			var faults []Fault
			p, faults = decodeProject(d.node, p.Name)
			l.faults = append(l.faults, faults...)
			first = false
		default:
			l.faults = append(l.faults, d.node.Fault("", "duplicate-name", "a project has one project document, and this is the second").
				WithHint("the first is at "+p.Node.Position().String()))
		}
	}
	if first {
		p.NATS.Embedded, p.Objects.Embedded = true, true
	}
	if info, err := os.Stat(filepath.Join(l.dir, "policies")); len(p.Policies) == 0 && err == nil && info.IsDir() {
		p.Policies = []string{"policies"}
	}
	return p
}

func (l *loader) connection(d *document) *Connection {
	c := &Connection{}
	faults := yamltree.Decode(d.node, c)
	c.Node = d.node
	if c.Config == nil {
		c.Config = yamltree.NewMap(d.node)
	}
	faults = append(faults, checkName(d.node, "/name", c.Name)...)
	l.faults = append(append(l.faults, faults...), checkReferences(c.Config)...)
	return c
}

// pipeline fills connections in, decodes and checks; used collects the connections.
func (l *loader) pipeline(d *document, used map[string]bool) *Pipeline {
	node := d.node.EditAt(usePath, func(path string, use *Node) *Node { return l.fill(d.node, path, use, used) })
	p := &Pipeline{}
	l.faults = append(l.faults, yamltree.Decode(node, p)...)
	p.Node = node
	p.complete()
	l.faults = append(l.faults, checkPipeline(p)...)
	return p
}

// usePath tells whether a place of a pipeline names a plugin.
func usePath(path []string) bool {
	switch {
	case len(path) == 1:
		return path[0] == "source"
	case len(path) == 3:
		return path[0] == "flows" && path[2] == "sink"
	case len(path) == 4:
		return path[0] == "flows" && (path[2] == "transforms" || path[2] == "checks")
	}
	return false
}

// fill puts a connection's plugin and config into a use of it.
func (l *loader) fill(root *Node, path string, use *Node, used map[string]bool) *Node {
	plugin, connection := use.Field("plugin"), use.Field("connection")
	switch {
	case use.Kind() != yamltree.Map:
		return use
	case plugin.Kind() != yamltree.Null && connection.Kind() != yamltree.Null:
		l.faults = append(l.faults, root.Fault(path+"/connection", "both-given", "plugin and connection are both given, and one is expected").
			WithHint("an overlay drops the other one by setting it to null"))
		return use
	case connection.Kind() == yamltree.Null:
		if plugin.Kind() == yamltree.Null {
			l.faults = append(l.faults, root.Fault(path, "missing-key", "neither plugin nor connection is given"))
		}
		return use
	case connection.Kind() != yamltree.Text:
		return use // decoding reports it
	}
	name := connection.Text()
	used[name] = true
	found := l.find("connection", name)
	if len(found) == 0 {
		l.unresolved = true
		f := root.Fault(path+"/connection", "unknown-connection", fmt.Sprintf("no connection %q in the project", name))
		l.faults = append(l.faults, f.WithHint(yamltree.Suggest(name, l.namesOf("connection"))))
		return use
	}
	return filled(use, connection, found[0].node)
}

func filled(use, connection, from *Node) *Node {
	if plugin := from.Field("plugin"); plugin != nil {
		use = use.WithField("plugin", plugin)
	}
	base, over := from.Field("config"), use.Field("config")
	switch {
	case base.Kind() != yamltree.Map:
		return use
	case over.Kind() == yamltree.Null:
		return use.WithField("config", base.Moved(connection))
	case over.Kind() != yamltree.Map:
		return use
	}
	return use.WithField("config", yamltree.Merge(base, over).Moved(over))
}

// complete fills in defaults and the places of plugin uses.
func (p *Pipeline) complete() {
	if p.Source != nil {
		p.Source.complete(p.Node, "/source")
	}
	if p.Landing != nil {
		p.Landing.complete()
	}
	for i := range p.Flows {
		p.Flows[i].complete(p.Node, fmt.Sprintf("/flows/%d", i))
	}
}

func (l *LandingHop) complete() {
	setDefault(&l.OnSchemaChange, "stop")
	l.Commit.complete()
}

func (f *Flow) complete(root *Node, path string) {
	f.Path = path
	setDefault(&f.Write.Mode, "append")
	setDefault(&f.OnSchemaChange, "stop")
	f.Commit.complete()
	for i := range f.Transforms {
		f.Transforms[i].complete(root, fmt.Sprintf("%s/transforms/%d", path, i))
	}
	for i := range f.Checks {
		setDefault(&f.Checks[i].OnFail, "quarantine")
		f.Checks[i].complete(root, fmt.Sprintf("%s/checks/%d", path, i))
	}
	if f.Sink != nil {
		f.Sink.complete(root, path+"/sink")
	}
}

func (u *Use) complete(root *Node, path string) {
	u.Path = path
	if u.Config == nil {
		u.Config = yamltree.NewMap(root.At(path)).Capture(path + "/config")
	}
}

func (c *Commit) complete() {
	d := defaultCommit()
	if c.Every == 0 {
		c.Every = d.Every
	}
	if c.Rows == 0 {
		c.Rows = d.Rows
	}
	if c.Bytes == 0 {
		c.Bytes = d.Bytes
	}
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
