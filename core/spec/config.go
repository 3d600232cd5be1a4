package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// ValidateConfig checks a config block against the JSON Schema of its plugin, before references are
// resolved: a value that holds a reference is taken to fit wherever text, a number or true/false would.
// A plain literal in a field marked "x-secret": true is a warning.
func ValidateConfig(config *Node, schema []byte) []Fault {
	c, fault := compile(config, schema)
	if fault != nil {
		return []Fault{*fault}
	}
	c.open = hasReference
	faults := append(c.validate(), checkReferences(config)...)
	return yamltree.Sort(faults)
}

// Config resolves a config block and checks the result against the plugin's schema. A value that comes
// from a reference becomes a number or true/false where the schema asks for one. The result is JSON that
// holds secrets.
func (r *Resolver) Config(config *Node, schema []byte) ([]byte, []Fault) {
	resolved, faults := r.Resolve(config)
	if len(faults) > 0 {
		return nil, faults
	}
	c, fault := compile(resolved, schema)
	if fault != nil {
		return nil, []Fault{*fault}
	}
	c.secret = func(path string) bool { return hasReference(config.At(path)) }
	c.coerce()
	if faults := c.validate(); yamltree.HasErrors(faults) {
		return nil, faults
	}
	data, err := json.Marshal(c.value)
	if err != nil {
		return nil, []Fault{config.Fault("", "bad-value", "can't be written as JSON: "+err.Error())}
	}
	return data, nil
}

// configCheck is the validation of one config block.
type configCheck struct {
	config   *Node
	value    any
	document any // the schema as JSON
	schema   *jsonschema.Schema
	marked   *[]string // pointers of the values whose schema says x-secret

	open   func(*Node) bool       // values that aren't known yet
	secret func(path string) bool // values that messages must not quote
}

const schemaURL = "schema:///config"

func compile(config *Node, schema []byte) (*configCheck, *Fault) {
	c := &configCheck{
		config: config, value: config.Value(), marked: new([]string),
		open: func(*Node) bool { return false }, secret: func(string) bool { return false },
	}
	if c.value == nil {
		c.value = map[string]any{}
	}
	broken := func(err error) (*configCheck, *Fault) {
		f := config.Fault("", "bad-schema", "the plugin's config schema can't be used: "+err.Error())
		return nil, &f
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return broken(err)
	}
	c.document = document
	if err := checkShape(document, 0); err != nil {
		return broken(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	compiler.RegisterVocabulary(secretVocabulary(c.marked))
	compiler.AssertVocabs()
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return broken(err)
	}
	if c.schema, err = compiler.Compile(schemaURL); err != nil {
		return broken(err)
	}
	if err := checkEffort(c.schema, c.value); err != nil {
		return broken(err)
	}
	return c, nil
}

// noLoader refuses references out of a schema: a plugin's schema must not make the host read files.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %q, outside of itself", url)
}

// secretVocabulary notes where values are whose schema says x-secret.
func secretVocabulary(found *[]string) *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{
		URL: "urn:qanat:secret",
		Compile: func(_ *jsonschema.CompilerContext, schema map[string]any) (jsonschema.SchemaExt, error) {
			if schema["x-secret"] != true {
				return nil, nil
			}
			return secretMark{found}, nil
		},
	}
}

type secretMark struct{ found *[]string }

func (m secretMark) Validate(ctx *jsonschema.ValidatorContext, _ any) {
	*m.found = append(*m.found, yamltree.Join("", ctx.ValueLocation()...))
}

func (c *configCheck) validate() []Fault {
	*c.marked = nil
	err := c.schema.Validate(c.value)
	warnings := c.plainSecrets()
	return append(c.faults(err), warnings...)
}

// plainSecrets warns of literals in secret fields, and conceals them before any fault can quote them.
func (c *configCheck) plainSecrets() []Fault {
	paths := slices.DeleteFunc(slices.Clone(*c.marked), c.secret)
	return plainSecrets(c.config, paths...)
}

// plainSecrets warns of every literal at and below the paths, once all of them are concealed.
func plainSecrets(root *Node, paths ...string) []Fault {
	var literals []string
	for _, path := range paths {
		root.At(path).Rewrite(func(below string, scalar *Node) *Node {
			literal := scalar.Kind() == yamltree.Text || scalar.Kind() == yamltree.Number
			if found, err := parts(scalar.Text()); literal && scalar.Text() != "" && len(found) == 1 && err == nil {
				scalar.Conceal()
				literals = append(literals, path+below)
			}
			return scalar
		})
	}
	faults := make([]Fault, 0, len(literals))
	for _, path := range literals {
		steps := yamltree.Split(path)
		name := "this value"
		if len(steps) > 0 {
			name = strconv.Quote(steps[len(steps)-1])
		}
		f := root.Fault(path, "plain-secret", name+" is secret and stands in the file as plain text").AsWarning()
		faults = append(faults, f.WithHint("refer to it with ${env:NAME} or ${file:path}"))
	}
	return faults
}

