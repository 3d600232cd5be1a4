package spec

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// explain says in words what the schema holds against a value.
func (c *configCheck) explain(e *jsonschema.ValidationError) []Fault {
	path := yamltree.Join("", e.InstanceLocation...)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		return c.unknownKeys(path, k.Properties, e.SchemaURL)
	case *kind.Required:
		return c.missingKeys(path, k.Missing, e.SchemaURL)
	case *kind.DependentRequired:
		return []Fault{c.config.KeyFault(path, k.Prop, "missing-key", fmt.Sprintf("key %q needs %s beside it", k.Prop, quotedList(k.Missing)))}
	case *kind.PropertyNames:
		path = mapWith(c.config, k.Property, "", len(e.InstanceLocation))
		return []Fault{c.config.KeyFault(path, k.Property, "bad-key", fmt.Sprintf("%q is not allowed as a key here", k.Property))}
	case *kind.Type:
		return []Fault{c.wrongType(path, k)}
	case *kind.Enum:
		return []Fault{c.wrongChoice(path, k.Want)}
	case *kind.Const:
		return []Fault{c.wrongChoice(path, []any{k.Want})}
	case *kind.FalseSchema:
		return []Fault{c.config.Fault(path, "unknown-key", "nothing is allowed here")}
	}
	return []Fault{c.config.Fault(path, "bad-value", c.reason(path, e.ErrorKind))}
}

// mapWith is the path of the first map at a depth that has a key. The validator's location of a bad key
// has the right length only: its steps share memory with those of values visited later.
func mapWith(n *Node, key, path string, depth int) string {
	if depth == 0 && n.Field(key) != nil {
		return path
	}
	for _, e := range n.Entries() {
		if found := mapWith(e.Value, key, yamltree.Join(path, e.Key), depth-1); found != "" {
			return found
		}
	}
	for i, item := range n.Items() {
		if found := mapWith(item, key, yamltree.Join(path, strconv.Itoa(i)), depth-1); found != "" {
			return found
		}
	}
	return ""
}

func (c *configCheck) unknownKeys(path string, keys []string, at string) []Fault {
	properties, _ := c.schemaAt(at)["properties"].(map[string]any)
	var faults []Fault
	slices.Sort(keys)
	for _, key := range keys {
		f := c.config.KeyFault(path, key, "unknown-key", fmt.Sprintf("unknown key %q", key))
		faults = append(faults, f.WithHint(yamltree.Suggest(key, keysOf(properties))))
	}
	return faults
}

func keysOf(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

func (c *configCheck) missingKeys(path string, keys []string, at string) []Fault {
	properties, _ := c.schemaAt(at)["properties"].(map[string]any)
	var faults []Fault
	for _, key := range keys {
		f := c.config.Fault(path, "missing-key", fmt.Sprintf("key %q is missing", key))
		property, _ := properties[key].(map[string]any)
		if description, ok := property["description"].(string); ok {
			f.Hint = key + ": " + description
		}
		faults = append(faults, f)
	}
	return faults
}

// schemaAt is the part of the plugin's schema that an error speaks of.
func (c *configCheck) schemaAt(at string) map[string]any {
	_, fragment, _ := strings.Cut(at, "#")
	if plain, err := url.PathUnescape(fragment); err == nil {
		fragment = plain
	}
	found := c.document
	for _, step := range yamltree.Split(fragment) {
		switch v := found.(type) {
		case map[string]any:
			found = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			found = v[i]
		default:
			return nil
		}
	}
	m, _ := found.(map[string]any)
	return m
}

func (c *configCheck) wrongType(path string, k *kind.Type) Fault {
	names := map[string]string{
		"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
		"array": "a list", "object": "a map", "null": "nothing",
	}
	var wanted []string
	for _, want := range k.Want {
		if name := names[want]; !slices.Contains(wanted, name) && (want != "null" || len(k.Want) == 1) {
			wanted = append(wanted, name)
		}
	}
	n := c.config.At(path)
	f := c.config.Fault(path, "wrong-type", fmt.Sprintf("expected %s, found %s", strings.Join(wanted, " or "), n.Kind()))
	switch {
	case slices.Contains(k.Want, "array") && n.Kind() != yamltree.Map && !c.secret(path):
		f.Hint = "a list is written [a, b]"
	case slices.Contains(k.Want, "string") && (n.Kind() == yamltree.Number || n.Kind() == yamltree.Bool):
		f.Hint = "put it in quotes"
	}
	return f
}

func (c *configCheck) wrongChoice(path string, want []any) Fault {
	var words []string
	for _, w := range want {
		if text, ok := w.(string); ok {
			words = append(words, text)
			continue
		}
		data, err := json.Marshal(w)
		if err != nil {
			continue
		}
		words = append(words, string(data))
	}
	relation := "is not one of"
	if len(words) == 1 {
		relation = "is not allowed, expected"
	}
	f := c.config.Fault(path, "bad-value", fmt.Sprintf("%s %s %s", c.quote(path), relation, strings.Join(words, ", ")))
	if !c.concealed(path) {
		f.Hint = yamltree.Near(c.config.At(path).Text(), words)
	}
	return f
}

// quote is the value at a path for a message, unless it is secret.
func (c *configCheck) quote(path string) string {
	n := c.config.At(path)
	if c.concealed(path) || n.Kind() == yamltree.List || n.Kind() == yamltree.Map {
		return "the value"
	}
	if n.Kind() != yamltree.Text {
		return n.Text()
	}
	return strconv.Quote(n.Text())
}

func (c *configCheck) concealed(path string) bool {
	if c.secret(path) || slices.Contains(*c.marked, path) {
		return true
	}
	parts := yamltree.Split(path)
	return len(parts) > 0 && yamltree.SecretName(parts[len(parts)-1])
}

// reason explains the rules that speak of a single value.
func (c *configCheck) reason(path string, k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Pattern:
		return fmt.Sprintf("%s does not match the pattern %s", c.quote(path), k.Want)
	case *kind.Format:
		return fmt.Sprintf("%s is not a valid %s", c.quote(path), k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("the text must have %d characters or more, it has %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("the text must have %d characters or fewer, it has %d", k.Want, k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("the list must have %d items or more, it has %d", k.Want, k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("the list must have %d items or fewer, it has %d", k.Want, k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("items %d and %d of the list are equal", k.Duplicates[0]+1, k.Duplicates[1]+1)
	case *kind.MinProperties:
		return fmt.Sprintf("the map must have %d keys or more, it has %d", k.Want, k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("the map must have %d keys or fewer, it has %d", k.Want, k.Got)
	case *kind.OneOf:
		return "the value fits more than one of the allowed forms, and exactly one is expected"
	case *kind.Not:
		return "the value has a form that is not allowed"
	}
	return c.bound(path, k)
}

func (c *configCheck) bound(path string, k jsonschema.ErrorKind) string {
	say := func(relation string, want *big.Rat) string {
		return fmt.Sprintf("%s must be %s %s", c.quote(path), relation, want.RatString())
	}
	switch k := k.(type) {
	case *kind.Minimum:
		return say("at least", k.Want)
	case *kind.Maximum:
		return say("at most", k.Want)
	case *kind.ExclusiveMinimum:
		return say("above", k.Want)
	case *kind.ExclusiveMaximum:
		return say("below", k.Want)
	case *kind.MultipleOf:
		return say("a multiple of", k.Want)
	}
	return fmt.Sprintf("the value does not fit the plugin's schema (rule %s)", strings.Join(k.KeywordPath(), "/"))
}

func quotedList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return strings.Join(quoted, ", ")
}
