package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// probe is a query that finds the rows that the operator's query fails on in one pass: it evaluates every expression under try().
// Only queries of one table have one; for the others rows are found by halving.
type probe struct {
	query   string
	reasons []string // by what the query gives for a row, less one
}

// newProbe takes the query apart; nil if it isn't simple enough, or if DuckDB refuses to try one of its expressions.
func newProbe(ctx context.Context, d *database, text string) (*probe, error) {
	tree, err := syntaxTree(ctx, d, text)
	if err != nil || tree == nil {
		return nil, err
	}
	node, ok := plainSelect(tree)
	if !ok {
		return nil, nil
	}
	p := &probe{}
	if err := p.write(ctx, d, node); err != nil || len(p.reasons) == 0 {
		return nil, ctx.Err() // what can't be written down again is found by halving
	}
	prepared, err := d.conn.Prepare(p.query)
	if err != nil {
		return nil, ctx.Err() // so is what can't be tried, such as a random number
	}
	return p, prepared.Close()
}

// plainSelect gives the select node if it reads one table and does nothing but filter and project.
func plainSelect(tree map[string]any) (map[string]any, bool) {
	node := rootOf(tree)
	from, _ := node["from_table"].(map[string]any)
	ctes, _ := node["cte_map"].(map[string]any)
	plain := node["type"] == "SELECT_NODE" && from["type"] == "BASE_TABLE" && from["sample"] == nil && empty(ctes["map"])
	for _, key := range []string{"modifiers", "group_expressions", "group_sets"} {
		plain = plain && empty(node[key])
	}
	for _, key := range []string{"having", "sample", "qualify"} {
		plain = plain && node[key] == nil
	}
	return node, plain
}

// rootOf is the node of a tree's one statement; nil if there isn't just one.
func rootOf(tree map[string]any) map[string]any {
	statements, _ := tree["statements"].([]any)
	if len(statements) != 1 {
		return nil
	}
	statement, _ := statements[0].(map[string]any)
	node, _ := statement["node"].(map[string]any)
	return node
}

func empty(list any) bool {
	items, ok := list.([]any)
	return ok && len(items) == 0
}

func (p *probe) write(ctx context.Context, d *database, node map[string]any) error {
	from, err := source(ctx, d, node["from_table"])
	if err != nil {
		return err
	}
	var cases strings.Builder
	if where := node["where_clause"]; where != nil {
		text, err := expression(ctx, d, where)
		if err != nil {
			return err
		}
		p.add(&cases, text, "the condition ")
		fmt.Fprintf(&cases, " when not coalesce(try({'v': %s}).v, false) then 0", text)
	}
	list, _ := node["select_list"].([]any)
	for _, item := range list {
		if harmless(item) {
			continue
		}
		text, err := expression(ctx, d, item)
		if err != nil {
			return err
		}
		p.add(&cases, text, "")
	}
	p.query = "select (case" + cases.String() + " else 0 end)::integer " + from
	return nil
}

func (p *probe) add(cases *strings.Builder, expression, what string) {
	p.reasons = append(p.reasons, fmt.Sprintf("can't evaluate %s%s on this row", what, expression))
	fmt.Fprintf(cases, " when try({'v': %s}) is null then %d", expression, len(p.reasons))
}

// harmless says whether an item of the select list can't fail: a column, a constant or a bare star.
func harmless(item any) bool {
	expression, _ := item.(map[string]any)
	switch expression["class"] {
	case "COLUMN_REF", "CONSTANT":
		return true
	case "STAR":
		return expression["columns"] == false && expression["expr"] == nil && empty(expression["replace_list"])
	}
	return false
}

// expression is the SQL of an expression of the syntax tree.
func expression(ctx context.Context, d *database, item any) (string, error) {
	fields, _ := item.(map[string]any)
	if fields["class"] == "STAR" {
		return "", errors.New("a star stands for several expressions")
	}
	plain := maps.Clone(fields)
	plain["alias"] = ""
	text, err := rewrite(ctx, d, "select 1", "select_list", []any{plain})
	return strings.TrimPrefix(text, "SELECT "), err
}

// source is the SQL of a from clause of the syntax tree.
func source(ctx context.Context, d *database, from any) (string, error) {
	text, err := rewrite(ctx, d, "select * from input", "from_table", from)
	return strings.TrimPrefix(text, "SELECT * "), err
}

// rewrite puts a part of a syntax tree into another query and gives that query's SQL.
func rewrite(ctx context.Context, d *database, query, part string, value any) (string, error) {
	tree, err := syntaxTree(ctx, d, query)
	if err != nil {
		return "", err
	}
	node := rootOf(tree)
	if node == nil {
		return "", errors.New("duckdb's syntax tree has another form than expected")
	}
	node[part] = value
	changed, err := json.Marshal(tree)
	if err != nil {
		return "", err
	}
	rows, err := d.rows(ctx, "select json_deserialize_sql(?::json)", string(changed))
	if err != nil {
		return "", err
	}
	return rows[0][0], nil
}

// ask runs the probe over the rows that are in the table now. It gives nil if it has nothing to say.
func (p *probe) ask(ctx context.Context, d *database, rows int64) ([]string, error) {
	_, records, err := d.records(ctx, p.query)
	if err != nil {
		if blamesRow(err) {
			return nil, nil
		}
		return nil, err
	}
	defer releaseAll(records)
	reasons := make([]string, 0, rows)
	for _, record := range records {
		reasons = append(reasons, p.read(record)...)
	}
	if int64(len(reasons)) != rows {
		return nil, nil
	}
	return reasons, nil
}

func (p *probe) read(record arrow.RecordBatch) []string {
	codes, ok := record.Column(0).(*array.Int32)
	if !ok {
		return nil
	}
	reasons := make([]string, codes.Len())
	for i := range reasons {
		if code := int(codes.Value(i)); code > 0 && code <= len(p.reasons) {
			reasons[i] = p.reasons[code-1]
		}
	}
	return reasons
}
