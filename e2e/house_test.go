// Package e2e holds the scenarios that drive the built binaries, and the test of the house rules: who may import whom.
package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/qanat-data/qanat/"

// room is a rule for the packages at and below a folder: which other packages of the repository they may import. "own" stands for
// the folder two levels deep: the plugin or the command itself.
type room struct {
	of  string
	may []string
}

// rooms are DESIGN's "who may import whom". Every rule that covers a package holds for it.
var rooms = []room{
	{"cmd", []string{"own", "core", "registry", "sdk", "specs"}},
	{"core", []string{"core", "registry", "sdk", "specs"}},
	{"core/spec", []string{"core/spec", "registry", "sdk", "specs"}},
	{"core/plan", []string{"core/plan", "core/spec", "core/policy", "core/lineage", "registry", "sdk", "specs"}},
	{"sdk", []string{"sdk", "specs"}},
	{"plugins", []string{"own", "plugins/internal", "sdk", "specs/contract"}},
	{"registry", []string{"registry", "specs"}},
	{"specs", []string{"specs"}},
	{"internal", []string{"own"}},
	{"e2e", []string{"e2e", "internal"}},
}

// testRooms are the rules for imports of tests alone. Tests of core may use every room of it: those of the pure ones need facts
// that others make. Tests of plugins may look at the protocol, and tests of the registry may stand in for a plugin. No test reaches
// into a plugin that is not its own, or from a plugin into core: what tests of several rooms need lies in internal.
var testRooms = []room{
	{"cmd", []string{"own", "core", "registry", "sdk", "specs"}},
	{"core", []string{"core", "internal", "registry", "sdk", "specs"}},
	{"sdk", []string{"sdk", "specs"}},
	{"plugins", []string{"own", "plugins/internal", "internal", "sdk", "specs"}},
	{"registry", []string{"registry", "sdk", "specs"}},
	{"specs", []string{"specs"}},
	{"internal", []string{"own"}},
	{"e2e", []string{"e2e", "internal", "sdk", "specs"}},
}

// owner is a library that only some rooms may import. Plugins have clients of their own for the systems that they speak to, so
// that only some of these rules reach them; the scenarios and other tests look at the servers with whatever they need.
type owner struct {
	library string
	rooms   []string
	plugins bool // whether plugins are under the rule
}

var owners = []owner{
	{library: "github.com/nats-io/", rooms: []string{"core/broker"}},
	{library: "github.com/apache/iceberg-go", rooms: []string{"core/zone"}},
	{library: "github.com/minio/minio-go", rooms: []string{"core/zone"}},
	{library: "github.com/versity/versitygw", rooms: []string{"core/zone"}, plugins: true},
	{library: "github.com/open-policy-agent/", rooms: []string{"core/policy"}, plugins: true},
	{library: "github.com/duckdb/", rooms: []string{"core/query", "plugins/transform-sql"}, plugins: true},
}

// weight is what packages must not depend on, not even by way of others.
type weight struct {
	of, except string
	never      []string
}

var weights = []weight{
	{of: "sdk", never: []string{
		"github.com/nats-io/", "github.com/apache/iceberg-go", "github.com/minio/", "github.com/duckdb/", "github.com/open-policy-agent/",
		"github.com/versity/",
	}},
	{of: "plugins", except: "plugins/transform-sql", never: []string{"github.com/duckdb/"}},
}

// listed is what go list says about a package.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// house is a graph of packages by import path, those of others included.
type house map[string]listed

// faults are the violations, one line each.
func (h house) faults() []string {
	var faults []string
	for _, path := range slices.Sorted(maps.Keys(h)) {
		here, ours := strings.CutPrefix(path, module)
		if !ours {
			continue
		}
		p := h[path]
		faults = append(faults, imports(here, "", p.Imports, rooms)...)
		faults = append(faults, imports(here, "the test of ", slices.Concat(p.TestImports, p.XTestImports), testRooms)...)
		faults = append(faults, helpers(here, p.Imports)...)
		faults = append(faults, libraries(here, p.Imports)...)
		faults = append(faults, h.burdens(here)...)
	}
	return slices.Compact(faults)
}

// imports holds a package's imports of the repository against the rooms.
func imports(here, who string, paths []string, rooms []room) []string {
	var faults []string
	for _, path := range slices.Sorted(slices.Values(paths)) {
		there, ours := strings.CutPrefix(path, module)
		if !ours || there == here {
			continue
		}
		covered := false
		for _, r := range rooms {
			if !within(here, r.of) {
				continue
			}
			covered = true
			if !slices.ContainsFunc(r.may, func(room string) bool { return within(there, own(room, here)) }) {
				faults = append(faults, fmt.Sprintf("%s%s imports %s; %s may import only %s", who, here, there, r.of, strings.Join(r.may, ", ")))
			}
		}
		if !covered {
			faults = append(faults, fmt.Sprintf("%s%s imports %s, but no rule covers it", who, here, there))
		}
	}
	return faults
}

