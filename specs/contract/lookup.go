package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotFound marks errors about names that a contract doesn't have.
var ErrNotFound = errors.New("not in the contract")

// Object finds a schema object by name or, failing that, by physicalName. An empty name means the only object that
// there is. The error wraps ErrNotFound and lists what there is.
func (c *Contract) Object(name string) (*Object, error) {
	if name == "" && len(c.Schema) == 1 {
		return &c.Schema[0], nil
	}
	byName := func(o Object) bool { return name != "" && o.Name == name }
	byPhysical := func(o Object) bool { return name != "" && o.PhysicalName == name }
	for _, match := range []func(Object) bool{byName, byPhysical} {
		if i := slices.IndexFunc(c.Schema, match); i >= 0 {
			return &c.Schema[i], nil
		}
	}
	names := make([]string, len(c.Schema))
	for i := range c.Schema {
		names[i] = c.Schema[i].Name
	}
	return nil, fmt.Errorf("schema object %q: %w: %s", name, ErrNotFound, listed(names))
}

func listed(names []string) string {
	if len(names) == 0 {
		return "there are none"
	}
	return "there are " + strings.Join(names, ", ")
}

// property finds a property by its dotted path of names.
func (o *Object) property(path string) (*Property, error) {
	level := o.Properties
	var found *Property
	for part := range strings.SplitSeq(path, ".") {
		i := slices.IndexFunc(level, func(p Property) bool { return p.Name == part })
		if i < 0 {
			names := make([]string, len(level))
			for j := range level {
				names[j] = level[j].Name
			}
			return nil, fmt.Errorf("property %q: %w: %s", path, ErrNotFound, listed(names))
		}
		found = &level[i]
		level = found.Properties
	}
	return found, nil
}
