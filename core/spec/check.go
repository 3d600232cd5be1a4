package spec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// checker collects faults of one document.
type checker struct {
	root   *Node
	faults []Fault
}

func (c *checker) fail(path, code, message, hint string) {
	c.faults = append(c.faults, c.root.Fault(path, code, message).WithHint(hint))
}

func (c *checker) err(path string, err error) {
	c.faults = append(c.faults, faultOf(c.root, path, "bad-value", err))
}

// present tells whether a key is given with a value other than null.
func (c *checker) present(path string) bool { return c.root.At(path).Kind() != yamltree.Null }

func (c *checker) name(path, name string) {
	if name != "" && (!nameForm.MatchString(name) || len(name) > longestName) {
		c.fail(path, "bad-value", fmt.Sprintf("%q is not a name", name), nameHint)
	}
}

func checkName(root *Node, path, name string) []Fault {
	c := checker{root: root}
	c.name(path, name)
	return c.faults
}

// checkPipeline checks what the pipeline's document alone can tell.
func checkPipeline(p *Pipeline) []Fault {
	c := &checker{root: p.Node}
	c.name("/name", p.Name)
	switch {
	case p.Source == nil && !c.present("/source") && len(p.Flows) == 0 && !c.present("/flows"):
		c.fail("", "missing-key", "the pipeline has neither a source nor flows", "")
	case p.Source != nil && !c.present("/landing"):
		c.fail("/source", "missing-key", "a source needs landing: every record is kept raw first", "add landing: {dataset: landing.NAMESPACE.{stream}}")
	case p.Landing != nil && !c.present("/source"):
		c.fail("/landing", "missing-key", "landing needs a source", "")
	}
	if p.Landing != nil {
		c.landing(p.Landing)
	}
	c.flows(p.Flows)
	for _, use := range p.Uses() {
		c.use(use)
	}
	return c.faults
}

func (c *checker) landing(l *LandingHop) {
	c.dataset("/landing/dataset", l.Dataset, datasetForm{zones: []string{Landing}, placeholder: "stream"})
}

func (c *checker) dataset(path, text string, form datasetForm) {
	if text == "" {
		return
	}
	if _, err := parseDataset(text, form); err != nil {
		c.err(path, err)
	}
}

func (c *checker) flows(flows []Flow) {
	seen := map[string]string{}
	for i := range flows {
		f := &flows[i]
		at := f.Path + "/name"
		c.name(at, f.Name)
		first, twice := seen[f.Name]
		switch {
		case f.Name == Landing:
			c.fail(at, "bad-value", `the name "landing" is taken by the hop from the source`, "choose another name")
		case f.Name != "" && twice:
			c.fail(at, "duplicate-name", fmt.Sprintf("a second flow is named %q", f.Name), "the first is at "+c.root.Locate(first).String())
		}
		seen[f.Name] = at
		c.flow(f)
	}
}

func (c *checker) flow(f *Flow) {
	from := c.from(f)
	c.as(f, from)
	c.target(f, from)
	c.write(f)
	var transforms, checks []string
	for _, t := range f.Transforms {
		transforms = append(transforms, t.Name)
	}
	for _, k := range f.Checks {
		checks = append(checks, k.Name)
	}
	c.steps(f.Path+"/transforms", transforms)
	c.steps(f.Path+"/checks", checks)
}

// steps checks the names of transforms or checks; they needn't have one.
func (c *checker) steps(path string, names []string) {
	for i, name := range names {
		at := fmt.Sprintf("%s/%d/name", path, i)
		c.name(at, name)
		if name != "" && slices.Index(names, name) < i {
			c.fail(at, "duplicate-name", fmt.Sprintf("name %q is used twice in this list", name), "")
		}
	}
}

func (c *checker) from(f *Flow) []Dataset {
	path := f.Path + "/from"
	if len(f.From) == 0 && c.root.At(path).Kind() == yamltree.List {
		c.fail(path, "bad-value", "the list is empty, and a flow reads at least one dataset", "")
	}
	var from []Dataset
	for i, text := range f.From {
		at := fmt.Sprintf("%s/%d", path, i)
		d, err := ParsePattern(text)
		switch {
		case text == "": // decoding reported it
		case err != nil:
			c.err(at, err)
		case slices.Index(f.From, text) < i:
			c.fail(at, "duplicate-name", fmt.Sprintf("dataset %q is listed twice", text), "")
		default:
			from = append(from, d)
		}
	}
	return from
}

