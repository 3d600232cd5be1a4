package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"

	"github.com/qanat-data/qanat/sdk"
)

func TestValidateNamesTheStep(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string]string{
		`[]`:   `setting "/steps": no steps`,
		`[{}]`: `setting "/steps/0": no action, expected one of pick`,
		`[{"drop":["a"]},{"pick":["a"],"drop":["b"]}]`: `setting "/steps/1": pick and drop in one step`,
		`[{"pick":[]}]`:                                `setting "/steps/0/pick": no columns`,
		`[{"drop":["a","a"]}]`:                         `setting "/steps/0/drop/1": column "a" is listed twice`,
		`[{"rename":{}}]`:                              `setting "/steps/0/rename": no columns`,
		`[{"rename":{"a/b":""}}]`:                      `setting "/steps/0/rename/a~1b": an empty name`,
		`[{"cast":{}}]`:                                `setting "/steps/0/cast": no columns`,
		`[{"cast":{"a":"varchar"}}]`:                   `setting "/steps/0/cast/a": "varchar" is not a type, allowed are binary, bool, date,`,
		`[{"cast":{"a":"decimal(39,2)"}}]`:             `setting "/steps/0/cast/a": "decimal(39,2)": expected a precision of 1 to 38`,
		`[{"cast":{"a":"decimal(5,6)"}}]`:              `expected a precision of 1 to 38 and a scale within it`,
		`[{"add":{}}]`:                                 `setting "/steps/0/add": no columns`,
		`[{"add":{"":1}}]`:                             `setting "/steps/0/add/": an empty name`,
		`[{"add":{"a":null}}]`:                         `setting "/steps/0/add/a": a null needs a type`,
		`[{"add":{"a":[1]}}]`:                          `expected a text, a number, true, false or null`,
		`[{"add":{"a":{"value":"x","type":"date"}}}]`:  `setting "/steps/0/add/a": "x" is no date: expected a day`,
		`[{"add":{"a":{"value":true,"type":"date"}}}]`: `true is no date: bool can't be cast to date`,
		`[{"add":{"a":{"value":1,"type":"int"}}}]`:     `setting "/steps/0/add/a": "int" is not a type`,
		`[{"add":{"a":99999999999999999999}}]`:         `setting "/steps/0/add/a": 99999999999999999999`,
		`[{"flatten":{"separator":"_"}}]`:              `setting "/steps/0/flatten/column": is required`,
	} {
		err := config(t, steps).Validate()
		if err == nil || !strings.Contains(err.Error(), want) || sdk.KindOf(err) != sdk.KindConfig {
			t.Errorf("%s: %v, expected %s", steps, err, want)
		}
	}
}

func TestConstantRefusesUnknownKeys(t *testing.T) {
	t.Parallel()
	var c Constant
	if err := json.Unmarshal([]byte(`{"value":1,"typ":"int64"}`), &c); err == nil {
		t.Error("typ was taken")
	}
}

// What the SDK's reflection makes of the settings: maps stay open, the separator has its default.
func TestSchemaOfTheSettings(t *testing.T) {
	t.Parallel()
	reflector := jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true}
	schema := reflector.ReflectFromType(reflect.TypeFor[Config]())
	steps, _ := schema.Properties.Get("steps")
	flatten, ok := steps.Items.Properties.Get("flatten")
	if !ok {
		t.Fatal("no flatten")
	}
	if separator, _ := flatten.Properties.Get("separator"); separator.Default != "_" {
		t.Errorf("separator %+v", separator)
	}
	for _, name := range []string{"rename", "copy", "cast", "add"} {
		if s, _ := steps.Items.Properties.Get(name); s == nil || s.Properties.Len() != 0 || s.AdditionalProperties == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
