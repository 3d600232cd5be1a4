package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
)

// tree is a node of DuckDB's syntax tree: an expression, mostly.
type tree = map[string]any

// relation is what a select of one table gives, with its columns and conditions as expressions of the columns of the input's table.
type relation struct {
	alias   string
	names   []string
	columns []tree
	where   []tree // inner ones first: they shield outer ones from rows
	plain   bool   // it is the table itself, so that expressions over it stand as they are
}

// unraveller takes selects of one table apart, also those within others (subqueries in from, with), into one.
type unraveller struct {
	table []string // the table's columns
	base  string   // what the table is called in the expressions
	depth int      // how many selects there are
}

var errForm = errors.New("it is no plain select … from input [where …], of which at most others like it stand in from or with")

// unravel takes a query apart. The relation's alias is what the input's table is called in the expressions.
func unravel(ctx context.Context, d *database, text string, table []string) (*relation, error) {
	parsed, err := syntaxTree(ctx, d, text)
	if err != nil {
		return nil, err
	}
	node := rootOf(parsed)
	if node == nil {
		return nil, errForm
	}
	u := &unraveller{table: table}
	r, err := u.selected(node, map[string]*relation{})
	if err != nil {
		return nil, err
	}
	if u.depth > 1 {
		stable, err := deterministic(ctx, d, text)
		if err != nil {
			return nil, err
		}
		if !stable {
			return nil, errors.New("selects within selects are not understood where a function gives another value each time: write one select")
		}
	}
	r.alias = u.base
	return r, nil
}

// selected is a select node as a relation. known are the common table expressions around it.
func (u *unraveller) selected(node tree, known map[string]*relation) (*relation, error) {
	u.depth++
	if !projects(node) {
		return nil, errForm
	}
	known, err := u.with(node, known)
	if err != nil {
		return nil, err
	}
	from, err := u.from(node["from_table"], known)
	if err != nil {
		return nil, err
	}
	r := &relation{where: from.where}
	list, _ := node["select_list"].([]any)
	for _, item := range list {
		if err := u.item(r, from, item); err != nil {
			return nil, err
		}
	}
	if where, ok := node["where_clause"].(tree); ok {
		condition, err := (&scope{from: from, aliases: r}).resolve(where)
		if err != nil {
			return nil, err
		}
		r.where = append(slices.Clone(from.where), condition)
	}
	return r, nil
}

// projects says whether a select does nothing but filter and project.
func projects(node tree) bool {
	plain := node["type"] == "SELECT_NODE"
	for _, key := range []string{"modifiers", "group_expressions", "group_sets"} {
		plain = plain && empty(node[key])
	}
	for _, key := range []string{"having", "sample", "qualify"} {
		plain = plain && node[key] == nil
	}
	return plain
}

func (u *unraveller) with(node tree, known map[string]*relation) (map[string]*relation, error) {
	expressions, _ := node["cte_map"].(tree)
	list, _ := expressions["map"].([]any)
	known = maps.Clone(known)
	for _, item := range list {
		one, _ := item.(tree)
		name, _ := one["key"].(string)
		value, _ := one["value"].(tree)
		query, _ := value["query"].(tree)
		inner, _ := query["node"].(tree)
		r, err := u.selected(inner, known)
		if err != nil {
			return nil, err
		}
		if r, err = r.renamed(value["aliases"]); err != nil {
			return nil, err
		}
		known[strings.ToLower(name)] = r
	}
	return known, nil
}

// from is what a select reads.
func (u *unraveller) from(from any, known map[string]*relation) (*relation, error) {
	source, _ := from.(tree)
	alias, _ := source["alias"].(string)
	if source["sample"] != nil {
		return nil, errForm
	}
	switch source["type"] {
	case "BASE_TABLE":
		name, _ := source["table_name"].(string)
		if alias == "" {
			alias = name
		}
		if r, ok := known[strings.ToLower(name)]; ok && source["schema_name"] == "" {
			return r.called(alias, source["column_name_alias"])
		}
		u.base = alias
		r := &relation{plain: true}
		for _, column := range u.table {
			r.names, r.columns = append(r.names, column), append(r.columns, reference(column))
		}
		return r.called(alias, source["column_name_alias"])
	case "SUBQUERY":
		query, _ := source["subquery"].(tree)
		node, _ := query["node"].(tree)
		r, err := u.selected(node, known)
		if err != nil {
			return nil, err
		}
		return r.called(alias, source["column_name_alias"])
	}
	return nil, errForm
}

func reference(names ...string) tree {
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = name
	}
	return tree{"alias": "", "class": "COLUMN_REF", "type": "COLUMN_REF", "query_location": 0, "column_names": list}
}

func (r *relation) called(alias string, columns any) (*relation, error) {
	named, err := r.renamed(columns)
	if err != nil {
		return nil, err
	}
	named.alias = alias
	return named, nil
}

// renamed gives the first columns other names, as in t(a, b).
func (r *relation) renamed(aliases any) (*relation, error) {
	list := texts(aliases)
	named := *r
	if len(list) > len(r.names) {
		return nil, errForm
	}
	named.names = slices.Concat(list, r.names[len(list):])
	named.plain = r.plain && len(list) == 0
	return &named, nil
}

// item adds the columns of an item of the select list.
func (u *unraveller) item(r, from *relation, item any) error {
	expression, _ := item.(tree)
	if expression["class"] == "STAR" {
		return u.star(r, from, expression)
	}
	column, err := (&scope{from: from, aliases: r}).resolve(expression)
	if err != nil {
		return err
	}
	r.names, r.columns = append(r.names, nameOf(expression)), append(r.columns, column)
	return nil
}

// nameOf is what an expression is called; "" if DuckDB makes the name.
func nameOf(expression tree) string {
	if alias, _ := expression["alias"].(string); alias != "" {
		return alias
	}
	if names := texts(expression["column_names"]); expression["class"] == "COLUMN_REF" && len(names) > 0 {
		return names[len(names)-1]
	}
	return ""
}

// star adds the columns that a star stands for.
func (u *unraveller) star(r, from *relation, star tree) error {
	relationName, _ := star["relation_name"].(string)
	named := relationName == "" || strings.EqualFold(relationName, from.alias)
	if star["columns"] != false || star["expr"] != nil || !empty(star["qualified_exclude_list"]) || !named {
		return errors.New("columns(…) and patterns of columns are not understood: name the columns, or use * with exclude, replace and rename")
	}
	gone := texts(star["exclude_list"])
	renamed, replaced := map[string]string{}, map[string]tree{}
	for _, entry := range entries(star["rename_list"]) {
		key, _ := entry["key"].(tree)
		column, _ := key["column"].(string)
		renamed[strings.ToLower(column)], _ = entry["value"].(string)
	}
	for _, entry := range entries(star["replace_list"]) {
		column, _ := entry["key"].(string)
		value, _ := entry["value"].(tree)
		resolved, err := (&scope{from: from, aliases: &relation{}}).resolve(value)
		if err != nil {
			return err
		}
		replaced[strings.ToLower(column)] = resolved
	}
	for i, name := range from.names {
		if slices.ContainsFunc(gone, func(other string) bool { return strings.EqualFold(other, name) }) {
			continue
		}
		column := from.columns[i]
		if other, ok := replaced[strings.ToLower(name)]; ok {
			column = other
		}
		if other, ok := renamed[strings.ToLower(name)]; ok {
			name = other
		}
		r.names, r.columns = append(r.names, name), append(r.columns, column)
	}
	return nil
}
