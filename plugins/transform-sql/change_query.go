package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// Columns of the table that a query over change data runs on, beside those of the input's table. They tell what a row is asked.
const (
	placeColumn  = "__qanat_place"  // of the row in its batch
	judgedColumn = "__qanat_judged" // whether the conditions count for the row
	holdsColumn  = "__qanat_holds"  // whether they hold for it
	wantedColumn = "__qanat_wanted" // which of the result's columns are wanted, a bit each
)

// wantedBits is how many columns one integer tells of.
const wantedBits = 63

// changeQuery is a query over change data, which is not run as it was written: of each row only those columns are computed that can
// be, and a row that the conditions leave out tells what is gone.
type changeQuery struct {
	stream  string
	at      change.Indexes
	input   *arrow.Schema // as it comes
	table   []int         // places of the table's columns in it
	key     []int         // of these; none if there is no key
	columns []projected
	where   *condition
	alias   string // of the table in expressions
	outKey  []string
	schema  *arrow.Schema // of what comes out
	before  *arrow.StructType
}

// projected is a column of the result.
type projected struct {
	name   string
	text   string // over the table's columns
	reads  []int  // the table's columns that it is made from
	same   int    // the column that it is, -1 if it is made
	ofKey  bool   // it is set in deletions, because it is the key, or is made from the key where that is gone
	simple bool   // it can't fail
	boxed  bool   // its type is one that DuckDB knows no case expression of
}

// where is the SQL of the column where a condition holds, and else of null. DuckDB evaluates it on no other rows.
func (p projected) where(condition string) string {
	if p.boxed {
		return fmt.Sprintf("list_extract(case when %s then [%s] end, 1)", condition, p.text)
	}
	return fmt.Sprintf("case when %s then %s end", condition, p.text)
}

// condition is what the query asks of rows.
type condition struct {
	text  string
	reads []int
}

// isChanges says whether the rows of an input are changes, or what is wrong with its change columns.
func isChanges(in sdk.SchemaChange) (bool, error) {
	at, err := change.Columns(in.Schema)
	if err != nil {
		return false, sdk.Fatal(fmt.Errorf("input %q: %w", in.Stream, err))
	}
	return at.Op >= 0, nil
}

// changeTable is the schema of the table that the query runs on.
func changeTable(in *arrow.Schema, words int) *arrow.Schema {
	fields := change.Table(in).Fields()
	for i := range fields {
		fields[i].Nullable = true // old rows may lack anything
	}
	fields = append(fields,
		arrow.Field{Name: placeColumn, Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: judgedColumn, Type: arrow.FixedWidthTypes.Boolean})
	for i := range words {
		fields = append(fields, arrow.Field{Name: wanted(i), Type: arrow.PrimitiveTypes.Int64})
	}
	return arrow.NewSchema(fields, nil)
}

func wanted(word int) string { return fmt.Sprintf("%s_%d", wantedColumn, word) }

func wordsFor(columns int) int { return columns/wantedBits + 1 }

// newChangeQuery takes a query apart, of which the result is known.
func newChangeQuery(ctx context.Context, d *database, in sdk.SchemaChange, text string, result *arrow.Schema) (*changeQuery, error) {
	q := &changeQuery{stream: in.Stream, input: in.Schema}
	var err error
	if q.at, err = change.Columns(in.Schema); err != nil {
		return nil, err
	}
	var table []string
	for i, field := range in.Schema.Fields() {
		if !slices.Contains(change.Names(), field.Name) {
			q.table, table = append(q.table, i), append(table, field.Name)
		}
	}
	for _, column := range in.Key {
		at := slices.Index(table, column)
		if at < 0 {
			return nil, fmt.Errorf("the input has no column %q, which is in its key", column)
		}
		q.key = append(q.key, at)
	}
	r, err := unravel(ctx, d, text, table)
	if err != nil {
		return nil, err
	}
	if len(r.columns) != result.NumFields() {
		return nil, fmt.Errorf("it has %d columns, of which %d are understood", result.NumFields(), len(r.columns))
	}
	q.alias = r.alias
	if err := q.project(ctx, d, r, result, table); err != nil {
		return nil, err
	}
	q.findKey(in)
	return q, q.judge(ctx, d, r, table)
}

// findKey says which columns tell whose row it is: those that are the input's key or, if it is not passed on, those that are made from
// nothing else. If nobody says what the key is, it may be in any column that passes as it is.
func (q *changeQuery) findKey(in sdk.SchemaChange) {
	plan := sdk.Plan{Cardinality: sdk.OneToOne}
	for _, p := range q.columns {
		if p.same >= 0 {
			from := []sdk.ColumnRef{{Input: in.Stream, Column: q.columnName(p.same)}}
			plan.Lineage = append(plan.Lineage, sdk.ColumnLineage{Column: p.name, Kind: sdk.Identity, Inputs: from})
		}
	}
	q.outKey = plan.KeyOf(sdk.PlannedOutput{}, []sdk.SchemaChange{in})
	for i, p := range q.columns {
		if len(q.key) == 0 {
			q.columns[i].ofKey = p.same >= 0
			continue
		}
		outside := slices.ContainsFunc(p.reads, func(column int) bool { return !slices.Contains(q.key, column) })
		q.columns[i].ofKey = len(q.outKey) > 0 && slices.Contains(q.outKey, p.name) || len(q.outKey) == 0 && len(p.reads) > 0 && !outside
	}
}

// columnName is the name of a column of the table.
func (q *changeQuery) columnName(i int) string { return q.input.Field(q.table[i]).Name }

