package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	yaml "github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func odcsSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(dataFolder(t), "odcs", "odcs-json-schema-v3.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func document(t *testing.T, file string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	// Numbers become json.Number, which jsonschema and nodeOf both read exactly.
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	exact, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return exact.(map[string]any)
}

// nodeOf builds what the YAML parser would: parsing thousands of documents takes most of a minute.
func nodeOf(path string, v any) *node {
	n := &node{place: Place{File: "doc", Line: 1, Column: 1, Path: path}, value: v}
	switch v := v.(type) {
	case nil:
		n.shape = isNull
	case bool:
		n.shape = isBool
	case string:
		n.shape = isText
	case []any:
		n.shape = isList
		for i, item := range v {
			n.items = append(n.items, nodeOf(fmt.Sprintf("%s[%d]", path, i), item))
		}
	case map[string]any:
		n.shape = isMapping
		for _, k := range slices.Sorted(maps.Keys(v)) {
			below := path + "." + k
			n.add(entry{name: k, place: Place{File: "doc", Line: 1, Column: 1, Path: below}, value: nodeOf(below, v[k])})
		}
	case json.Number:
		n.shape, n.number = isNumber, Number(v)
		n.value, _ = v.Float64()
		if i, err := v.Int64(); err == nil {
			n.value = i
		}
	}
	return n
}

// stricter are the faults that this package finds beyond the published schema.
var stricter = []string{
	"is already described", "expected two different numbers, the smaller", "isn't described", "not in the contract",
	"of the primary key belongs to", "is above m", "written alike", "is not supported",
	"expected the name of a property",
}

func onlyStricter(faults Faults) bool {
	return len(faults) > 0 && !slices.ContainsFunc(faults, func(f Fault) bool {
		return !slices.ContainsFunc(stricter, func(s string) bool { return strings.Contains(f.Message, s) })
	})
}

// mutate calls try for every small change of the value: each key dropped, each unknown key added and each value
// replaced by one of another type. The value is as before when it returns.
func mutate(v any, path string, set func(any), try func(what string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			old := v[k]
			delete(v, k)
			try("drop " + path + "." + k)
			v[k] = old
			mutate(old, path+"."+k, func(x any) { v[k] = x }, try)
		}
		v["surprise"] = "x"
		try("add to " + path)
		delete(v, "surprise")
	case []any:
		for i := range v {
			mutate(v[i], fmt.Sprintf("%s[%d]", path, i), func(x any) { v[i] = x }, try)
		}
	}
	for _, other := range []any{
		nil, "x", json.Number("7"), json.Number("7.5"), json.Number("-1"), true, []any{}, []any{"x"},
		[]any{json.Number("7")}, map[string]any{},
	} {
		set(other)
		try(fmt.Sprintf("set %s to %v", path, other))
	}
	set(v)
}

// parts cuts a document into small ones that together have every part of it: validating the whole takes too long to
// do it thousands of times.
func parts(doc map[string]any) []map[string]any {
	basics := map[string]any{}
	for _, k := range []string{"version", "apiVersion", "kind", "id", "status"} {
		basics[k] = doc[k]
	}
	with := func(k string, v any) map[string]any {
		out := maps.Clone(basics)
		out[k] = v
		return out
	}
	out := []map[string]any{basics}
	for _, k := range slices.Sorted(maps.Keys(doc)) {
		if _, basic := basics[k]; !basic && k != "schema" {
			out = append(out, with(k, doc[k]))
		}
	}
	for _, o := range doc["schema"].([]any) {
		object := o.(map[string]any)
		for _, p := range object["properties"].([]any) {
			out = append(out, with("schema", []any{map[string]any{"name": "o", "properties": []any{p}}}))
		}
		bare := maps.Clone(object)
		bare["properties"] = []any{map[string]any{"name": "gauge"}, map[string]any{"name": "taken_at"}}
		out = append(out, with("schema", []any{bare}))
	}
	return out
}

func TestVerdictsAgreeWithThePublishedSchema(t *testing.T) {
	t.Parallel()
	schema := odcsSchema(t)
	doc := document(t, "testdata/everything.odcs.yaml")
	if err := schema.Validate(doc); err != nil {
		t.Fatal(err)
	}
	valid, invalid := 0, 0
	for _, part := range parts(doc) {
		compare := func(what string) {
			want := schema.Validate(part)
			r := &report{file: "doc"}
			read(r, nodeOf("", part))
			switch {
			case want == nil && len(r.faults) == 0:
				valid++
			case want != nil && len(r.faults) > 0:
				invalid++
			case !onlyStricter(r.faults):
				t.Errorf("%s:\n schema: %v\n   ours: %v", what, want, r.faults)
			}
		}
		compare("unchanged")
		for _, k := range slices.Sorted(maps.Keys(part)) {
			mutate(part[k], k, func(x any) { part[k] = x }, compare)
		}
	}
	if valid < 300 || invalid < 3000 {
		t.Errorf("the comparison is lopsided: %d valid and %d invalid documents", valid, invalid)
	}
}
