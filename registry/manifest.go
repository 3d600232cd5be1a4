package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// Kind is what a component of a plugin does.
type Kind string

// The kinds.
const (
	Source    Kind = "source"
	Transform Kind = "transform"
	Check     Kind = "check"
	Sink      Kind = "sink"
)

// Kinds are all of them, in the order of a flow.
func Kinds() []Kind { return []Kind{Source, Transform, Check, Sink} }

// Proto is the kind as the protocol has it; unspecified for an unknown one.
func (k Kind) Proto() pluginv1.Kind {
	return pluginv1.Kind(slices.Index(Kinds(), k) + 1) //nolint:gosec // at most four
}

// Manifest is what a plugin says about itself. It is judged by policies before the plugin runs.
type Manifest struct {
	Name        string      `json:"name"`
	Version     string      `json:"version"`
	Description string      `json:"description,omitempty"`
	Publisher   string      `json:"publisher,omitempty"`
	SDKVersion  string      `json:"sdk_version,omitempty"`
	Protocol    int         `json:"protocol"`
	Components  []Component `json:"components"`
}

// Provisioner is the ability of a source that needs things of its own in the other system.
const Provisioner = "provisioner"

// Component is one kind that a plugin serves.
type Component struct {
	Kind         Kind            `json:"kind"`
	Description  string          `json:"description,omitempty"`
	Abilities    []string        `json:"abilities,omitempty"`    // optional parts of the kind's interface: acker, unordered, tester, provisioner, collector
	Capabilities []string        `json:"capabilities,omitempty"` // what it touches: network, filesystem
	ConfigSchema json.RawMessage `json:"config_schema"`          // JSON Schema of its settings; secret fields carry x-secret
}

// Component returns the component of a kind.
func (m Manifest) Component(kind Kind) (Component, bool) {
	i := slices.IndexFunc(m.Components, func(c Component) bool { return c.Kind == kind })
	if i < 0 {
		return Component{}, false
	}
	return m.Components[i], true
}

// Kinds are the kinds that the plugin serves, in the order of its components.
func (m Manifest) Kinds() []Kind {
	kinds := make([]Kind, 0, len(m.Components))
	for _, c := range m.Components {
		kinds = append(kinds, c.Kind)
	}
	return kinds
}

// FromDescribe makes a manifest of a plugin's answer to Describe, over the protocol version that was negotiated. The answer is
// distrusted: a fault in it is an error.
func FromDescribe(described *pluginv1.DescribeResponse, protocol int) (Manifest, error) {
	m := Manifest{
		Name: described.GetName(), Version: described.GetVersion(), Description: described.GetDescription(),
		Publisher: described.GetPublisher(), SDKVersion: described.GetSdkVersion(), Protocol: protocol,
	}
	for _, c := range described.GetComponents() {
		i := int(c.GetKind()) - 1
		if i < 0 || i >= len(Kinds()) {
			return Manifest{}, fmt.Errorf("a component of unknown kind %d", c.GetKind())
		}
		var schema bytes.Buffer
		if err := json.Compact(&schema, c.GetConfigSchema()); err != nil {
			return Manifest{}, fmt.Errorf("%s: config schema: %w", Kinds()[i], err)
		}
		m.Components = append(m.Components, Component{
			Kind: Kinds()[i], Description: c.GetDescription(), ConfigSchema: schema.Bytes(),
			Abilities: c.GetAbilities(), Capabilities: c.GetCapabilities(),
		})
	}
	return m, m.validate()
}

const (
	maxText   = 4 << 10
	maxSchema = 1 << 20
)

var (
	namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	wordPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_:.-]{0,63}$`)
)

func (m Manifest) validate() error {
	var faults []error
	if !namePattern.MatchString(m.Name) {
		faults = append(faults, fmt.Errorf("plugin name %q: expected up to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit", m.Name))
	}
	if m.Version == "" {
		faults = append(faults, errors.New("the version is missing"))
	}
	for _, text := range []string{m.Version, m.Description, m.Publisher, m.SDKVersion} {
		faults = append(faults, printable(text))
	}
	if len(m.Components) == 0 {
		faults = append(faults, errors.New("the plugin serves nothing, expected at least one component"))
	}
	seen := map[Kind]bool{}
	for _, c := range m.Components {
		if seen[c.Kind] {
			faults = append(faults, fmt.Errorf("two components of kind %q", c.Kind))
		}
		seen[c.Kind] = true
		faults = append(faults, c.validate())
	}
	return errors.Join(faults...)
}

func (c Component) validate() error {
	var faults []error
	if !slices.Contains(Kinds(), c.Kind) {
		faults = append(faults, fmt.Errorf("component kind %q, allowed are %v", c.Kind, Kinds()))
	}
	faults = append(faults, printable(c.Description))
	for _, word := range slices.Concat(c.Abilities, c.Capabilities) {
		if !wordPattern.MatchString(word) {
			faults = append(faults, fmt.Errorf("%s: ability or capability %q: expected a lower-case word", c.Kind, word))
		}
	}
	if len(c.ConfigSchema) > maxSchema || !bytes.HasPrefix(bytes.TrimSpace(c.ConfigSchema), []byte("{")) {
		faults = append(faults, fmt.Errorf("%s: the config schema must be a JSON object of at most %d bytes", c.Kind, maxSchema))
	}
	return errors.Join(faults...)
}

// printable refuses what could disturb a terminal or a log: these texts are shown to people who decide whether to trust.
func printable(text string) error {
	if len(text) > maxText || !utf8.ValidString(text) {
		return fmt.Errorf("text %.40q…: expected at most %d bytes of UTF-8", text, maxText)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
		return fmt.Errorf("text %.40q has characters that can't be printed", text)
	}
	return nil
}

// Differences names the parts in which two manifests differ; empty when they are equal.
func (m Manifest) Differences(other Manifest) []string {
	var parts []string
	note := func(part string, equal bool) {
		if !equal {
			parts = append(parts, part)
		}
	}
	note("name", m.Name == other.Name)
	note("version", m.Version == other.Version)
	note("description", m.Description == other.Description)
	note("publisher", m.Publisher == other.Publisher)
	note("sdk_version", m.SDKVersion == other.SDKVersion)
	note("protocol", m.Protocol == other.Protocol)
	note("components", slices.Equal(m.Kinds(), other.Kinds()))
	for _, c := range m.Components {
		o, ok := other.Component(c.Kind)
		if !ok {
			continue
		}
		note(string(c.Kind)+".description", c.Description == o.Description)
		note(string(c.Kind)+".abilities", slices.Equal(c.Abilities, o.Abilities))
		note(string(c.Kind)+".capabilities", slices.Equal(c.Capabilities, o.Capabilities))
		note(string(c.Kind)+".config_schema", sameJSON(c.ConfigSchema, o.ConfigSchema))
	}
	return parts
}

func sameJSON(a, b []byte) bool {
	left, errLeft := canonical(a)
	right, errRight := canonical(b)
	return errLeft == nil && errRight == nil && bytes.Equal(left, right)
}

// canonical is JSON with sorted keys and no spaces, so that the lock file's layout does not matter.
func canonical(raw []byte) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if decoder.More() {
		return nil, errors.New("more than one JSON value")
	}
	return marshal(value, "")
}

// marshal is JSON without the escapes for HTML, which would make patterns unreadable.
func marshal(value any, indent string) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
