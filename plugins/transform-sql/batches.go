package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// batches runs the query over each batch alone.
type batches struct {
	config          Config
	db              *database
	alloc           memory.Allocator
	begin, rollback statement
	lanes           map[string]*lane
	current         *lane // whose table the views stand for
}

// lane is one input on its way through the query.
type lane struct {
	table   *table
	result  *result
	input   sdk.SchemaChange
	output  string
	query   string
	shape   sdk.Cardinality
	probe   *probe       // nil if the query has none
	holds   bool         // the input's rows are changes
	changes *changeQuery // of such an input
}

func newBatches(ctx context.Context, c Config, db *database, alloc memory.Allocator) (*batches, error) {
	b := &batches{config: c, db: db, alloc: alloc, lanes: map[string]*lane{}}
	var err error
	if b.begin, err = db.prepare(ctx, "begin"); err != nil {
		return nil, err
	}
	if b.rollback, err = db.prepare(ctx, "rollback"); err != nil {
		return nil, errors.Join(err, b.begin.Close())
	}
	return b, nil
}

func (b *batches) plan(ctx context.Context, in []sdk.SchemaChange) (sdk.Plan, error) {
	plan := sdk.Plan{Cardinality: sdk.OneToOne}
	for _, input := range in {
		l, err := b.lane(ctx, input)
		if err != nil {
			return sdk.Plan{}, err
		}
		plan.Cardinality = wider(plan.Cardinality, l.cardinality())
		output, lineage := l.describe()
		plan.Lineage = append(plan.Lineage, lineage...)
		if plan.Outputs, err = addOutput(plan.Outputs, output); err != nil {
			return sdk.Plan{}, err
		}
	}
	return plan, nil
}

func (l *lane) cardinality() sdk.Cardinality {
	if l.changes != nil {
		return l.changes.cardinality()
	}
	return l.shape
}

// describe says what comes of the input.
func (l *lane) describe() (sdk.PlannedOutput, []sdk.ColumnLineage) {
	if q := l.changes; q != nil {
		return sdk.PlannedOutput{Name: l.output, Schema: q.schema, Key: q.outKey}, q.lineage(l.output)
	}
	output := sdk.PlannedOutput{Name: l.output, Schema: l.result.schema}
	return output, sdk.DerivedFromAll([]sdk.SchemaChange{l.input}, []sdk.PlannedOutput{output})
}

// addOutput lets several inputs share an output if their results are alike.
func addOutput(outputs []sdk.PlannedOutput, one sdk.PlannedOutput) ([]sdk.PlannedOutput, error) {
	for i, other := range outputs {
		if other.Name != one.Name {
			continue
		}
		if !other.Schema.Equal(one.Schema) {
			return nil, sdk.ConfigError("/output", "the inputs give results of different columns, which can't share output %q", one.Name)
		}
		outputs[i].Key = nil // rows of two inputs may have one key
		return outputs, nil
	}
	return append(outputs, one), nil
}

// lane prepares an input, or finds it as an earlier plan left it.
func (b *batches) lane(ctx context.Context, in sdk.SchemaChange) (*lane, error) {
	old, known := b.lanes[in.Stream]
	if known && old.input.Schema.Equal(in.Schema) && slices.Equal(old.input.Key, in.Key) {
		return old, nil
	}
	l := &lane{input: in, output: in.Stream, query: b.config.Query}
	if b.config.Output != "" {
		l.output = b.config.Output
	}
	if err := b.open(ctx, l); err != nil {
		return nil, err
	}
	b.lanes[in.Stream] = l
	if known {
		return l, old.table.drop(ctx, b.db)
	}
	return l, nil
}

// open makes the lane's table and prepares the query for it.
func (b *batches) open(ctx context.Context, l *lane) error {
	var err error
	if l.holds, err = isChanges(l.input); err != nil {
		return err
	}
	table := l.input
	if l.holds {
		if err := namesChanges(ctx, b.db, b.config.Query, l.blame()); err != nil {
			return err
		}
		table.Schema = change.Table(l.input.Schema)
	}
	if l.table, err = newTable(ctx, b.db, table); err != nil {
		return err
	}
	if err = b.prepare(ctx, l); err == nil && l.holds {
		err = b.prepareChanges(ctx, l)
	}
	if err != nil {
		b.current = nil
		return errors.Join(err, l.table.drop(ctx, b.db))
	}
	return nil
}

// blame begins the messages about a lane.
func (l *lane) blame() string { return fmt.Sprintf("input %q: ", l.input.Stream) }