// within says whether a package is at or below a folder.
func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func own(room, here string) string {
	if room != "own" {
		return room
	}
	parts := strings.Split(here, "/")
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// helpers finds production code that imports the helpers of tests.
func helpers(here string, paths []string) []string {
	if strings.HasSuffix(here, "test") || within(here, "e2e") {
		return nil
	}
	var faults []string
	for _, path := range paths {
		if there, ours := strings.CutPrefix(path, module); ours && strings.HasSuffix(there, "test") {
			faults = append(faults, fmt.Sprintf("%s imports %s, which is for tests", here, there))
		}
	}
	return faults
}

// libraries finds libraries outside of their rooms.
func libraries(here string, paths []string) []string {
	if within(here, "e2e") {
		return nil
	}
	var faults []string
	for _, path := range paths {
		for _, o := range owners {
			if !strings.HasPrefix(path, o.library) || within(here, "plugins") && !o.plugins {
				continue
			}
			if !slices.ContainsFunc(o.rooms, func(room string) bool { return within(here, room) }) {
				faults = append(faults, fmt.Sprintf("%s imports %s, which only %s may", here, path, strings.Join(o.rooms, " and ")))
			}
		}
	}
	return faults
}

// burdens finds what a package must not depend on, with the way there.
func (h house) burdens(here string) []string {
	var faults []string
	for _, w := range weights {
		if !within(here, w.of) || w.except != "" && within(here, w.except) {
			continue
		}
		for _, library := range w.never {
			if way := h.way(module+here, library); way != nil {
				for i := range way {
					way[i] = strings.TrimPrefix(way[i], module)
				}
				faults = append(faults, fmt.Sprintf("%s must not depend on %s, but does: %s", here, strings.TrimSuffix(library, "/"), strings.Join(way, " → ")))
			}
		}
	}
	return faults
}

// way is a shortest path of imports from a package to a library, nil if there is none.
func (h house) way(from, library string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if strings.HasPrefix(at, library) {
			var way []string
			for ; at != ""; at = before[at] {
				way = append(way, at)
			}
			slices.Reverse(way)
			return way
		}
		for _, next := range h[at].Imports {
			if _, seen := before[next]; !seen {
				before[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// survey reads the house. A package that does not compile at the moment still has its imports.
func survey(t *testing.T) house {
	t.Helper()
	fields := "-json=ImportPath,Imports,TestImports,XTestImports"
	list := exec.CommandContext(t.Context(), "go", "list", "-e", "-deps", "-tags=duckdb_arrow", fields, "./...")
	list.Dir = ".."
	var out, problems bytes.Buffer
	list.Stdout, list.Stderr = &out, &problems
	if err := list.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", list, err, problems.String())
	}
	h := house{}
	for decoder := json.NewDecoder(&out); ; {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return h
		}
		if err != nil {
			t.Fatal(err)
		}
		h[p.ImportPath] = p
	}
}

// TestHouseImports runs with -count=1 where it counts: the result does not depend on this package's files, so that a cached pass
// hides a violation.
func TestHouseImports(t *testing.T) {
	t.Parallel()
	h := survey(t)
	if _, ok := h[module+"sdk"]; !ok {
		t.Fatal("the survey has missed sdk")
	}
	for _, fault := range h.faults() {
		t.Error(fault)
	}
}

func TestHouseRulesFindPlantedViolations(t *testing.T) {
	t.Parallel()
	const (
		nats, iceberg, minio = "github.com/nats-io/nats.go", "github.com/apache/iceberg-go/table", "github.com/minio/minio-go/v7"
		opa, duck            = "github.com/open-policy-agent/opa/v1/rego", "github.com/duckdb/duckdb-go/v2"
	)
	for here, plant := range map[string]struct {
		imports, tests []string // of the repository, or of others with a dot in them
		want           []string // beginnings
	}{
		"cmd/qanat":              {[]string{"core/engine", "registry", "sdk", "specs/proto/pluginv1", "cmd/qanat/flag"}, []string{"core/zone"}, nil},
		"cmd/other":              {[]string{"cmd/qanat"}, nil, []string{"cmd/other imports cmd/qanat; cmd may import only"}},
		"core/engine":            {[]string{"cmd/qanat", "plugins/sink-file"}, nil, []string{"core/engine imports cmd/qanat", "core/engine imports plugins/sink-file"}},
		"core/spec":              {[]string{"core/spec/origin", "registry"}, []string{"core/engine"}, nil},
		"core/spec/origin":       {[]string{"core/policy"}, nil, []string{"core/spec/origin imports core/policy; core/spec may import only"}},
		"core/plan":              {[]string{"core/policy", "core/lineage", "core/spec", "core/zone"}, nil, []string{"core/plan imports core/zone; core/plan may"}},
		"core/broker/deep":       {[]string{nats}, nil, nil},
		"core/flow":              {[]string{nats, minio}, []string{nats}, []string{"core/flow imports " + nats, "core/flow imports " + minio}},
		"core/zone/store":        {[]string{iceberg, minio, "github.com/versity/versitygw/embedgw"}, nil, nil},
		"core/query":             {[]string{duck, iceberg}, nil, []string{"core/query imports " + iceberg + ", which only core/zone may"}},
		"core/policy":            {[]string{opa}, nil, nil},
		"core/api":               {[]string{opa, duck}, nil, []string{"core/api imports " + opa, "core/api imports " + duck}},
		"core/feature":           {[]string{"core/zone/zonetest"}, nil, []string{"core/feature imports core/zone/zonetest, which is for tests"}},
		"core/zone/zonetest":     {[]string{"sdk/plugintest"}, nil, nil},
		"sdk":                    {[]string{"specs/proto/pluginv1"}, []string{"registry"}, []string{"the test of sdk imports registry"}},
		"sdk/wire":               {[]string{"registry", "github.com/a/b"}, nil, []string{"sdk/wire imports registry", "sdk/wire must not depend on github.com/nats-io, but does: sdk/wire → github.com/a/b → " + nats}},
		"registry":               {[]string{"specs/contract", "sdk"}, []string{"sdk"}, []string{"registry imports sdk"}},
		"specs/contract":         {[]string{"specs/policy", "registry"}, nil, []string{"specs/contract imports registry"}},
		"plugins/transform-sql":  {[]string{"sdk", duck}, nil, nil},
		"plugins/sink-file":      {[]string{"sdk/rows", "specs/contract", "plugins/sink-file/internal/x", minio}, nil, nil},
		"plugins/source-file":    {[]string{"specs/proto/pluginv1", "plugins/sink-file"}, []string{"core/zone"}, []string{"plugins/source-file imports plugins/sink-file", "plugins/source-file imports specs/proto/pluginv1", "the test of plugins/source-file imports core/zone"}},
		"plugins/source-shop":    {[]string{"github.com/c/d"}, nil, []string{"plugins/source-shop must not depend on github.com/duckdb, but does: plugins/source-shop → github.com/c/d → " + duck}},
		"plugins/sink-warehouse": {[]string{duck}, nil, []string{"plugins/sink-warehouse imports " + duck, "plugins/sink-warehouse must not depend on"}},
		"internal/pgtest":        {[]string{"core/zone", "internal/pgtest/deep"}, []string{"sdk"}, []string{"internal/pgtest imports core/zone; internal may import only", "the test of internal/pgtest imports sdk"}},
		"core/instance":          {[]string{"internal/pgtest"}, []string{"internal/pgtest"}, []string{"core/instance imports internal/pgtest; core may import only", "core/instance imports internal/pgtest, which is for tests"}},
		"e2e":                    {nil, []string{"e2e/rig", "core/zone", duck}, []string{"the test of e2e imports core/zone"}},
		"tools":                  {[]string{"sdk"}, nil, []string{"tools imports sdk, but no rule covers it"}},
	} {
		t.Run(here, func(t *testing.T) {
			t.Parallel()
			h := house{
				"github.com/a/b": {Imports: []string{"github.com/nats-io/nats.go"}}, "github.com/c/d": {Imports: []string{"github.com/duckdb/duckdb-go/v2"}},
				module + here: {Imports: full(plant.imports), XTestImports: full(plant.tests)},
			}
			begins := cmp.Comparer(func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) })
			if diff := cmp.Diff(plant.want, h.faults(), begins); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// full makes import paths of folders.
func full(folders []string) []string {
	var paths []string
	for _, folder := range folders {
		if !strings.Contains(folder, ".") {
			folder = module + folder
		}
		paths = append(paths, folder)
	}
	return paths
}

// entrance is all that the top level holds, beside entries that begin with a dot.
var entrance = []string{"LICENSE", "Makefile", "README.md", "cmd", "core", "e2e", "go.mod", "go.sum", "internal", "plugins", "registry", "sdk", "specs"}

// strangers compares the entries of the top level with the entrance.
func strangers(entries []string, ignored func(name string) bool) []string {
	var faults []string
	for _, name := range entries {
		if !strings.HasPrefix(name, ".") && !slices.Contains(entrance, name) && !ignored(name) {
			faults = append(faults, name+" has no place at the top level")
		}
	}
	for _, name := range entrance {
		if !slices.Contains(entries, name) {
			faults = append(faults, name+" is missing at the top level")
		}
	}
	return faults
}

func TestHouseTopLevelIsTheDesigns(t *testing.T) {
	t.Parallel()
	found, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	// Build output is what .gitignore names; its patterns at the top level are plain names.
	patterns, err := os.ReadFile(filepath.Join("..", ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	ignored := func(name string) bool {
		for line := range strings.Lines(string(patterns)) {
			if pattern := strings.Trim(strings.TrimSpace(line), "/"); pattern != "" {
				if ok, err := filepath.Match(pattern, name); ok && err == nil {
					return true
				}
			}
		}
		return false
	}
	for _, fault := range strangers(names, ignored) {
		t.Error(fault)
	}
}

func TestHouseRulesFindStrangersAtTheTopLevel(t *testing.T) {
	t.Parallel()
	entries := append([]string{".git", "bin", "util"}, entrance[1:]...)
	want := []string{"util has no place at the top level", "LICENSE is missing at the top level"}
	if diff := cmp.Diff(want, strangers(entries, func(name string) bool { return name == "bin" })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
