package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// scope is what names mean in an expression: columns of what is read, or else columns of the select list before it.
type scope struct {
	from    *relation
	aliases *relation
	hidden  []string // parameters of lambdas around
	nested  bool     // within a subquery
}

// resolve rewrites an expression of a select into one over the input's table.
func (s *scope) resolve(node tree) (tree, error) {
	switch node["class"] {
	case "COLUMN_REF":
		return s.column(node)
	case "STAR":
		if !s.nested {
			return nil, errors.New("a star within an expression is not understood: name the columns")
		}
	case "POSITIONAL_REFERENCE":
		return nil, errors.New("a column is named by its place (#1): give its name")
	case "SUBQUERY":
		if !s.from.plain {
			return nil, errors.New("a subquery within an expression is only understood where the select reads the input itself")
		}
		inner := *s
		inner.nested, inner.aliases = true, &relation{}
		return inner.children(node)
	case "LAMBDA":
		inner := *s
		inner.hidden = append(slices.Clone(s.hidden), parameters(node["lhs"])...)
		return inner.children(node)
	}
	return s.children(node)
}

// parameters are the names of a lambda's parameters: a name, or a row of them.
func parameters(node any) []string {
	one, _ := node.(tree)
	names := texts(one["column_names"])
	list, _ := one["children"].([]any)
	for _, child := range list {
		names = append(names, parameters(child)...)
	}
	return names
}

func (s *scope) children(node tree) (tree, error) {
	out := make(tree, len(node))
	for key, value := range node {
		resolved, err := s.value(value)
		if err != nil {
			return nil, err
		}
		out[key] = resolved
	}
	return out, nil
}

func (s *scope) value(value any) (any, error) {
	switch value := value.(type) {
	case tree:
		return s.resolve(value)
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			resolved, err := s.value(item)
			if err != nil {
				return nil, err
			}
			out[i] = resolved
		}
		return out, nil
	}
	return value, nil
}

func (s *scope) column(node tree) (tree, error) {
	names := texts(node["column_names"])
	if len(names) == 0 || containsFold(s.hidden, names[0]) {
		return node, nil
	}
	if len(names) > 1 && strings.EqualFold(names[0], s.from.alias) && indexFold(s.from.names, names[1]) >= 0 {
		if s.from.plain {
			return node, nil
		}
		names = names[1:]
	}
	if i := indexFold(s.from.names, names[0]); i >= 0 {
		if s.from.plain {
			return node, nil
		}
		return instead(node, s.from.columns[i], names[1:])
	}
	if len(names) == 1 && strings.EqualFold(names[0], s.from.alias) {
		return nil, fmt.Errorf("%q stands for a whole row: name its columns", names[0])
	}
	if i := indexFold(s.aliases.names, names[0]); i >= 0 {
		return instead(node, s.aliases.columns[i], names[1:])
	}
	return node, nil // of a subquery, or a keyword such as current_date
}

// instead puts an expression in the place of a reference, of which fields may be asked.
func instead(node, expression tree, fields []string) (tree, error) {
	out := maps.Clone(expression)
	out["alias"] = node["alias"]
	if len(fields) == 0 {
		return out, nil
	}
	if expression["class"] != "COLUMN_REF" {
		return nil, fmt.Errorf("field %q of a column that is made in the query is not understood: use struct_extract", fields[0])
	}
	full := reference(append(texts(expression["column_names"]), fields...)...)
	full["alias"] = node["alias"]
	return full, nil
}

func texts(list any) []string {
	items, _ := list.([]any)
	var out []string
	for _, item := range items {
		if text, ok := item.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

func entries(list any) []tree {
	items, _ := list.([]any)
	var out []tree
	for _, item := range items {
		if entry, ok := item.(tree); ok {
			out = append(out, entry)
		}
	}
	return out
}

func indexFold(names []string, name string) int {
	return slices.IndexFunc(names, func(other string) bool { return strings.EqualFold(other, name) })
}

func containsFold(names []string, name string) bool { return indexFold(names, name) >= 0 }
