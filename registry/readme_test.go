package registry_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/registry"
)

const place = "<!-- described by the plugin: qanat plugin describe FILE --readme README.md -->"

func TestAReadmeSaysWhatTheManifestSays(t *testing.T) {
	t.Parallel()
	m := registry.Manifest{Name: "shop", Version: "1.2.0", Components: []registry.Component{{
		Kind: registry.Source, Description: "Reads a shop.", Abilities: []string{"acker"}, Capabilities: []string{"network"},
		ConfigSchema: []byte(`{"type": "object", "required": ["url"], "additionalProperties": false, "properties": {
			"url": {"type": "string", "x-secret": true, "description": "Where | it is."},
			"mode": {"type": "string", "default": "all", "enum": ["all", "new"]},
			"rows": {"type": "integer", "minimum": 1, "maximum": 9},
			"tables": {"type": "object", "description": "By name.", "additionalProperties": {"type": "object", "properties": {"key": {"type": "array", "items": {"type": "string"}}}}},
			"steps": {"type": "array", "items": {"type": "object", "properties": {"drop": {"type": ["string", "null"]}}}},
			"any": true
		}}`),
	}}}
	got, err := m.Readme("# shop\n\n" + place + "\nold\n<!-- end -->\n\nMore.\n")
	if err != nil {
		t.Fatal(err)
	}
	want := "# shop\n\n" + place + `

Source ` + "`shop`" + ` 1.2.0: Reads a shop. Abilities: acker. It touches: network.

| setting | type | default | meaning |
|---|---|---|---|
| ` + "`url`" + ` | string | required, secret | Where \| it is. |
| ` + "`mode`" + ` | string | ` + "`all`" + ` | One of ` + "`all`, `new`" + `. |
| ` + "`rows`" + ` | integer |  |  From 1 to 9. |
| ` + "`tables`" + ` | map of object |  | By name. |
| ` + "`tables.*.key`" + ` | list of string |  |  |
| ` + "`steps`" + ` | list of object |  |  |
| ` + "`steps[].drop`" + ` | string or null |  |  |
| ` + "`any`" + ` | any |  |  |

<!-- end -->

More.
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if again, err := m.Readme(got); err != nil || again != got {
		t.Errorf("written twice it differs: %v\n%s", err, cmp.Diff(got, again))
	}
}

func TestAReadmeWithoutAPlaceIsAnError(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", place, "<!-- end -->"} {
		if _, err := (registry.Manifest{}).Readme(text); err == nil || !strings.Contains(err.Error(), place) {
			t.Errorf("%q: %v, want an error that says what to put there", text, err)
		}
	}
}