// whole is the query as it is run over a table: each row gives a row.
func (q *changeQuery) whole(table string) string {
	var list strings.Builder
	fmt.Fprintf(&list, "select %s, %s", placeColumn, holdsColumn)
	for i, p := range q.columns {
		guard := q.wants(i)
		if q.where != nil && !p.ofKey {
			guard += " and " + holdsColumn
		}
		fmt.Fprintf(&list, ", %s as %s", p.where(guard), identifier(p.name))
	}
	passes := "true"
	if q.where != nil {
		passes = fmt.Sprintf("case when %s then %s else true end", judgedColumn, q.where.text)
	}
	return fmt.Sprintf("%s from (select *, %s as %s from %s as %s) as %s", &list, passes, holdsColumn, table, identifier(q.alias), identifier(q.alias))
}

// wants is the SQL that says whether a column is wanted in a row.
func (q *changeQuery) wants(i int) string {
	return fmt.Sprintf("(%s & %d) <> 0", wanted(i/wantedBits), int64(1)<<(i%wantedBits))
}

// probe is the query that finds the rows that the other one fails on.
func (q *changeQuery) probe(ctx context.Context, d *database, table string) (*probe, error) {
	p := &probe{}
	var cases strings.Builder
	add := func(guarded, text, what string) {
		p.reasons = append(p.reasons, fmt.Sprintf("can't evaluate %s%s on this row", what, text))
		fmt.Fprintf(&cases, " when try({'v': %s}) is null then %d", guarded, len(p.reasons))
	}
	each := func(ofKey bool) {
		for i, c := range q.columns {
			if c.ofKey == ofKey && !c.simple {
				add(c.where(q.wants(i)), c.text, "")
			}
		}
	}
	if q.where != nil {
		judged := fmt.Sprintf("case when %s then %s else true end", judgedColumn, q.where.text)
		add(judged, q.where.text, "the condition ")
		each(true)
		fmt.Fprintf(&cases, " when not coalesce(try({'v': %s}).v, false) then 0", judged)
	} else {
		each(true)
	}
	each(false)
	if len(p.reasons) == 0 {
		return nil, nil
	}
	p.query = fmt.Sprintf("select (case%s else 0 end)::integer from %s as %s", &cases, table, identifier(q.alias))
	prepared, err := d.prepare(ctx, p.query)
	if err != nil {
		return nil, ctx.Err() // what can't be tried is found by halving
	}
	return p, prepared.Close()
}

func (q *changeQuery) project(ctx context.Context, d *database, r *relation, result *arrow.Schema, table []string) error {
	for i, column := range r.columns {
		field := result.Field(i)
		text, err := expression(ctx, d, column)
		if err != nil {
			return fmt.Errorf("column %q can't be written down again: %w", field.Name, err)
		}
		p := projected{
			name: field.Name, text: text, reads: readsOf(column, table), same: sameAs(column, r.alias, table), simple: harmless(column),
			boxed: holds(field.Type, arrow.FIXED_SIZE_LIST),
		}
		if err := binds(ctx, d, r.alias, table, p.reads, p.text); err != nil {
			return fmt.Errorf("which columns %q is made from can't be told: %w", field.Name, err)
		}
		q.columns = append(q.columns, p)
	}
	return nil
}

func (q *changeQuery) judge(ctx context.Context, d *database, r *relation, table []string) error {
	if len(r.where) == 0 {
		return nil
	}
	q.where = &condition{}
	for i, part := range slices.Backward(r.where) {
		text, err := expression(ctx, d, part)
		if err != nil {
			return fmt.Errorf("the condition can't be written down again: %w", err)
		}
		inner := "true"
		if i < len(r.where)-1 {
			inner = q.where.text
		}
		q.where.text = fmt.Sprintf("case when (%s) then %s else false end", text, inner)
		q.where.reads = append(q.where.reads, readsOf(part, table)...)
	}
	slices.Sort(q.where.reads)
	q.where.reads = slices.Compact(q.where.reads)
	if err := binds(ctx, d, r.alias, table, q.where.reads, q.where.text); err != nil {
		return fmt.Errorf("which columns decide about rows can't be told: %w", err)
	}
	return nil
}

// readsOf are the table's columns that an expression may read. A name that means something else within the expression, such as a
// lambda's parameter, may add one that it does not.
func readsOf(value any, table []string) []int {
	found := map[int]bool{}
	walk(value, func(node tree) {
		for _, name := range texts(node["column_names"]) {
			if i := indexFold(table, name); i >= 0 {
				found[i] = true
			}
		}
	})
	var reads []int
	for i := range table {
		if found[i] {
			reads = append(reads, i)
		}
	}
	return reads
}

func walk(value any, visit func(tree)) {
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			walk(item, visit)
		}
	case tree:
		visit(value)
		for _, item := range value {
			walk(item, visit)
		}
	}
}

// sameAs is the table's column that an expression is, or -1.
func sameAs(column tree, alias string, table []string) int {
	names := texts(column["column_names"])
	if column["class"] != "COLUMN_REF" {
		return -1
	}
	if len(names) == 2 && strings.EqualFold(names[0], alias) && !containsFold(table, names[0]) {
		names = names[1:]
	}
	if len(names) != 1 {
		return -1
	}
	return indexFold(table, names[0])
}

// binds lets DuckDB confirm that an expression needs no other columns than those.
func binds(ctx context.Context, d *database, alias string, table []string, reads []int, text string) error {
	kept := []string{"0 as __qanat_nothing"}
	for _, i := range reads {
		kept = append(kept, identifier(table[i]))
	}
	prepared, err := d.prepare(ctx, fmt.Sprintf("select %s from (select %s from input) as %s", text, strings.Join(kept, ", "), identifier(alias)))
	if err != nil {
		return errors.New(reasonOf(err))
	}
	return prepared.Close()
}
