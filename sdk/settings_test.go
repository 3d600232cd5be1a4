package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// everySetting is what an author might write.
type everySetting struct {
	Path     string                   `json:"path" jsonschema:"required" jsonschema_description:"Where the files are."`
	Mode     string                   `json:"mode,omitempty" jsonschema:"enum=fast,enum=safe,default=safe"`
	Rows     int                      `json:"rows,omitempty" jsonschema:"minimum=1,default=1000"`
	Ratio    float64                  `json:"ratio,omitempty" jsonschema:"default=0.5"`
	Strict   *bool                    `json:"strict,omitempty" jsonschema:"default=true"`
	Wait     Duration                 `json:"wait,omitempty" jsonschema:"default=1m30s"`
	Memory   Size                     `json:"memory,omitempty" jsonschema:"default=64MiB"`
	Disk     Size                     `json:"disk,omitempty"`
	Password Secret                   `json:"password,omitempty"`
	Pool     poolSetting              `json:"pool"`
	TLS      *tlsSetting              `json:"tls,omitempty"`
	Auth     authSetting              `json:"auth"`
	Tables   []tableSetting           `json:"tables,omitempty"`
	Named    map[string]*tableSetting `json:"named,omitempty"`
	Labels   map[string]string        `json:"labels,omitempty"`
	Names    []string                 `json:"names,omitempty"`
}

type poolSetting struct {
	Size  int          `json:"size,omitempty" jsonschema:"default=4"`
	Inner innerSetting `json:"inner"`
}

type innerSetting struct {
	Idle Duration `json:"idle,omitempty" jsonschema:"default=5s"`
}

type tlsSetting struct {
	Port int `json:"port,omitempty" jsonschema:"default=443"`
}

type authSetting struct {
	Token Secret `json:"token" jsonschema:"required"`
	Kind  string `json:"kind,omitempty" jsonschema:"default=bearer"`
}

type tableSetting struct {
	Name  string `json:"name" jsonschema:"required"`
	Limit Size   `json:"limit,omitempty" jsonschema:"default=1kB"`
}

func decodeAs[C any](t testing.TB, raw string) (C, error) {
	t.Helper()
	var config C
	schema, err := configSchema(reflect.TypeFor[C]())
	if err != nil {
		t.Fatal(err)
	}
	return config, errors.Join(decodeConfig([]byte(raw), schema, &config), nil)
}