// prepare finds out what the query makes of the input, on the empty table.
func (b *batches) prepare(ctx context.Context, l *lane) error {
	blame := l.blame()
	if err := b.use(ctx, l); err != nil {
		return planFault(ctx, blame, err)
	}
	columns, err := inspect(ctx, b.db, b.config.Query, blame)
	if err != nil {
		return err
	}
	plan, err := logicalPlan(ctx, b.db, b.config.Query)
	if err != nil {
		return planFault(ctx, blame, err)
	}
	if l.shape, err = cardinalityOf(plan); err != nil {
		return l.notRowWise(err)
	}
	schema, rows, err := b.db.records(ctx, b.config.Query)
	if err != nil {
		return planFault(ctx, blame, err)
	}
	releaseAll(rows)
	if l.result, err = newResult(b.alloc, columns, schema); err != nil {
		return planFault(ctx, blame, err)
	}
	if l.holds {
		return nil
	}
	if l.probe, err = newProbe(ctx, b.db, b.config.Query); err != nil {
		return planFault(ctx, blame, err)
	}
	return nil
}

// notRowWise refuses a query that can't run batch by batch.
func (l *lane) notRowWise(reason error) error {
	if l.holds {
		return refused(l.input, reason)
	}
	return sdk.ConfigError("/query", "%sthe query can't run batch by batch, because %v; set collect: true to run it over all of the input",
		l.blame(), reason)
}

// use points the names of the query at the input's table.
func (b *batches) use(ctx context.Context, l *lane) error {
	if b.current == l {
		return nil
	}
	if b.current != nil {
		if err := b.db.exec(ctx, "drop view if exists temp.main."+identifier(tableName(b.current.table.stream))); err != nil {
			return err
		}
	}
	b.current = nil
	names := []string{"input"}
	if own := tableName(l.table.stream); !strings.EqualFold(own, "input") {
		names = append(names, own)
	}
	for _, name := range names {
		if err := b.db.exec(ctx, "create or replace temp view "+identifier(name)+" as select * from "+l.table.name); err != nil {
			return err
		}
	}
	b.current = l
	return nil
}

func (b *batches) apply(ctx context.Context, in sdk.Batch, out sdk.Output) error {
	l, ok := b.lanes[in.Stream]
	if !ok {
		return sdk.Fatal(fmt.Errorf("a batch of input %q, which was not planned", in.Stream))
	}
	if l.changes != nil {
		return b.applyChanges(ctx, l, in, out)
	}
	if err := b.use(ctx, l); err != nil {
		return runFault(ctx, err)
	}
	s := b.sieve(l)
	defer s.release()
	if err := s.sift(ctx, in.Record); err != nil {
		return runFault(ctx, err)
	}
	if len(s.faults) > 0 {
		if err := out.Reject(ctx, s.rejections(in)...); err != nil {
			return err
		}
	}
	whole, err := s.whole()
	if err != nil {
		return runFault(ctx, err)
	}
	return emit(ctx, out, l.output, in.Origin, whole)
}

func (b *batches) sieve(l *lane) *sieve {
	return &sieve{
		alloc: b.alloc,
		run: func(ctx context.Context, rows arrow.RecordBatch) (record arrow.RecordBatch, err error) {
			err = b.loaded(ctx, l, rows, func() error {
				record, err = b.query(ctx, l)
				return err
			})
			if err != nil && record != nil {
				record.Release()
				record = nil
			}
			return record, err
		},
		suspect: func(ctx context.Context, rows arrow.RecordBatch) (reasons []string, err error) {
			if l.probe == nil {
				return nil, nil
			}
			err = b.loaded(ctx, l, rows, func() error {
				reasons, err = l.probe.ask(ctx, b.db, rows.NumRows())
				return err
			})
			return reasons, err
		},
	}
}

// loaded does something while rows are in the input's table. They are inserted in a transaction that is rolled back, so nothing of
// them is left.
func (b *batches) loaded(ctx context.Context, l *lane, rows arrow.RecordBatch, do func() error) error {
	if err := b.begin.exec(ctx); err != nil {
		return err
	}
	err := l.table.load(ctx, rows)
	if err == nil {
		err = do()
	}
	return errors.Join(err, b.rollback.exec(context.WithoutCancel(ctx)))
}

func (b *batches) query(ctx context.Context, l *lane) (arrow.RecordBatch, error) {
	_, chunks, err := b.db.records(ctx, l.query)
	if err != nil {
		return nil, err
	}
	defer releaseAll(chunks)
	return l.result.join(chunks)
}

func (b *batches) finish(context.Context, sdk.Output) error {
	return sdk.Fatal(errors.New("finish was called, but the query runs batch by batch (collect is off)"))
}

func (b *batches) close() error {
	err := errors.Join(b.begin.Close(), b.rollback.Close())
	for _, l := range b.lanes {
		err = errors.Join(err, l.table.close())
	}
	return err
}

func (b *batches) free() {
	for _, l := range b.lanes {
		l.table.free()
	}
}
