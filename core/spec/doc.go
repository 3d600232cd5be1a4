// Package spec reads the files that operators write, qanat.yaml, pipelines, connections and overlays,
// into typed specs. Load finds the files of a project, lays overlays over them, fills connections in,
// checks what can be checked from the files alone, and reports every fault at once with its place.
//
// Text may refer to values kept elsewhere, ${env:NAME} and ${file:path}: a loaded spec holds the
// references, and a Resolver turns them into values where they are needed.
//
// What needs plugins, tables or policies is checked by package plan. How YAML text becomes trees with
// positions is in package yamltree.
//
//go:generate go test -run TestPublishedSchemasAreCurrent -update .
package spec
