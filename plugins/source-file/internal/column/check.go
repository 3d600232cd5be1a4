package column

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// What the columns of a stream may be: the schema is part of the position, which has a limit of its own.
const (
	MaxColumns = 10_000 // those inside structs and lists included
	MaxName    = 512    // bytes
)

// Check refuses columns that a stream can't have: too many, without a name, with one that is too long or that is there twice.
func Check(fields []arrow.Field) error {
	if n := Count(fields); n > MaxColumns {
		return fmt.Errorf("%d columns, at most %d are allowed", n, MaxColumns)
	}
	return checkNames("", fields)
}

func checkNames(path string, fields []arrow.Field) error {
	seen := make(map[string]bool, len(fields))
	for i, f := range fields {
		switch {
		case f.Name == "":
			return fmt.Errorf("column %d%s has no name", i+1, path)
		case len(f.Name) > MaxName:
			return fmt.Errorf("the name of column %d%s has %d bytes, at most %d are allowed", i+1, path, len(f.Name), MaxName)
		case seen[f.Name]:
			return fmt.Errorf("column %q%s occurs twice", f.Name, path)
		}
		seen[f.Name] = true
		if nested, ok := f.Type.(*arrow.StructType); ok {
			if err := checkNames(fmt.Sprintf(" of %q", f.Name), nested.Fields()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Count is the number of columns, those inside others included.
func Count(fields []arrow.Field) int {
	n := len(fields)
	for _, f := range fields {
		if nested, ok := f.Type.(arrow.NestedType); ok {
			n += Count(nested.Fields())
		}
	}
	return n
}
