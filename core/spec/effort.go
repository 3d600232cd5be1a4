package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxEffort bounds how many times a part of a value is held against a part of a schema. Schemas come from plugins, and one of a few
// hundred bytes can ask for more steps than there is time: parts that refer to the next part twice, forty times in a row.
const maxEffort = 1 << 18

// checkEffort refuses a schema whose validation would take too long. The validator takes no context, so this is found out before.
func checkEffort(schema *jsonschema.Schema, value any) error {
	e := &effort{known: map[visit]int{}}
	if e.of(schema, value, "", 0) > maxEffort {
		return fmt.Errorf("to check these settings takes more than %d steps", maxEffort)
	}
	return e.err
}

// effort counts steps as if every branch of the schema were taken.
type effort struct {
	known map[visit]int
	err   error
}

// visit is a part of the schema on a part of the value, which is known by its path.
type visit struct {
	schema *jsonschema.Schema
	path   string
}

var (
	errDynamic = errors.New("$dynamicRef and $recursiveRef are not allowed")
	errNested  = errors.New("it is nested too deeply")
)

const maxNesting = 2000

func (e *effort) of(s *jsonschema.Schema, value any, path string, depth int) int {
	switch {
	case s == nil || e.err != nil:
		return 0
	case s.DynamicRef != nil || s.RecursiveRef != nil:
		e.err = errDynamic
		return 0
	case depth > maxNesting:
		e.err = errNested
		return 0
	}
	at := visit{s, path}
	if n, ok := e.known[at]; ok {
		return n
	}
	e.known[at] = 0 // a circle, which the validator finds
	n := 1
	for _, part := range inPlace(s) {
		n = min(n+e.of(part, value, path, depth+1), maxEffort+1)
	}
	switch value := value.(type) {
	case map[string]any:
		for name, below := range value {
			for _, part := range ofMember(s, name) {
				n = min(n+e.of(part, below, path+"/"+name, depth+1), maxEffort+1)
			}
			n = min(n+e.of(s.PropertyNames, name, path+"/"+name+"/", depth+1), maxEffort+1)
		}
	case []any:
		for i, below := range value {
			for _, part := range ofItem(s) {
				n = min(n+e.of(part, below, fmt.Sprintf("%s/%d", path, i), depth+1), maxEffort+1)
			}
		}
	}
	e.known[at] = n
	return n
}

// inPlace are the parts of a schema that look at the same value.
func inPlace(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := []*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else, s.ContentSchema}
	parts = append(parts, s.AllOf...)
	parts = append(parts, s.AnyOf...)
	parts = append(parts, s.OneOf...)
	for _, part := range s.DependentSchemas {
		parts = append(parts, part)
	}
	for _, part := range s.Dependencies {
		parts = append(parts, schemasIn(part)...)
	}
	return parts
}

// ofMember are the parts that may look at a member of an object.
func ofMember(s *jsonschema.Schema, name string) []*jsonschema.Schema {
	parts := append(schemasIn(s.AdditionalProperties), s.Properties[name], s.UnevaluatedProperties)
	for _, part := range s.PatternProperties {
		parts = append(parts, part)
	}
	return parts
}

// ofItem are the parts that may look at an item of a list.
func ofItem(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := append(schemasIn(s.Items), schemasIn(s.AdditionalItems)...)
	parts = append(parts, s.PrefixItems...)
	return append(parts, s.Items2020, s.Contains, s.UnevaluatedItems)
}

func schemasIn(v any) []*jsonschema.Schema {
	switch v := v.(type) {
	case *jsonschema.Schema:
		return []*jsonschema.Schema{v}
	case []*jsonschema.Schema:
		return append([]*jsonschema.Schema(nil), v...)
	}
	return nil
}

// What a schema may have: the validator's work grows with the square of the depth, and it writes numbers out to their last digit. The
// limits on settings are those of package yamltree.
const (
	maxSchemaDepth  = 200
	maxNumberLength = 400
	maxExponent     = 1000
)

// checkShape refuses what the validator can't take in.
func checkShape(v any, depth int) error {
	if depth > maxSchemaDepth {
		return fmt.Errorf("it is nested more than %d deep", maxSchemaDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, below := range v {
			if err := checkShape(below, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, below := range v {
			if err := checkShape(below, depth+1); err != nil {
				return err
			}
		}
	case json.Number:
		return checkNumber(string(v))
	}
	return nil
}

func checkNumber(text string) error {
	_, exponent, scientific := strings.Cut(strings.ToLower(text), "e")
	if n, err := strconv.Atoi(exponent); len(text) > maxNumberLength || scientific && (err != nil || n > maxExponent || n < -maxExponent) {
		return fmt.Errorf("the number %.40s is too long or too large", text)
	}
	return nil
}
