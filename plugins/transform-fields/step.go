package main

import (
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// step changes a table. What it does to the schema depends on the schema alone, so that a plan is a run without rows.
type step interface {
	apply(t *table) error
}

type pick struct {
	path  string
	names []string
}

func (p pick) apply(t *table) error {
	picked := make([]column, len(p.names))
	for i, name := range p.names {
		at, err := t.index(p.path+"/"+strconv.Itoa(i), name)
		if err != nil {
			return err
		}
		picked[i] = t.columns[at]
	}
	for _, c := range t.columns {
		if !slices.Contains(p.names, c.field.Name) {
			c.values.Release()
		}
	}
	t.columns = picked
	t.unchanged(func(name string) []string {
		if slices.Contains(p.names, name) {
			return []string{name}
		}
		return nil
	})
	return nil
}

type drop struct {
	path  string
	names []string
}

func (d drop) apply(t *table) error {
	for i, name := range d.names {
		at, err := t.index(d.path+"/"+strconv.Itoa(i), name)
		if err != nil {
			return err
		}
		t.columns[at].values.Release()
		t.columns = slices.Delete(t.columns, at, at+1)
	}
	t.unchanged(func(name string) []string {
		if slices.Contains(d.names, name) {
			return nil
		}
		return []string{name}
	})
	return nil
}

type rename struct {
	path  string
	names map[string]string
}

func (r rename) apply(t *table) error {
	at := map[string]int{}
	for _, old := range sortedKeys(r.names) {
		i, err := t.index(pointer(r.path, old), old)
		if err != nil {
			return err
		}
		if err := t.reserved(pointer(r.path, old), r.names[old]); err != nil {
			return err
		}
		at[old] = i
	}
	for old, i := range at {
		t.columns[i].field.Name = r.names[old]
	}
	for old, i := range at {
		if t.find(r.names[old]) != i || slices.Contains(t.names()[i+1:], r.names[old]) {
			return sdk.ConfigError(pointer(r.path, old), "input %q would have two columns %q", t.input, r.names[old])
		}
	}
	t.unchanged(func(name string) []string {
		if now, ok := r.names[name]; ok {
			return []string{now}
		}
		return []string{name}
	})
	return nil
}

// duplicate is the action copy.
type duplicate struct {
	path string
	from map[string]string
}

func (d duplicate) apply(t *table) error {
	copies := map[string][]string{}
	for _, name := range sortedKeys(d.from) {
		at, err := t.index(pointer(d.path, name), d.from[name])
		if err != nil {
			return err
		}
		if err := t.vacant(pointer(d.path, name), name); err != nil {
			return err
		}
		c := t.columns[at]
		c.values.Retain()
		c.field.Name, c.origin, c.kind = name, "", sdk.Derived
		t.columns = append(t.columns, c)
		copies[d.from[name]] = append(copies[d.from[name]], name)
	}
	t.unchanged(func(name string) []string { return append([]string{name}, copies[name]...) })
	return nil
}

type flatten struct {
	Flatten
	path string
}

func (f flatten) apply(t *table) error {
	at, err := t.index(f.path+"/column", f.Column)
	if err != nil {
		return err
	}
	from := t.columns[at]
	group, ok := from.values.(*array.Struct)
	if !ok || !flat(group) {
		return sdk.ConfigError(f.path+"/column", "column %q of input %q is %s, expected a struct without unions", f.Column, t.input, from.field.Type)
	}
	var made []column
	var names []string
	for i, field := range from.field.Type.(*arrow.StructType).Fields() {
		field.Name = f.Column + f.Separator + field.Name
		field.Nullable = field.Nullable || from.field.Nullable
		names = append(names, field.Name)
		made = append(made, column{field: field, values: childOf(group, i, t.alloc), inputs: from.inputs, kind: derivedFrom(from)})
	}
	from.values.Release()
	t.columns = slices.Replace(t.columns, at, at+1, made...)
	for i, name := range t.names() {
		if err := t.reserved(f.path, name); err != nil {
			return err
		}
		if slices.Contains(t.names()[:i], name) {
			return sdk.ConfigError(f.path, "input %q would have two columns %q: choose another separator, or drop or rename one", t.input, name)
		}
	}
	t.unchanged(func(name string) []string {
		if name == f.Column {
			return names
		}
		return []string{name}
	})
	return nil
}

// flat says whether nulls of the struct can be written into its fields.
func flat(group *array.Struct) bool {
	return !slices.ContainsFunc(group.DataType().(*arrow.StructType).Fields(), func(f arrow.Field) bool {
		return f.Type.ID() != arrow.NULL && slices.Contains(withoutNulls(), f.Type.ID())
	})
}

// derivedFrom keeps the kind of a column that has no inputs or was made from several.
func derivedFrom(c column) sdk.LineageKind {
	if c.kind == sdk.Identity {
		return sdk.Derived
	}
	return c.kind
}

// childOf is a field of a struct column, null where the struct is null.
func childOf(group *array.Struct, i int, alloc memory.Allocator) arrow.Array {
	return nulled(group.Field(i), alloc, group.IsNull)
}
