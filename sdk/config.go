package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// Secret is a setting that must not be shown: it prints as ***, and the operator is warned about a plain one in a file.
type Secret string

// String hides the value.
func (Secret) String() string { return "***" }

// GoString hides the value.
func (Secret) GoString() string { return "***" }

// Reveal gives the value.
func (s Secret) Reveal() string { return string(s) }

// JSONSchema marks the field as secret.
func (Secret) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Extras: map[string]any{"x-secret": true}}
}

// Duration is a setting such as 500ms, 5s or 1h30m.
type Duration time.Duration

// JSONSchema describes the text form.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`, Examples: []any{"500ms", "5s", "1h30m"}}
}

// UnmarshalJSON reads the text form.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("duration %s: expected text such as \"5s\"", b)
	}
	value, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("duration %q: expected a number with a unit (ns, us, ms, s, m, h)", text)
	}
	*d = Duration(value)
	return nil
}

// Size is a number of bytes, written as a number or as text such as 64KiB, 256MiB or 1GB.
type Size int64

var sizePattern = regexp.MustCompile(`^([0-9]+)\s*([KMGT]i?)?B?$`)

// JSONSchema describes both forms.
func (Size) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Type: "integer", Minimum: "0"},
		{Type: "string", Pattern: sizePattern.String(), Examples: []any{"64KiB", "256MiB"}},
	}}
}

// UnmarshalJSON reads both forms.
func (s *Size) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("size %q: expected bytes, or a number with KiB, MiB, GiB, kB, MB or GB", text)
	}
	value, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return fmt.Errorf("size %q: too large", text)
	}
	base := int64(1000)
	if strings.HasSuffix(m[2], "i") {
		base = 1024
	}
	for range strings.Index(" KMGT", strings.TrimSuffix(m[2]+" ", "i ")[:1]) {
		value *= base
	}
	*s = Size(value)
	return nil
}

// configSchema reflects the settings type into a JSON Schema.
func configSchema(t reflect.Type) (*jsonschema.Schema, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("settings must be a struct, not %s", t)
	}
	reflector := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true,
	}
	schema := reflector.ReflectFromType(t)
	schema.ID = ""
	return schema, nil
}

// decodeConfig fills settings from JSON: defaults of the schema first, unknown keys refused.
func decodeConfig(raw []byte, schema *jsonschema.Schema, into any) error {
	var value any = map[string]any{}
	if len(bytes.TrimSpace(raw)) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			return ConfigError("", "the settings are not JSON: %v", err)
		}
	}
	object, ok := value.(map[string]any)
	if !ok {
		return ConfigError("", "the settings must be a mapping, not %s", raw)
	}
	if err := applyDefaults(object, schema, ""); err != nil {
		return err
	}
	complete, err := json.Marshal(object)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(complete))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return ConfigError("", "%v", err)
	}
	return nil
}

// applyDefaults sets missing fields and reports unknown and missing ones by their path.
func applyDefaults(object map[string]any, schema *jsonschema.Schema, path string) error {
	if schema.Properties == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, known := schema.Properties.Get(name); !known {
			return ConfigError(path+"/"+name, "unknown setting, allowed are %s", strings.Join(propertyNames(schema), ", "))
		}
	}
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		field, there := object[pair.Key]
		switch {
		case !there && pair.Value.Default != nil:
			object[pair.Key] = pair.Value.Default
		case !there && slices.Contains(schema.Required, pair.Key):
			return ConfigError(path+"/"+pair.Key, "is required")
		}
		if err := nestedDefaults(field, pair.Value, path+"/"+pair.Key); err != nil {
			return err
		}
	}
	return nil
}

func nestedDefaults(field any, schema *jsonschema.Schema, path string) error {
	switch field := field.(type) {
	case map[string]any:
		return applyDefaults(field, schema, path)
	case []any:
		for i, item := range field {
			object, ok := item.(map[string]any)
			if !ok || schema.Items == nil {
				continue
			}
			if err := applyDefaults(object, schema.Items, path+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func propertyNames(schema *jsonschema.Schema) []string {
	var names []string
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		names = append(names, pair.Key)
	}
	return names
}
