package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// pageRows is how many rows of a collected result are read and sent at a time.
const pageRows = 65536

// collection gathers all of the input in tables and runs the query over them at the end. A unit is one transaction that never
// commits: DuckDB writes full row groups to its file as they come, so the rows may outgrow memory, and the rollback clears them.
type collection struct {
	config Config
	db     *database
	alloc  memory.Allocator
	tables map[string]*table
	views  []string
	result *result
	output string
	made   string // the table of the result
	open   bool   // a unit has begun
}

func newCollection(c Config, db *database, alloc memory.Allocator) *collection {
	return &collection{config: c, db: db, alloc: alloc, tables: map[string]*table{}, made: db.home + "." + db.name("result")}
}

func (c *collection) plan(ctx context.Context, in []sdk.SchemaChange) (sdk.Plan, error) {
	if err := refuseCollected(in); err != nil {
		return sdk.Plan{}, err
	}
	if !c.knows(in) {
		if c.open {
			return sdk.Plan{}, sdk.Fatal(errors.New("the columns of an input changed while its rows were gathered; a query that collects reads a unit with one schema"))
		}
		if err := c.prepare(ctx, in); err != nil {
			return sdk.Plan{}, errors.Join(err, c.forget(ctx))
		}
	}
	outputs := []sdk.PlannedOutput{{Name: c.output, Schema: c.result.schema}}
	return sdk.Plan{
		Outputs: outputs, Lineage: sdk.DerivedFromAll(in, outputs), Cardinality: sdk.AnyRows, Collects: true,
	}, nil
}

// knows says whether the tables are made for exactly these inputs.
func (c *collection) knows(in []sdk.SchemaChange) bool {
	if c.result == nil || len(in) != len(c.tables) {
		return false
	}
	for _, input := range in {
		if t, ok := c.tables[input.Stream]; !ok || !t.schema.Equal(input.Schema) {
			return false
		}
	}
	return true
}

func (c *collection) prepare(ctx context.Context, in []sdk.SchemaChange) error {
	if err := c.forget(ctx); err != nil {
		return err
	}
	for _, input := range in {
		if err := c.add(ctx, input); err != nil {
			return err
		}
	}
	if len(in) == 1 && !strings.EqualFold(tableName(in[0].Stream), "input") {
		if err := c.show(ctx, "input", c.tables[in[0].Stream]); err != nil {
			return err
		}
	}
	c.output = defaultOutput
	switch {
	case c.config.Output != "":
		c.output = c.config.Output
	case len(in) == 1:
		c.output = in[0].Stream
	}
	return c.examine(ctx)
}

func (c *collection) add(ctx context.Context, in sdk.SchemaChange) error {
	for _, other := range c.tables {
		if strings.EqualFold(tableName(other.stream), tableName(in.Stream)) {
			return sdk.Fatal(fmt.Errorf("inputs %q and %q have one name in the query, %q; give one of them another name", other.stream, in.Stream, tableName(in.Stream)))
		}
	}
	t, err := newTable(ctx, c.db, in)
	if err != nil {
		return err
	}
	c.tables[in.Stream] = t
	return c.show(ctx, tableName(in.Stream), t)
}

func (c *collection) show(ctx context.Context, name string, t *table) error {
	view := identifier(name)
	if err := c.db.exec(ctx, "create temp view "+view+" as select * from "+t.name); err != nil {
		return planFault(ctx, fmt.Sprintf("input %q: ", t.stream), err)
	}
	c.views = append(c.views, view)
	return nil
}

// examine finds out what the query gives, by running it over the empty tables just as the end of a unit will.
func (c *collection) examine(ctx context.Context) error {
	columns, err := inspect(ctx, c.db, c.config.Query, "")
	if err != nil {
		return err
	}
	if err := c.db.exec(ctx, "begin"); err != nil {
		return planFault(ctx, "", err)
	}
	schema, rows, err := c.tryOut(ctx)
	if err := errors.Join(err, c.db.exec(context.WithoutCancel(ctx), "rollback")); err != nil {
		return planFault(ctx, "", err)
	}
	releaseAll(rows)
	if c.result, err = newResult(c.alloc, columns, schema); err != nil {
		return planFault(ctx, "", err)
	}
	return nil
}

func (c *collection) tryOut(ctx context.Context) (*arrow.Schema, []arrow.RecordBatch, error) {
	if err := c.db.exec(ctx, "create table "+c.made+" as "+c.config.Query); err != nil {
		return nil, nil, err
	}
	return c.db.records(ctx, "select * from "+c.made+" limit 0")
}

func (c *collection) apply(ctx context.Context, in sdk.Batch, _ sdk.Output) error {
	t, ok := c.tables[in.Stream]
	if !ok {
		return sdk.Fatal(fmt.Errorf("a batch of input %q, which was not planned", in.Stream))
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	if err := t.load(ctx, in.Record); err != nil {
		return errors.Join(runFault(ctx, err), c.clear(ctx))
	}
	return nil
}

func (c *collection) begin(ctx context.Context) error {
	if c.open {
		return nil
	}
	if err := c.db.exec(ctx, "begin"); err != nil {
		return runFault(ctx, err)
	}
	c.open = true
	return nil
}

// clear drops the unit's rows.
func (c *collection) clear(ctx context.Context) error {
	if !c.open {
		return nil
	}
	c.open = false
	return c.db.exec(context.WithoutCancel(ctx), "rollback")
}

func (c *collection) finish(ctx context.Context, out sdk.Output) error {
	if c.result == nil {
		return sdk.Fatal(errors.New("finish was called before the query was planned"))
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	return errors.Join(c.answer(ctx, out), c.clear(ctx))
}

// answer keeps the result in a table first: DuckDB would hold an answer to the query itself in memory, whatever its size.
func (c *collection) answer(ctx context.Context, out sdk.Output) error {
	if err := c.db.exec(ctx, "create table "+c.made+" as "+c.config.Query); err != nil {
		return runFault(ctx, err)
	}
	for from := int64(0); ; from += pageRows {
		page, err := c.page(ctx, from)
		if err != nil {
			return runFault(ctx, err)
		}
		if page == nil {
			return nil
		}
		rows := page.NumRows()
		if err := emit(ctx, out, c.output, "", page); err != nil {
			return err
		}
		if rows < pageRows {
			return nil
		}
	}
}

func (c *collection) page(ctx context.Context, from int64) (arrow.RecordBatch, error) {
	_, chunks, err := c.db.records(ctx, fmt.Sprintf("select * from %s limit %d offset %d", c.made, pageRows, from))
	if err != nil {
		return nil, err
	}
	defer releaseAll(chunks)
	return c.result.join(chunks)
}

// forget drops the tables of an earlier plan.
func (c *collection) forget(ctx context.Context) error {
	var faults []error
	for _, view := range c.views {
		faults = append(faults, c.db.exec(context.WithoutCancel(ctx), "drop view temp.main."+view))
	}
	for _, t := range c.tables {
		faults = append(faults, t.drop(ctx, c.db))
	}
	c.views, c.result = nil, nil
	clear(c.tables)
	return errors.Join(faults...)
}

func (c *collection) close() error {
	var faults []error
	for _, t := range c.tables {
		faults = append(faults, t.close())
	}
	return errors.Join(faults...)
}

func (c *collection) free() {
	for _, t := range c.tables {
		t.free()
	}
}
