package registry

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

func described() *pluginv1.DescribeResponse {
	return &pluginv1.DescribeResponse{
		Name: "shop", Version: "1.2.0", Description: "reads a shop", Publisher: "acme", SdkVersion: "0.1.0",
		Components: []*pluginv1.Component{{
			Kind: pluginv1.Kind_KIND_SOURCE, ConfigSchema: []byte(`{"type": "object", "pattern": "<a&b>"}`),
			Abilities: []string{"acker"}, Capabilities: []string{"network"},
		}},
	}
}

func TestManifestSaysWhatThePluginDescribes(t *testing.T) {
	t.Parallel()
	got, err := FromDescribe(described(), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{
		Name: "shop", Version: "1.2.0", Description: "reads a shop", Publisher: "acme", SDKVersion: "0.1.0", Protocol: 1,
		Components: []Component{{
			Kind: Source, ConfigSchema: json.RawMessage(`{"type":"object","pattern":"<a&b>"}`),
			Abilities: []string{"acker"}, Capabilities: []string{"network"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestManifestRefusesWhatAPluginMustNotSay(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*pluginv1.DescribeResponse)
		want   string
	}{
		"path as name":     {func(d *pluginv1.DescribeResponse) { d.Name = "../evil" }, `plugin name "../evil"`},
		"no version":       {func(d *pluginv1.DescribeResponse) { d.Version = "" }, "version is missing"},
		"terminal escapes": {func(d *pluginv1.DescribeResponse) { d.Description = "\x1b[2Jtrusted" }, "can't be printed"},
		"endless text":     {func(d *pluginv1.DescribeResponse) { d.Publisher = strings.Repeat("x", 5000) }, "at most 4096 bytes"},
		"no component":     {func(d *pluginv1.DescribeResponse) { d.Components = nil }, "at least one component"},
		"unknown kind":     {func(d *pluginv1.DescribeResponse) { d.Components[0].Kind = 9 }, "unknown kind 9"},
		"no kind":          {func(d *pluginv1.DescribeResponse) { d.Components[0].Kind = 0 }, "unknown kind 0"},
		"kind twice":       {func(d *pluginv1.DescribeResponse) { d.Components = append(d.Components, d.Components[0]) }, `two components of kind "source"`},
		"schema no JSON":   {func(d *pluginv1.DescribeResponse) { d.Components[0].ConfigSchema = []byte("{") }, "config schema"},
		"schema no object": {func(d *pluginv1.DescribeResponse) { d.Components[0].ConfigSchema = []byte("true") }, "must be a JSON object"},
		"odd ability":      {func(d *pluginv1.DescribeResponse) { d.Components[0].Abilities = []string{"Root Access"} }, `"Root Access"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := described()
			c.change(response)
			_, err := FromDescribe(response, 1)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestDifferencesNameEveryPartThatChanged(t *testing.T) {
	t.Parallel()
	base, err := FromDescribe(described(), 1)
	if err != nil {
		t.Fatal(err)
	}
	changed := described()
	changed.Version, changed.Components[0].Capabilities = "2.0.0", []string{"filesystem"}
	changed.Components[0].ConfigSchema = []byte(`{"type": "array"}`)
	other, err := FromDescribe(changed, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"version", "protocol", "source.capabilities", "source.config_schema"}
	if diff := cmp.Diff(want, base.Differences(other)); diff != "" {
		t.Error(diff)
	}
	reordered := base
	reordered.Components = []Component{base.Components[0]}
	reordered.Components[0].ConfigSchema = json.RawMessage(`{ "pattern": "<a&b>", "type": "object" }`)
	if parts := base.Differences(reordered); len(parts) > 0 {
		t.Errorf("the layout of the schema counts as a difference: %v", parts)
	}
}
