package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// What stands between these lines of a README is written from the manifest.
const (
	readmeBegin = "<!-- described by the plugin: qanat plugin describe FILE --readme README.md -->"
	readmeEnd   = "<!-- end -->"
)

// Readme is a plugin's README with what its manifest says: kinds, abilities, what it touches, and settings with their types, defaults and
// meaning. It fails if the text has no place for that.
func (m Manifest) Readme(text string) (string, error) {
	before, rest, found := strings.Cut(text, readmeBegin)
	_, after, ended := strings.Cut(rest, readmeEnd)
	if !found || !ended {
		return "", fmt.Errorf("there is no place for what the plugin says: put these lines where it belongs\n%s\n%s", readmeBegin, readmeEnd)
	}
	var b strings.Builder
	b.WriteString(before + readmeBegin + "\n\n")
	for _, c := range m.Components {
		if err := c.markdown(&b, m); err != nil {
			return "", fmt.Errorf("settings of %s %q: %w", c.Kind, m.Name, err)
		}
	}
	b.WriteString(readmeEnd + after)
	return b.String(), nil
}

func (c Component) markdown(b *strings.Builder, m Manifest) error {
	fmt.Fprintf(b, "%s `%s` %s: %s", strings.ToUpper(string(c.Kind[:1]))+string(c.Kind[1:]), m.Name, m.Version, c.Description)
	if len(c.Abilities) > 0 {
		fmt.Fprintf(b, " Abilities: %s.", strings.Join(c.Abilities, ", "))
	}
	if len(c.Capabilities) > 0 {
		fmt.Fprintf(b, " It touches: %s.", strings.Join(c.Capabilities, ", "))
	}
	var schema setting
	if err := json.Unmarshal(c.ConfigSchema, &schema); err != nil {
		return err
	}
	b.WriteString("\n\n| setting | type | default | meaning |\n|---|---|---|---|\n")
	schema.rows(b, "")
	b.WriteString("\n")
	return nil
}

// setting is what is shown of a JSON Schema.
type setting struct {
	Type        json.RawMessage   `json:"type"`
	Description string            `json:"description"`
	Default     json.RawMessage   `json:"default"`
	Enum        []json.RawMessage `json:"enum"`
	Minimum     json.Number       `json:"minimum"`
	Maximum     json.Number       `json:"maximum"`
	Required    []string          `json:"required"`
	Secret      bool              `json:"x-secret"`
	Properties  ordered           `json:"properties"`
	Additional  *setting          `json:"-"`
	Items       *setting          `json:"items"`
}

// UnmarshalJSON takes additionalProperties as a schema only where it is one.
func (s *setting) UnmarshalJSON(text []byte) error {
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] != '{' { // true: anything
		return nil
	}
	type plain setting
	if err := json.Unmarshal(text, (*plain)(s)); err != nil {
		return err
	}
	var also struct {
		Additional json.RawMessage `json:"additionalProperties"`
	}
	if err := json.Unmarshal(text, &also); err != nil {
		return err
	}
	if len(also.Additional) > 0 && also.Additional[0] == '{' {
		s.Additional = &setting{}
		return json.Unmarshal(also.Additional, s.Additional)
	}
	return nil
}

// ordered are properties in the order in which they were written.
type ordered []property

type property struct {
	name string
	setting
}

// UnmarshalJSON keeps the order.
func (o *ordered) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		p := property{name: fmt.Sprint(name)}
		if err := d.Decode(&p.setting); err != nil {
			return err
		}
		*o = append(*o, p)
	}
	return nil
}

// rows writes a row for each property, and for those within it below it.
func (s *setting) rows(b *strings.Builder, path string) {
	required := map[string]bool{}
	for _, name := range s.Required {
		required[name] = true
	}
	for _, p := range s.Properties {
		at := path + p.name
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", at, p.kind(), p.initially(required[p.name]), p.meaning())
		switch {
		case p.Additional != nil && len(p.Additional.Properties) > 0:
			p.Additional.rows(b, at+".*.")
		case p.Items != nil && len(p.Items.Properties) > 0:
			p.Items.rows(b, at+"[].")
		default:
			p.rows(b, at+".")
		}
	}
}

func (s *setting) kind() string {
	var one string
	var several []string
	switch {
	case json.Unmarshal(s.Type, &one) == nil:
	case json.Unmarshal(s.Type, &several) == nil:
		one = strings.Join(several, " or ")
	default:
		one = "any"
	}
	switch {
	case one == "array" && s.Items != nil:
		return "list of " + s.Items.kind()
	case one == "object" && s.Additional != nil:
		return "map of " + s.Additional.kind()
	}
	return one
}

func (s *setting) initially(required bool) string {
	var parts []string
	if required {
		parts = append(parts, "required")
	}
	if len(s.Default) > 0 {
		parts = append(parts, "`"+strings.Trim(string(s.Default), `"`)+"`")
	}
	if s.Secret {
		parts = append(parts, "secret")
	}
	return strings.Join(parts, ", ")
}

func (s *setting) meaning() string {
	text := strings.NewReplacer("|", "\\|", "\n", " ").Replace(s.Description)
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, "`"+strings.Trim(string(v), `"`)+"`")
		}
		text = strings.TrimSpace(text + " One of " + strings.Join(values, ", ") + ".")
	}
	switch {
	case s.Minimum != "" && s.Maximum != "":
		text += fmt.Sprintf(" From %s to %s.", s.Minimum, s.Maximum)
	case s.Minimum != "":
		text += fmt.Sprintf(" At least %s.", s.Minimum)
	case s.Maximum != "":
		text += fmt.Sprintf(" At most %s.", s.Maximum)
	}
	return text
}
