package sdk

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
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

var sizePattern = regexp.MustCompile(`^([0-9]+)\s*([kKMGT]i?)?B?$`)

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
	for range strings.Index(" KMGT", strings.ToUpper(m[2] + " ")[:1]) {
		if value > math.MaxInt64/base {
			return fmt.Errorf("size %q: too large", text)
		}
		value *= base
	}
	*s = Size(value)
	return nil
}
