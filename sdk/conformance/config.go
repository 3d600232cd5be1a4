package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// schema compiles the JSON Schema of the settings.
func (s *suite) schema() (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(s.component.GetConfigSchema()))
	if err != nil {
		return nil, err
	}
	const place = "mem:///settings.json"
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(place, document); err != nil {
		return nil, err
	}
	return compiler.Compile(place)
}

// fits says what a schema has against settings.
func fits(schema *jsonschema.Schema, settings any) error {
	raw, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func (s *suite) configSchema(context.Context, *trial) error {
	schema, err := s.schema()
	if err != nil {
		return seen("a JSON Schema of draft 2020-12", "%v", err)
	}
	if err := fits(schema, s.settingsObject()); err != nil {
		return seen("the given settings fit the schema", "%v", err)
	}
	return nil
}

func (s *suite) validate(ctx context.Context, settings any) ([]strict.Fault, error) {
	raw, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	p, err := s.process(ctx)
	if err != nil {
		return nil, err
	}
	return p.Validate(ctx, s.kind(), raw)
}

func (s *suite) configAccepted(ctx context.Context, _ *trial) error {
	faults, err := s.validate(ctx, s.settingsObject())
	if err != nil {
		return err
	}
	if len(faults) > 0 {
		return seen("no faults in the given settings", "%v", faults)
	}
	return nil
}

// place is an object in the settings and what the schema says of it.
type place struct {
	path   []any // keys and indexes that lead there
	schema map[string]any
}

// places are the objects of the settings that the schema describes, the outermost first.
func (s *suite) places() []place {
	var schema map[string]any
	_ = json.Unmarshal(s.component.GetConfigSchema(), &schema) // config.schema has tried it
	return placesBelow(nil, schema, s.settingsObject())
}

func placesBelow(path []any, schema map[string]any, value any) []place {
	switch value := value.(type) {
	case map[string]any:
		properties := mapping(schema["properties"])
		if len(properties) == 0 {
			return nil
		}
		found := []place{{path: path, schema: schema}}
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			found = append(found, placesBelow(append(slices.Clone(path), name), mapping(properties[name]), value[name])...)
		}
		return found
	case []any:
		if len(value) > 0 {
			return placesBelow(append(slices.Clone(path), 0), mapping(schema["items"]), value[0])
		}
	}
	return nil
}

func mapping(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

// with returns the settings with a value set at a place; remove takes it out instead.
func (s *suite) with(path []any, name string, value any, remove bool) map[string]any {
	settings := s.settingsObject()
	var at any = settings
	for _, step := range path {
		switch step := step.(type) {
		case string:
			at = at.(map[string]any)[step]
		case int:
			at = at.([]any)[step]
		}
	}
	if remove {
		delete(at.(map[string]any), name)
	} else {
		at.(map[string]any)[name] = value
	}
	return settings
}

// refused expects a fault that names a setting.
func (s *suite) refused(ctx context.Context, settings map[string]any, path []any, name, what string) error {
	faults, err := s.validate(ctx, settings)
	if err != nil {
		return err
	}
	where := pointer(path, name)
	if len(faults) == 0 {
		return seen(fmt.Sprintf("a fault that names %s, which %s", where, what), "no fault")
	}
	for _, f := range faults {
		if f.Message == "" {
			return seen("faults with a message", "one without, path %q", f.Path)
		}
		if strings.Contains(f.Path, name) || strings.Contains(f.Message, name) {
			return nil
		}
	}
	return seen(fmt.Sprintf("a fault that names %s, which %s", where, what), "%v", faults)
}

func pointer(path []any, name string) string {
	var text strings.Builder
	for _, step := range append(slices.Clone(path), name) {
		fmt.Fprintf(&text, "/%v", step)
	}
	return text.String()
}

// strange is a key that no plugin has.
const strange = "qanat_conformance_key"

func (s *suite) configUnknown(ctx context.Context, t *trial) error {
	places := s.places()
	for _, at := range places {
		if err := s.refused(ctx, s.with(at.path, strange, 1, false), at.path, strange, "is no setting"); err != nil {
			return err
		}
	}
	t.note("tried in %d objects of the settings", len(places))
	return nil
}

// misfits are values to try until the schema refuses one.
func misfits() []any {
	return []any{map[string]any{"qanat": 1}, []any{[]any{}}, true, 12.5, "qanat conformance"}
}

func (s *suite) configType(ctx context.Context, t *trial) error {
	schema, err := s.schema()
	if err != nil {
		return err
	}
	tried := 0
	for _, at := range s.places() {
		for _, name := range slices.Sorted(maps.Keys(mapping(at.schema["properties"]))) {
			for _, value := range misfits() {
				wrong := s.with(at.path, name, value, false)
				if fits(schema, wrong) == nil {
					continue
				}
				tried++
				if err := s.refused(ctx, wrong, at.path, name, fmt.Sprintf("is %s", jsonText(value))); err != nil {
					return err
				}
				break
			}
		}
	}
	t.note("tried with %d settings", tried)
	return nil
}

func jsonText(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}

func (s *suite) configRequired(ctx context.Context, t *trial) error {
	tried := 0
	for _, at := range s.places() {
		required, _ := at.schema["required"].([]any)
		for _, each := range required {
			name, _ := each.(string)
			tried++
			if err := s.refused(ctx, s.with(at.path, name, nil, true), at.path, name, "is required and not there"); err != nil {
				return err
			}
		}
	}
	if tried == 0 {
		return skip("", "no setting is required")
	}
	t.note("tried with %d settings", tried)
	return nil
}
