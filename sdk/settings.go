package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

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
	sizeDefaults(schema, t)
	return schema, nil
}

// sizeDefaults sets the defaults of sizes, which the reflector leaves out because they may be numbers or texts.
func sizeDefaults(schema *jsonschema.Schema, t reflect.Type) {
	schema, t = innermost(schema, t)
	if schema == nil || schema.Properties == nil {
		return
	}
	fields := settingFields(t)
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		field := fields[pair.Key]
		if field.Type == nil {
			continue
		}
		if pair.Value.Default == nil && pair.Value.OneOf != nil {
			for part := range strings.SplitSeq(field.Tag.Get("jsonschema"), ",") {
				if value, ok := strings.CutPrefix(part, "default="); ok {
					pair.Value.Default = value
				}
			}
		}
		sizeDefaults(pair.Value, field.Type)
	}
}

// innermost goes through pointers, lists and maps to what they hold.
func innermost(schema *jsonschema.Schema, t reflect.Type) (*jsonschema.Schema, reflect.Type) {
	for schema != nil {
		switch t.Kind() {
		case reflect.Pointer:
		case reflect.Slice, reflect.Array:
			schema = schema.Items
		case reflect.Map:
			schema = schema.AdditionalProperties
		default:
			return schema, t
		}
		t = t.Elem()
	}
	return nil, t
}

// settingFields are a struct's fields by the names that operators write.
func settingFields(t reflect.Type) map[string]reflect.StructField {
	fields := map[string]reflect.StructField{}
	if t.Kind() != reflect.Struct {
		return fields
	}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			name = field.Name
		}
		fields[name] = field
	}
	return fields
}

// decodeConfig fills settings from JSON: defaults of the schema first, unknown keys refused. It reports every fault that it
// finds.
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
		return ConfigError("", "the settings must be a mapping")
	}
	d := &defaulter{}
	d.object(object, schema, reflect.TypeOf(into).Elem(), "")
	if err := errors.Join(d.faults...); err != nil {
		return err
	}
	complete, err := json.Marshal(object)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(complete))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return decodeFault(err)
	}
	return nil
}

// decodeFault blames the setting that has a wrong type, without its value, which may be a secret.
func decodeFault(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return ConfigError("", "%v", err)
	}
	path := ""
	if wrong.Field != "" {
		path = "/" + strings.ReplaceAll(wrong.Field, ".", "/")
	}
	kind, _, _ := strings.Cut(wrong.Value, " ")
	return ConfigError(path, "is a %s, expected %s", kind, wrong.Type)
}

// defaulter sets missing settings and gathers unknown and missing ones.
type defaulter struct{ faults []error }

func (d *defaulter) fault(path, name, format string, args ...any) {
	d.faults = append(d.faults, ConfigError(pointer(path, name), format, args...))
}

// pointer appends a name to a JSON pointer (RFC 6901).
func pointer(path, name string) string {
	return path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func (d *defaulter) object(object map[string]any, schema *jsonschema.Schema, t reflect.Type, path string) {
	if schema.Properties == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, known := schema.Properties.Get(name); !known {
			d.fault(path, name, "unknown setting, allowed are %s", strings.Join(propertyNames(schema), ", "))
		}
	}
	fields := settingFields(t)
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		value, there := object[pair.Key]
		field := fields[pair.Key].Type
		switch {
		case there && field != nil:
			d.value(value, pair.Value, field, pointer(path, pair.Key))
		case there:
		case pair.Value.Default != nil:
			object[pair.Key] = pair.Value.Default
		case slices.Contains(schema.Required, pair.Key):
			d.fault(path, pair.Key, "is required")
		case field != nil && field.Kind() == reflect.Struct && pair.Value.Properties != nil:
			absent(object, pair.Key, pair.Value, field)
		}
	}
}

// absent gives a group of settings that is not there its defaults, unless some of it is required. A group behind a pointer stays
// nil: that it is not there may mean something.
func absent(object map[string]any, name string, schema *jsonschema.Schema, t reflect.Type) {
	d, group := &defaulter{}, map[string]any{}
	d.object(group, schema, t, "")
	if len(d.faults) == 0 && len(group) > 0 {
		object[name] = group
	}
}

func (d *defaulter) value(value any, schema *jsonschema.Schema, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		d.custom(value, t, path)
		return
	}
	switch value := value.(type) {
	case map[string]any:
		switch {
		case t.Kind() == reflect.Struct && schema.Properties != nil:
			d.object(value, schema, t, path)
		case t.Kind() == reflect.Map && schema.AdditionalProperties != nil:
			for _, name := range slices.Sorted(maps.Keys(value)) {
				d.value(value[name], schema.AdditionalProperties, t.Elem(), pointer(path, name))
			}
		}
	case []any:
		if schema.Items == nil || t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return
		}
		for i, item := range value {
			d.value(item, schema.Items, t.Elem(), pointer(path, strconv.Itoa(i)))
		}
	}
}

// custom tries a value whose type reads itself: of what goes wrong in there, the decoder of the whole would not say where.
func (d *defaulter) custom(value any, t reflect.Type, path string) {
	raw, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(raw, reflect.New(t).Interface())
	}
	if err != nil {
		d.faults = append(d.faults, ConfigError(path, "%w", err))
	}
}

func propertyNames(schema *jsonschema.Schema) []string {
	var names []string
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		names = append(names, pair.Key)
	}
	return names
}
