package sample

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
)

// document is a schema file. YAML's order of keys is the order of columns.
type document struct {
	Columns yaml.MapSlice `yaml:"columns"`
	Inputs  yaml.MapSlice `yaml:"inputs"`
}

// Parse reads a schema file: columns, for one input of the given name, or inputs, by name, with columns each. A column is a type
// (see ParseType) or a mapping with type, values (to choose from) and required (never null).
func Parse(raw []byte, name string) ([]Input, error) {
	var d document
	if err := yaml.UnmarshalWithOptions(raw, &d, yaml.Strict(), yaml.UseOrderedMap()); err != nil {
		return nil, fmt.Errorf("schema file: %w", err)
	}
	if (len(d.Columns) > 0) == (len(d.Inputs) > 0) {
		return nil, errors.New("schema file: expected either columns or inputs")
	}
	if len(d.Columns) > 0 {
		columns, err := parseColumns(d.Columns)
		return []Input{{Name: name, Columns: columns}}, err
	}
	var inputs []Input
	for _, item := range d.Inputs {
		given, ok := item.Value.(yaml.MapSlice)
		if !ok {
			return nil, fmt.Errorf("schema file: input %v: expected columns", item.Key)
		}
		columns, err := parseColumns(given)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, Input{Name: fmt.Sprint(item.Key), Columns: columns})
	}
	return inputs, nil
}

func parseColumns(given yaml.MapSlice) ([]Column, error) {
	var columns []Column
	for _, item := range given {
		c := Column{Name: fmt.Sprint(item.Key)}
		text, isText := item.Value.(string)
		if !isText {
			detail, ok := item.Value.(yaml.MapSlice)
			if !ok {
				return nil, fmt.Errorf("schema file: column %q: expected a type, or type, values and required", c.Name)
			}
			var err error
			if text, err = c.detail(detail); err != nil {
				return nil, err
			}
		}
		var err error
		if c.Type, err = ParseType(text); err != nil {
			return nil, fmt.Errorf("schema file: column %q: %w", c.Name, err)
		}
		columns = append(columns, c)
	}
	return columns, nil
}

// detail reads the long form of a column and returns its type.
func (c *Column) detail(given yaml.MapSlice) (string, error) {
	text := ""
	for _, item := range given {
		var ok bool
		switch item.Key {
		case "type":
			text, ok = item.Value.(string)
		case "required":
			c.Solid, ok = item.Value.(bool)
		case "values":
			var values []any
			values, ok = item.Value.([]any)
			for _, v := range values {
				c.Values = append(c.Values, fmt.Sprint(v))
			}
		default:
			return "", fmt.Errorf("schema file: column %q: %q is unknown, allowed are type, values, required", c.Name, item.Key)
		}
		if !ok {
			return "", fmt.Errorf("schema file: column %q: %v is of a wrong type", c.Name, item.Key)
		}
	}
	return text, nil
}
