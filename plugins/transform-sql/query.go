package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/qanat-data/qanat/sdk"
)

// inspect checks that the text is one SELECT that fits the tables there are, and names the columns of its result with their DuckDB
// types. blame begins each message.
func inspect(ctx context.Context, d *database, text, blame string) ([]resultColumn, error) {
	prepared, err := d.conn.Prepare(text)
	if err != nil {
		if _, ok := errors.AsType[*duckdb.Error](err); !ok && ctx.Err() == nil {
			return nil, sdk.ConfigError("/query", "expected one SELECT, found none or several statements (pivot needs its values listed with in)")
		}
		return nil, planFault(ctx, blame, err)
	}
	defer prepared.Close()
	selected := prepared.(*duckdb.Stmt)
	kind, err := selected.StatementType()
	if err != nil {
		return nil, planFault(ctx, blame, err)
	}
	if kind != duckdb.STATEMENT_TYPE_SELECT {
		return nil, sdk.ConfigError("/query", "expected a SELECT, this is another kind of statement")
	}
	if n := selected.NumInput(); n > 0 {
		return nil, sdk.ConfigError("/query", "has %d parameters, which nothing fills; write the values into the query", n)
	}
	return resultColumns(ctx, selected, blame)
}

func resultColumns(ctx context.Context, selected *duckdb.Stmt, blame string) ([]resultColumn, error) {
	count, err := selected.ColumnCount()
	if err != nil {
		return nil, planFault(ctx, blame, err)
	}
	columns := make([]resultColumn, count)
	var seen []string
	for i := range columns {
		name, nameErr := selected.ColumnName(i)
		kind, kindErr := selected.ColumnType(i)
		if err := errors.Join(nameErr, kindErr); err != nil {
			return nil, planFault(ctx, blame, err)
		}
		if slices.Contains(seen, strings.ToLower(name)) {
			return nil, sdk.ConfigError("/query", "gives two columns the name %q; name one of them with as", name)
		}
		seen = append(seen, strings.ToLower(name))
		columns[i] = resultColumn{name: name, kind: kind}
	}
	return columns, nil
}

// logicalPlan is DuckDB's plan before optimisation, as JSON.
func logicalPlan(ctx context.Context, d *database, text string) (string, error) {
	rows, err := d.rows(ctx, "explain (format json) "+text)
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		if len(row) == 2 && row[0] == "logical_plan" {
			return row[1], nil
		}
	}
	return "", errors.New("duckdb gave no logical plan")
}

// deterministic says whether the same rows give the same result at another time, as far as the functions that the query calls can
// tell. A query that can't be taken apart counts as not deterministic.
func deterministic(ctx context.Context, d *database, text string) (bool, error) {
	tree, err := syntaxTree(ctx, d, text)
	if err != nil {
		return false, err
	}
	rows, err := d.rows(ctx, "select distinct function_name from duckdb_functions() where stability <> 'CONSISTENT' and function_name <> 'error'")
	if err != nil {
		return false, err
	}
	changing := map[string]bool{"current_timestamp": true, "current_time": true, "localtime": true, "localtimestamp": true}
	for _, row := range rows {
		changing[row[0]] = true
	}
	return tree != nil && !changes(tree, changing), nil
}

// syntaxTree is DuckDB's parse of the query as JSON; nil if it has none.
func syntaxTree(ctx context.Context, d *database, text string) (map[string]any, error) {
	rows, err := d.rows(ctx, "select json_serialize_sql(?::varchar)::varchar", text)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(strings.NewReader(rows[0][0]))
	decoder.UseNumber() // some places are unsigned 64-bit numbers
	var tree map[string]any
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	if failed, _ := tree["error"].(bool); failed {
		return nil, nil
	}
	return tree, nil
}

// changes looks for a call of one of the functions, written as one or as a bare keyword, and for a sample without a seed.
func changes(tree any, functions map[string]bool) bool {
	switch tree := tree.(type) {
	case []any:
		return slices.ContainsFunc(tree, func(item any) bool { return changes(item, functions) })
	case map[string]any:
		if name, _ := tree["function_name"].(string); functions[strings.ToLower(name)] {
			return true
		}
		if names, _ := tree["column_names"].([]any); len(names) == 1 {
			name, _ := names[0].(string)
			return functions[strings.ToLower(name)]
		}
		if sample, _ := tree["sample"].(map[string]any); sample != nil && sample["seed"] == json.Number("-1") {
			return true
		}
		for _, item := range tree {
			if changes(item, functions) {
				return true
			}
		}
	}
	return false
}