func (c *checker) as(f *Flow, from []Dataset) {
	names := map[string]bool{}
	for _, dataset := range sortedKeys(f.As) {
		at := yamltree.Join(f.Path+"/as", dataset)
		name := f.As[dataset]
		d, err := ParseDataset(dataset)
		switch {
		case err != nil:
			c.err(at, err)
		case !slices.ContainsFunc(from, func(p Dataset) bool { return p.Matches(d) }):
			c.fail(at, "bad-value", fmt.Sprintf("dataset %q is not among the inputs", dataset), yamltree.Suggest(dataset, f.From))
		}
		if !nameForm.MatchString(name) {
			c.fail(at, "bad-value", fmt.Sprintf("%q is not a name", name), nameHint)
		}
		if names[name] {
			c.fail(at, "duplicate-name", fmt.Sprintf("two inputs are named %q", name), "")
		}
		names[name] = true
	}
}

func (c *checker) target(f *Flow, from []Dataset) {
	sink := c.present(f.Path + "/sink")
	switch {
	case c.present(f.Path+"/to") && sink:
		c.fail(f.Path+"/sink", "both-given", "to and sink are both given, and one is expected", "write two flows to write to both")
		return
	case sink:
		return
	case !c.present(f.Path + "/to"):
		c.fail(f.Path, "missing-key", "neither to nor sink is given", "")
		return
	}
	form := datasetForm{zones: []string{Processing, Curated, Serving}, placeholder: "name"}
	to, err := parseDataset(f.To, form)
	switch {
	case f.To == "": // decoding reported it
	case err != nil:
		c.err(f.Path+"/to", err)
	case slices.ContainsFunc(from, func(d Dataset) bool { return slices.Contains(targets(to, from), d) }):
		c.fail(f.Path+"/to", "bad-value", fmt.Sprintf("the flow writes %q, which it reads", f.To), "")
	}
}

func (c *checker) write(f *Flow) {
	keyed := f.Write.Mode == "upsert" || f.Write.Mode == "history"
	path := f.Path + "/write"
	switch { // a key that is left out is that of each stream
	case f.Write.Mode == "history" && f.Sink != nil:
		c.fail(path+"/mode", "bad-value", "history is kept in datasets, not by sinks",
			"write it to a dataset, and from there to the sink with a flow of its own and mode: upsert")
	case !keyed && len(f.Write.Key) > 0:
		c.faults = append(c.faults, c.root.Fault(path+"/key", "unused", fmt.Sprintf("%s ignores the key", f.Write.Mode)).AsWarning())
	}
	for i, column := range f.Write.Key {
		if slices.Index(f.Write.Key, column) < i {
			c.fail(fmt.Sprintf("%s/key/%d", path, i), "duplicate-name", fmt.Sprintf("column %q is listed twice", column), "")
		}
	}
}

func (c *checker) use(u *Use) {
	for i, name := range u.Env {
		at := fmt.Sprintf("%s/env/%d", u.Path, i)
		if !envName.MatchString(name) && c.root.At(at).Kind() == yamltree.Text {
			c.fail(at, "bad-value", fmt.Sprintf("%q is not the name of an environment variable", name),
				"list names only; values come from the environment")
		}
	}
	c.faults = append(c.faults, checkReferences(u.Config)...)
}

// targets lists the datasets that a flow writes, as far as the files tell: a template over patterns is
// known only when the inputs are.
func targets(to Dataset, from []Dataset) []Dataset {
	if !strings.Contains(to.String(), "{name}") {
		return []Dataset{to}
	}
	var all []Dataset
	for _, d := range from {
		if !d.IsPattern() {
			all = append(all, to.Expand("name", d.Name))
		}
	}
	return all
}

// checkWriters faults datasets that several flows write, one of them in a mode that needs the dataset
// for itself.
func checkWriters(pipelines []*Pipeline) []Fault {
	type writer struct {
		pipeline *Pipeline
		flow     *Flow
	}
	writers := map[Dataset]writer{}
	var faults []Fault
	for _, p := range pipelines {
		for i := range p.Flows {
			f := &p.Flows[i]
			for _, d := range f.targets() {
				first, taken := writers[d]
				if !taken {
					writers[d] = writer{p, f}
					continue
				}
				mode := cmp.Or(exclusive(f), exclusive(first.flow))
				if mode == "" {
					continue
				}
				fault := p.Node.Fault(f.Path+"/to", "two-writers", fmt.Sprintf("a second flow writes %s, and %s needs it for itself", d, mode))
				faults = append(faults, fault.WithHint("the first is at "+first.pipeline.Node.Locate(first.flow.Path+"/to").String()))
			}
		}
	}
	return faults
}

func (f *Flow) targets() []Dataset {
	to, err := parseDataset(f.To, datasetForm{zones: Zones(), placeholder: "name"})
	if err != nil {
		return nil
	}
	var from []Dataset
	var broken error
	for _, text := range f.From {
		d, err := ParsePattern(text)
		broken = errors.Join(broken, err)
		from = append(from, d)
	}
	if broken != nil {
		return nil
	}
	return targets(to, from)
}

// exclusive is the mode of a flow that must be the only writer of its dataset.
func exclusive(f *Flow) string {
	if f.Write.Mode == "append" {
		return ""
	}
	return f.Write.Mode
}