func TestSettingsGetTheirDefaultsAtEveryDepth(t *testing.T) {
	t.Parallel()
	strict := true
	base := everySetting{
		Path: "/data", Mode: "safe", Rows: 1000, Ratio: 0.5, Strict: &strict, Wait: Duration(90 * time.Second), Memory: 64 << 20,
		Pool: poolSetting{Size: 4, Inner: innerSetting{Idle: Duration(5 * time.Second)}},
	}
	with := func(change func(*everySetting)) everySetting {
		c := base
		change(&c)
		return c
	}
	no := false
	for raw, want := range map[string]everySetting{
		`{"path": "/data"}`: base,
		`{"path": "/data", "rows": 7, "mode": "fast", "strict": false, "wait": "250ms", "memory": 10, "disk": "2GB", "password": "p"}`: with(func(c *everySetting) {
			c.Rows, c.Mode, c.Strict, c.Wait, c.Memory, c.Disk, c.Password = 7, "fast", &no, Duration(250*time.Millisecond), 10, 2_000_000_000, "p"
		}),
		`{"path": "/data", "pool": {"size": 9}}`:      with(func(c *everySetting) { c.Pool.Size = 9 }),
		`{"path": "/data", "tls": {}}`:                with(func(c *everySetting) { c.TLS = &tlsSetting{Port: 443} }),
		`{"path": "/data", "auth": {"token": "abc"}}`: with(func(c *everySetting) { c.Auth = authSetting{Token: "abc", Kind: "bearer"} }),
		`{"path": "/data", "tables": [{"name": "a"}, {"name": "b", "limit": 5}]}`: with(func(c *everySetting) {
			c.Tables = []tableSetting{{Name: "a", Limit: 1000}, {Name: "b", Limit: 5}}
		}),
		`{"path": "/data", "named": {"x": {"name": "a"}}, "labels": {"k": "v"}, "names": ["n"]}`: with(func(c *everySetting) {
			c.Named, c.Labels, c.Names = map[string]*tableSetting{"x": {Name: "a", Limit: 1000}}, map[string]string{"k": "v"}, []string{"n"}
		}),
	} {
		got, err := decodeAs[everySetting](t, raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

func TestWrongSettingsAreBlamedByTheirPath(t *testing.T) {
	t.Parallel()
	type blame struct{ Path, Says string }
	for raw, want := range map[string][]blame{
		``:                                     {{"/path", "is required"}},
		`{"pth": 1}`:                           {{"/pth", "unknown setting, allowed are path, mode"}, {"/path", "is required"}},
		`{"path": "p", "a/b~c": 1}`:            {{"/a~1b~0c", "unknown"}},
		`{"path": 5}`:                          {{"/path", "is a number, expected string"}},
		`{"path": "p", "rows": "many"}`:        {{"/rows", "is a string, expected int"}},
		`{"path": "p", "pool": {"size": "x"}}`: {{"/pool/size", "is a string, expected int"}},
		`{"path": "p", "pool": {"sise": 1}}`:   {{"/pool/sise", "unknown setting, allowed are size, inner"}},
		`{"path": "p", "pool": {"inner": {"idel": 1}}}`:        {{"/pool/inner/idel", "unknown"}},
		`{"path": "p", "tls": {"prot": 1}}`:                    {{"/tls/prot", "unknown"}},
		`{"path": "p", "auth": {}}`:                            {{"/auth/token", "is required"}},
		`{"path": "p", "tables": [{"name": "a"}, {"nam": 1}]}`: {{"/tables/1/nam", "unknown"}, {"/tables/1/name", "is required"}},
		`{"path": "p", "named": {"x": {}, "y": {"z": 1}}}`:     {{"/named/x/name", "is required"}, {"/named/y/z", "unknown"}, {"/named/y/name", "is required"}},
		`{"path": "p", "wait": "soon"}`:                        {{"/wait", `duration "soon": expected a number with a unit`}},
		`{"path": "p", "wait": 5}`:                             {{"/wait", "expected text such as"}},
		`{"path": "p", "memory": "much"}`:                      {{"/memory", `size "much": expected bytes`}},
		`["path"]`:                                             {{"", "must be a mapping"}},
		`{"path": `:                                            {{"", "not JSON"}},
	} {
		_, err := decodeAs[everySetting](t, raw)
		var got []blame
		for _, fault := range split(err) {
			var typed *Error
			if !errors.As(fault, &typed) || typed.Kind != KindConfig {
				t.Fatalf("%s: %v is no fault of a setting", raw, fault)
			}
			got = append(got, blame{typed.Path, typed.Err.Error()})
		}
		says := cmp.Comparer(func(a, b blame) bool {
			return a.Path == b.Path && (strings.Contains(a.Says, b.Says) || strings.Contains(b.Says, a.Says))
		})
		if diff := cmp.Diff(want, got, says, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

func TestFaultsDoNotShowSecrets(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{`["hunter2"]`, `"hunter2"`, `{"path": "p", "password": 42424242}`, `{"path": "p", "password": ["hunter2"]}`} {
		_, err := decodeAs[everySetting](t, raw)
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "4242") {
			t.Errorf("%s: %v", raw, err)
		}
	}
	config := everySetting{Password: "hunter2"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, config); strings.Contains(text, "hunter2") {
			t.Errorf("%s prints %s", format, text)
		}
	}
	if config.Password.Reveal() != "hunter2" {
		t.Error("Reveal hides the value")
	}
}

func TestTheSchemaOfSettingsSaysWhatTheTagsSay(t *testing.T) {
	t.Parallel()
	schema, err := configSchema(reflect.TypeFor[everySetting]())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Required             []string
		AdditionalProperties any
		Properties           map[string]map[string]any
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"path"}, got.Required); diff != "" || got.AdditionalProperties != false {
		t.Errorf("required %v, others %v", got.Required, got.AdditionalProperties)
	}
	for path, want := range map[string]any{
		"path.description": "Where the files are.", "mode.default": "safe", "rows.default": 1000.0, "rows.minimum": 1.0, "ratio.default": 0.5,
		"strict.default": true, "wait.default": "1m30s", "wait.type": "string", "memory.default": "64MiB", "disk.default": nil,
		"password.x-secret": true, "password.type": "string",
	} {
		name, key, _ := strings.Cut(path, ".")
		if diff := cmp.Diff(want, got.Properties[name][key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if _, err := configSchema(reflect.TypeFor[string]()); err == nil {
		t.Error("settings that are a text were accepted")
	}
}

func TestSizesAndDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{
		`0`: 0, `17`: 17, `"17"`: 17, `"17B"`: 17, `"1K"`: 1000, `"1kB"`: 1000, `"1KB"`: 1000, `"64KiB"`: 64 << 10, `"256MiB"`: 256 << 20, `"3 GB"`: 3_000_000_000,
		`"2Gi"`: 2 << 30, `"1TiB"`: 1 << 40,
	} {
		var got Size
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{`-1`, `1.5`, `"1.5MiB"`, `"MiB"`, `""`, `true`, `"99999999999999999999"`, `"9999999TiB"`, `"1PiB"`, `null`} {
		var got Size
		if err := json.Unmarshal([]byte(text), &got); err == nil && text != `null` {
			t.Errorf("%s is %d", text, got)
		}
	}
}

func TestNoSettingsAtAllAreFine(t *testing.T) {
	t.Parallel()
	if _, err := decodeAs[struct{}](t, `{}`); err != nil {
		t.Error(err)
	}
	if _, err := decodeAs[struct{}](t, `{"x": 1}`); KindOf(err) != KindConfig {
		t.Errorf("an unknown setting: %v", err)
	}
}

// pointerRules has its rules on the pointer, valueRules on the value.
type pointerRules struct {
	A int `json:"a,omitempty"`
	B int `json:"b,omitempty"`
}

func (c *pointerRules) Validate() error {
	var faults []error
	if c.A > 5 {
		faults = append(faults, ConfigError("/a", "is %d, at most 5", c.A))
	}
	if c.B > 5 {
		faults = append(faults, errors.Join(ConfigError("/b", "is %d, at most 5", c.B), errors.New("and that is bad")))
	}
	return errors.Join(faults...)
}

type valueRules struct {
	A int `json:"a,omitempty"`
}

func (c valueRules) Validate() error {
	if c.A > 5 {
		return ConfigError("/a", "too large")
	}
	return nil
}

func TestRulesOfSettingsRunOnValuesAndPointers(t *testing.T) {
	t.Parallel()
	byPointer := SourceOf(func(context.Context, pointerRules, Env) (*source, error) { return &source{}, nil })
	byValue := SourceOf(func(context.Context, valueRules, Env) (*source, error) { return &source{}, nil })
	for _, c := range []Component{byPointer, byValue} {
		if err := c.validate([]byte(`{"a": 5}`)); err != nil {
			t.Error(err)
		}
		if err := c.validate([]byte(`{"a": 6}`)); KindOf(err) != KindConfig {
			t.Errorf("a is too large: %v", err)
		}
		if _, err := c.open(t.Context(), []byte(`{"a": 6}`), Env{}); KindOf(err) != KindConfig {
			t.Errorf("opened with a too large: %v", err)
		}
	}
}
