package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// add makes columns of one value each, in the order of their names.
type add struct {
	path   string
	values map[string]constant
}

// constant is the value of an added column: an array of one row, or of none for a null.
type constant struct {
	kind arrow.DataType
	one  arrow.Array // on Go's heap: it needs no release
}

func compileAdd(path string, values map[string]Constant) (step, error) {
	if len(values) == 0 {
		return nil, sdk.ConfigError(path, "no columns, expected at least one")
	}
	a := add{path: path, values: map[string]constant{}}
	for _, name := range sortedKeys(values) {
		if name == "" {
			return nil, sdk.ConfigError(pointer(path, name), "an empty name")
		}
		c, err := newConstant(values[name])
		if err != nil {
			return nil, sdk.ConfigError(pointer(path, name), "%w", err)
		}
		a.values[name] = c
	}
	return a, nil
}

// newConstant makes the value by the rules of a cast, so that a constant is written as the same text in a column would be.
func newConstant(c Constant) (constant, error) {
	alloc := memory.NewGoAllocator()
	plain, err := literal(c.Value, alloc)
	if err != nil {
		return constant{}, err
	}
	if c.Type == "" {
		if plain == nil {
			return constant{}, fmt.Errorf("a null needs a type: {value: null, type: string}")
		}
		return constant{kind: plain.DataType(), one: plain}, nil
	}
	to, err := parseTarget(c.Type)
	if err != nil || plain == nil {
		return constant{kind: to.kind}, err
	}
	var fault error
	one, err := to.cast(alloc, plain, func(_ int, why error) { fault = why })
	if err != nil || fault != nil {
		return constant{}, fmt.Errorf("%s is no %s: %w", c.Value, c.Type, firstOf(fault, err))
	}
	return constant{kind: to.kind, one: one}, nil
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// literal is a JSON value as an array of one row; nil for null.
func literal(raw json.RawMessage, alloc memory.Allocator) (arrow.Array, error) {
	text := strings.TrimSpace(string(raw))
	if text == "" || text == "null" {
		return nil, nil
	}
	kind := arrow.PrimitiveTypes.Int64
	switch {
	case text == "true", text == "false":
		kind = arrow.FixedWidthTypes.Boolean
	case text[0] == '"':
		kind = arrow.BinaryTypes.String
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, err
		}
	case text[0] == '[', text[0] == '{':
		return nil, fmt.Errorf("%s: expected a text, a number, true, false or null", text)
	case strings.ContainsAny(text, ".eE"):
		kind = arrow.PrimitiveTypes.Float64
	}
	b := array.NewBuilder(alloc, kind)
	defer b.Release()
	if err := b.AppendValueFromString(text); err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	return b.NewArray(), nil
}

func (a add) apply(t *table) error {
	for _, name := range sortedKeys(a.values) {
		if err := t.vacant(pointer(a.path, name), name); err != nil {
			return err
		}
		c := a.values[name]
		values, err := c.repeat(t.rows, t.alloc)
		if err != nil {
			return err
		}
		t.columns = append(t.columns, column{
			field:  arrow.Field{Name: name, Type: c.kind, Nullable: c.one == nil || t.changes != nil || t.lenient},
			values: values, kind: sdk.Derived,
		})
	}
	return nil
}

// repeat doubles the value until there are enough.
func (c constant) repeat(rows int, alloc memory.Allocator) (arrow.Array, error) {
	if c.one == nil {
		return array.MakeArrayOfNull(alloc, c.kind, rows), nil
	}
	values := array.NewSlice(c.one, 0, int64(min(rows, 1)))
	for values.Len() < rows {
		more := array.NewSlice(values, 0, int64(min(values.Len(), rows-values.Len())))
		longer, err := array.Concatenate([]arrow.Array{values, more}, alloc)
		more.Release()
		values.Release()
		if err != nil {
			return nil, err
		}
		values = longer
	}
	return values, nil
}