func (c *configCheck) faults(err error) []Fault {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	var faults []Fault
	for _, leaf := range c.leaves(invalid) {
		faults = append(faults, c.explain(leaf)...)
	}
	return faults
}

// leaves are the errors that a person can act on. Of alternatives, those of the branch that comes
// nearest count.
func (c *configCheck) leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch k := e.ErrorKind.(type) {
	case *kind.PropertyNames:
		return []*jsonschema.ValidationError{e}
	case *kind.AnyOf:
		return c.nearest(e)
	case *kind.OneOf:
		if len(k.Subschemas) == 0 {
			return c.nearest(e)
		}
	}
	if len(e.Causes) == 0 {
		if c.excused(e) {
			return nil
		}
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		all = append(all, c.leaves(cause)...)
	}
	return all
}

// excused tells whether an error may vanish once a reference is resolved.
func (c *configCheck) excused(e *jsonschema.ValidationError) bool {
	if !c.open(c.config.At(yamltree.Join("", e.InstanceLocation...))) {
		return false
	}
	mismatch, ok := e.ErrorKind.(*kind.Type)
	return !ok || slices.ContainsFunc(mismatch.Want, func(want string) bool { return want != "object" && want != "array" })
}

func (c *configCheck) nearest(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	branches := make([][]*jsonschema.ValidationError, 0, len(e.Causes))
	var wanted []string
	for _, cause := range e.Causes {
		leaves := c.leaves(cause)
		if len(leaves) == 0 {
			return nil
		}
		branches = append(branches, leaves)
		if mismatch, ok := leaves[0].ErrorKind.(*kind.Type); ok && len(leaves[0].InstanceLocation) == len(e.InstanceLocation) {
			wanted = append(wanted, mismatch.Want...)
		}
	}
	if len(branches) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	best := slices.MinFunc(branches, func(a, b []*jsonschema.ValidationError) int { return c.misfit(e, a) - c.misfit(e, b) })
	if mismatch, ok := best[0].ErrorKind.(*kind.Type); ok && len(wanted) > 1 {
		union := *best[0]
		union.ErrorKind = &kind.Type{Got: mismatch.Got, Want: wanted}
		return []*jsonschema.ValidationError{&union}
	}
	return best
}

// misfit grows with how far a branch of alternatives is from what was written: the wrong type is
// farthest, then a wrong choice, which tells alternatives apart, then anything else.
func (c *configCheck) misfit(e *jsonschema.ValidationError, leaves []*jsonschema.ValidationError) int {
	sum := 0
	for _, leaf := range leaves {
		switch leaf.ErrorKind.(type) {
		case *kind.Type:
			if len(leaf.InstanceLocation) == len(e.InstanceLocation) {
				sum += 1000
			}
		case *kind.Const, *kind.Enum:
			sum += 100
		}
		sum++
	}
	return sum
}

// coerce turns resolved text into what the schema asks for at its place.
func (c *configCheck) coerce() {
	var invalid *jsonschema.ValidationError
	if !errors.As(c.schema.Validate(c.value), &invalid) {
		return
	}
	for _, leaf := range c.leaves(invalid) {
		mismatch, ok := leaf.ErrorKind.(*kind.Type)
		path := yamltree.Join("", leaf.InstanceLocation...)
		if !ok || !c.secret(path) {
			continue
		}
		if value, ok := coerced(c.config.At(path).Text(), mismatch.Want); ok {
			set(c.value, leaf.InstanceLocation, value)
		}
	}
}

func coerced(text string, want []string) (any, bool) {
	text = strings.TrimSpace(text)
	for _, w := range want {
		_, err := strconv.ParseFloat(text, 64)
		switch {
		case (w == "integer" || w == "number") && err == nil && json.Valid([]byte(text)):
			return json.Number(text), true
		case w == "boolean" && (text == "true" || text == "false"):
			return text == "true", true
		}
	}
	return nil, false
}

// set puts a value at a place that exists.
func set(into any, location []string, value any) {
	for i, step := range location {
		last := i == len(location)-1
		switch v := into.(type) {
		case map[string]any:
			if last {
				v[step] = value
			}
			into = v[step]
		case []any:
			index, err := strconv.Atoi(step)
			if err != nil || index >= len(v) {
				return
			}
			if last {
				v[index] = value
			}
			into = v[index]
		}
	}
}
