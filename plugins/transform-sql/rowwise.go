package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/qanat-data/qanat/sdk"
)

// operator is a node of DuckDB's logical plan as explain (format json) prints it before optimisation. The optimised plan is of no
// use here: on an empty table DuckDB proves most queries to be empty.
type operator struct {
	Name     string         `json:"name"`
	Children []operator     `json:"children"`
	Info     map[string]any `json:"extra_info"`
}

func (o operator) info(key string) string {
	text, _ := o.Info[key].(string)
	return text
}

// cardinalityOf says how the rows of a query relate to those of its input if the query works row by row: that is, if its result for
// a batch is the results for the batch's rows, one after the other. Otherwise the error says what stands against it.
func cardinalityOf(plan string) (sdk.Cardinality, error) {
	var roots []operator
	if err := json.Unmarshal([]byte(plan), &roots); err != nil || len(roots) != 1 {
		return "", fmt.Errorf("duckdb's plan can't be read: %w", err)
	}
	reading, err := make(ctes).follow(roots[0])
	if err != nil {
		return "", err
	}
	if !reading.input {
		return "", fmt.Errorf("the query doesn't read its input")
	}
	return reading.rows, nil
}

// reading is what is known of an operator's rows. Without input they are the same for every batch, and rows is empty.
type reading struct {
	input bool
	rows  sdk.Cardinality
}

// ctes holds the readings of common table expressions by DuckDB's index.
type ctes map[string]reading

// follow judges an operator by what it reads: whatever happens to constants is fine, but rows of the input may only be projected,
// filtered, unnested, stacked, or joined to constants.
func (c ctes) follow(o operator) (reading, error) {
	switch o.Name {
	case "CTE":
		return c.define(o)
	case "CTE_SCAN":
		return c[o.info("CTE Index")], nil
	}
	if len(o.Children) == 0 {
		return leaf(o)
	}
	children := make([]reading, len(o.Children))
	anyInput := false
	for i, child := range o.Children {
		var err error
		if children[i], err = c.follow(child); err != nil {
			return reading{}, err
		}
		anyInput = anyInput || children[i].input
	}
	switch {
	case !anyInput:
		return reading{}, nil
	case len(children) == 1:
		return single(o, children[0])
	case o.Name == "UNION":
		return stacked(children)
	case len(children) == 2:
		return joined(o, children[0], children[1])
	}
	return reading{}, notRowWise(o)
}

// define remembers what a common table expression reads and goes on with the query that uses it.
func (c ctes) define(o operator) (reading, error) {
	if len(o.Children) != 2 {
		return reading{}, notRowWise(o)
	}
	definition, err := c.follow(o.Children[0])
	if err != nil {
		return reading{}, err
	}
	c[o.info("Table Index")] = definition
	return c.follow(o.Children[1])
}

func leaf(o operator) (reading, error) {
	switch {
	case o.Name == "SEQ_SCAN" || o.info("Table") != "":
		return reading{input: true, rows: sdk.OneToOne}, nil
	case o.Name == "ARROW_SCAN":
		return reading{}, notRowWise(o)
	}
	return reading{}, nil
}

func single(o operator, child reading) (reading, error) {
	switch o.Name {
	case "PROJECTION":
		return child, nil
	case "FILTER":
		return reading{input: true, rows: wider(child.rows, sdk.Filters)}, nil
	case "UNNEST":
		return reading{input: true, rows: sdk.AnyRows}, nil
	}
	return reading{}, notRowWise(o)
}

// stacked is UNION ALL; constants stacked on the rows of the input would come once per batch.
func stacked(children []reading) (reading, error) {
	for _, child := range children {
		if !child.input {
			return reading{}, fmt.Errorf("it adds constant rows (union), which would come again with every batch")
		}
	}
	return reading{input: true, rows: sdk.AnyRows}, nil
}

// joined allows a join of the input to what doesn't depend on it, as long as no constant row can come without a row of the input.
func joined(o operator, left, right reading) (reading, error) {
	if left.input && right.input {
		return reading{}, fmt.Errorf("it joins the input to itself")
	}
	kind := o.info("Join Type")
	outer := "LEFT"
	child := left
	if right.input {
		child, outer = right, "RIGHT"
	}
	switch {
	case o.Name == "POSITIONAL_JOIN" || o.Name == "DEPENDENT_JOIN" && right.input:
		return reading{}, notRowWise(o)
	case o.Name == "CROSS_PRODUCT" || kind == "INNER" || kind == outer:
		return reading{input: true, rows: sdk.AnyRows}, nil
	case left.input && (kind == "SINGLE" || kind == "MARK"):
		return child, nil
	case left.input && (kind == "SEMI" || kind == "ANTI"):
		return reading{input: true, rows: wider(child.rows, sdk.Filters)}, nil
	}
	return reading{}, notRowWise(o)
}

func wider(a, b sdk.Cardinality) sdk.Cardinality {
	if a == sdk.AnyRows || b == sdk.AnyRows {
		return sdk.AnyRows
	}
	if a == sdk.Filters || b == sdk.Filters {
		return sdk.Filters
	}
	return sdk.OneToOne
}

// notRowWise names in the terms of SQL what DuckDB calls an operator.
func notRowWise(o operator) error {
	known := map[string]string{
		"AGGREGATE": "an aggregation", "WINDOW": "a window function", "DISTINCT": "distinct", "ORDER_BY": "order by", "LIMIT": "limit",
		"TOP_N": "order by with limit", "SAMPLE": "a sample", "PIVOT": "pivot", "EXCEPT": "except", "INTERSECT": "intersect",
		"REC_CTE": "a recursive query", "POSITIONAL_JOIN": "a positional join",
	}
	what, ok := known[o.Name]
	if !ok {
		what = strings.ToLower(strings.TrimSpace(o.info("Join Type") + " " + strings.ReplaceAll(o.Name, "_", " ")))
	}
	return fmt.Errorf("it has %s over the rows of the input", what)
}
