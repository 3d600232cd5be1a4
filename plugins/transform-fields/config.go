package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/qanat-data/qanat/sdk"
)

// Config is what operators write.
type Config struct {
	Steps []Step `json:"steps" jsonschema:"required,minItems=1" jsonschema_description:"What to do, in order; each step has exactly one action."`
}

// Step is one action.
type Step struct {
	Pick    []string            `json:"pick,omitempty" jsonschema:"minItems=1" jsonschema_description:"Keep these columns, in this order, and no others."`
	Drop    []string            `json:"drop,omitempty" jsonschema:"minItems=1" jsonschema_description:"Leave these columns out."`
	Rename  map[string]string   `json:"rename,omitempty" jsonschema_description:"Old name to new name, all at once."`
	Copy    map[string]string   `json:"copy,omitempty" jsonschema_description:"New name to the column that is copied."`
	Cast    map[string]string   `json:"cast,omitempty" jsonschema_description:"Column to its new type: bool, int32, int64, float32, float64, string, binary, date, timestamp, timestamp_tz, decimal(p,s) or json."`
	Add     map[string]Constant `json:"add,omitempty" jsonschema_description:"New column to a value, or to {value, type}."`
	Flatten *Flatten            `json:"flatten,omitempty" jsonschema_description:"Put a struct column's fields in its place."`
}

// Flatten says how a struct becomes columns.
type Flatten struct {
	Column    string `json:"column" jsonschema:"required,minLength=1" jsonschema_description:"The struct column."`
	Separator string `json:"separator" jsonschema:"default=_" jsonschema_description:"Between the column's name and the field's."`
}

// Constant is the value of an added column: a plain value, or a value with a type.
type Constant struct {
	Value json.RawMessage
	Type  string // empty takes the value's own: string, bool, int64, float64
}

// JSONSchema describes both forms.
func (Constant) JSONSchema() *jsonschema.Schema {
	properties := jsonschema.NewProperties()
	properties.Set("value", jsonschema.TrueSchema)
	properties.Set("type", &jsonschema.Schema{Type: "string"})
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Type: "string"}, {Type: "number"}, {Type: "boolean"},
		{Type: "object", Properties: properties, Required: []string{"value"}, AdditionalProperties: jsonschema.FalseSchema},
	}}
}

// UnmarshalJSON reads both forms.
func (c *Constant) UnmarshalJSON(raw []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		c.Value = bytes.Clone(raw)
		return nil
	}
	var long struct {
		Value json.RawMessage `json:"value"`
		Type  string          `json:"type"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&long); err != nil {
		return fmt.Errorf("a column to add: expected a value, or {value, type}: %w", err)
	}
	c.Value, c.Type = long.Value, long.Type
	return nil
}

// Validate lists every fault of the settings.
func (c Config) Validate() error {
	if len(c.Steps) == 0 {
		return sdk.ConfigError("/steps", "no steps, expected at least one")
	}
	var faults []error
	for i, step := range c.Steps {
		if _, err := step.compile("/steps/" + strconv.Itoa(i)); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// actions are the names of the actions that the step has.
func (s Step) actions() []string {
	var names []string
	for _, action := range []struct {
		name  string
		there bool
	}{
		{"pick", s.Pick != nil}, {"drop", s.Drop != nil}, {"rename", s.Rename != nil}, {"copy", s.Copy != nil},
		{"cast", s.Cast != nil}, {"add", s.Add != nil}, {"flatten", s.Flatten != nil},
	} {
		if action.there {
			names = append(names, action.name)
		}
	}
	return names
}

// compile checks one step. The path leads to its settings.
func (s Step) compile(path string) (step, error) {
	switch names := s.actions(); len(names) {
	case 0:
		return nil, sdk.ConfigError(path, "no action, expected one of pick, drop, rename, copy, cast, add, flatten")
	case 1:
		path += "/" + names[0]
	default:
		return nil, sdk.ConfigError(path, "%s in one step, expected one action per step", strings.Join(names, " and "))
	}
	switch {
	case s.Pick != nil:
		return pick{path: path, names: s.Pick}, checkList(path, s.Pick)
	case s.Drop != nil:
		return drop{path: path, names: s.Drop}, checkList(path, s.Drop)
	case s.Rename != nil:
		return rename{path: path, names: s.Rename}, checkNames(path, s.Rename)
	case s.Copy != nil:
		return duplicate{path: path, from: s.Copy}, checkNames(path, s.Copy)
	case s.Cast != nil:
		return compileCast(path, s.Cast)
	case s.Add != nil:
		return compileAdd(path, s.Add)
	}
	if s.Flatten.Column == "" {
		return nil, sdk.ConfigError(path+"/column", "is required")
	}
	return flatten{path: path, Flatten: *s.Flatten}, nil
}

func checkList(path string, names []string) error {
	if len(names) == 0 {
		return sdk.ConfigError(path, "no columns, expected at least one")
	}
	seen := map[string]bool{}
	for i, name := range names {
		if seen[name] {
			return sdk.ConfigError(path+"/"+strconv.Itoa(i), "column %q is listed twice", name)
		}
		seen[name] = true
	}
	return nil
}

// checkNames checks that new columns have names, and that there are any.
func checkNames(path string, names map[string]string) error {
	if len(names) == 0 {
		return sdk.ConfigError(path, "no columns, expected at least one")
	}
	for _, key := range sortedKeys(names) {
		if key == "" || names[key] == "" {
			return sdk.ConfigError(pointer(path, key), "an empty name")
		}
	}
	return nil
}

// pointer extends a JSON pointer (RFC 6901) by a key.
func pointer(path, key string) string {
	return path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
