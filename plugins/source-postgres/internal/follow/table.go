package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/plugins/internal/postgres/value"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/position"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/snapshot"
	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// Table is a table to be followed.
type Table struct {
	*snapshot.Table
	Schema *arrow.Schema // of the table's columns
	Names  []string      // of its key
	Origin string
	Wanted []string      // columns; nil for all
	Begun  *arrow.Schema // the first version of the stream, if it has been emitted
}

// table is one in the making.
type table struct {
	Table
	print   string
	schema  *arrow.Schema // without the change columns
	version int
	builder *change.Builder
	bad     []int // rows that can't be held
	size    int
	rows    uint64
	fill    *fill

	relation *pgoutput.Relation
	columns  []*value.Column // of the schema
	places   []int           // of the columns in the relation
	key      []int           // of the key in the relation
	isKey    []bool          // by the relation's columns
}

const (
	batchRows  = 16_384
	batchBytes = 4 << 20
)

// add takes up a table where the position has left it.
func (f *Follower) add(in Table) {
	t := &table{Table: in, print: in.Print()}
	if in.Begun != nil {
		t.schema, t.version, t.builder = in.Begun, 1, change.NewBuilder(f.Alloc, in.Begun, in.Names)
	}
	known := f.Position.Tables[t.Stream]
	if known == nil || !known.Done {
		t.fill = &fill{}
		if in.Key != nil && in.Key.Exact() {
			t.fill.key = in.Key
		}
		if known != nil && known.Begun() {
			t.fill.after = known.After
			t.fill.again = t.fill.key == nil || known.Block > 0 || !slices.Equal(known.Key, t.fill.key.Names())
		}
		if t.fill.again {
			t.fill.after = nil
		}
		if known == nil {
			f.Position.Tables[t.Stream] = &position.Table{OID: t.OID, Print: t.print}
		}
	}
	f.tables[t.OID] = t
	f.order = append(f.order, t)
}

func (f *Follower) release() {
	for _, t := range f.order {
		if t.builder != nil {
			t.builder.Release()
		}
	}
}

// Relation implements pgoutput.Consumer: it brings the schema in line with what the rows that follow have.
func (f *Follower) Relation(ctx context.Context, r *pgoutput.Relation) error {
	t := f.tables[r.ID]
	if t == nil {
		return f.stranger(r)
	}
	if r.Name != t.Name || r.Schema != t.Table.Table.Schema {
		f.Log.Warn("a table was renamed; its changes stay in their stream for now", "table", t.String(), "now", r.Schema+"."+r.Name, "stream", t.Stream,
			"hint", fmt.Sprintf("set stream: %s for the new name in per_table", t.Stream))
	}
	if err := f.learn(ctx, r); err != nil {
		return err
	}
	columns := make([]*value.Column, 0, len(r.Columns))
	places := make([]int, 0, len(r.Columns))
	fields := make([]arrow.Field, 0, len(r.Columns))
	for i, c := range r.Columns {
		if len(t.Wanted) > 0 && !slices.Contains(t.Wanted, c.Name) {
			continue
		}
		column, err := f.types.Column(c.Name, c.Type, c.Modifier, f.Options)
		if err != nil {
			return fmt.Errorf("table %s: %w", t, err)
		}
		columns, places = append(columns, column), append(places, i)
		fields = append(fields, t.documented(column.Field()))
	}
	t.relation, t.places = r, places
	t.isKey = make([]bool, len(r.Columns))
	t.key = nil
	for _, name := range t.keyOf(r) {
		i := slices.IndexFunc(r.Columns, func(c pgoutput.RelationColumn) bool { return c.Name == name })
		if i < 0 {
			return sdk.Fatal(fmt.Errorf("table %s: column %q of the key of stream %q is not published any more: a stream keeps its key; read the table as another stream", t, name, t.Stream))
		}
		t.key = append(t.key, i)
		t.isKey[i] = true
	}
	if err := f.reshape(ctx, t, arrow.NewSchema(fields, nil)); err != nil {
		return err
	}
	t.columns = columns
	return nil
}

// keyOf is the key by the names that the relation has: a column of it may have been renamed.
func (t *table) keyOf(r *pgoutput.Relation) []string {
	if has := func(name string) bool {
		return slices.ContainsFunc(r.Columns, func(c pgoutput.RelationColumn) bool { return c.Name == name })
	}; !slices.ContainsFunc(t.Names, func(name string) bool { return !has(name) }) || r.Identity == pgoutput.IdentityFull {
		return t.Names
	}
	var names []string
	for _, c := range r.Columns {
		if c.Key {
			names = append(names, c.Name)
		}
	}
	if len(names) != len(t.Names) {
		return t.Names
	}
	t.Names = names
	return names
}

// stranger is a table that is not followed, which is an error if it has taken another's name.
func (f *Follower) stranger(r *pgoutput.Relation) error {
	for _, t := range f.order {
		if t.Table.Table.Schema == r.Schema && t.Name == r.Name {
			return sdk.Fatal(fmt.Errorf("table %s was dropped and made again (OID %d, now %d): what was read of the old one no longer fits; give it a stream of its own (per_table, stream) to read it into a new dataset, or start the pipeline from the beginning", t, t.OID, r.ID))
		}
	}
	return nil
}

const firstUserOID = 16384

// learn loads the types of a relation. Those of users may have changed since they were loaded.
func (f *Follower) learn(ctx context.Context, r *pgoutput.Relation) error {
	var missing []uint32
	for _, c := range r.Columns {
		_, err := f.types.Column(c.Name, c.Type, c.Modifier, f.Options)
		if _, unknown := errors.AsType[*value.UnknownTypeError](err); unknown || c.Type >= firstUserOID {
			missing = append(missing, c.Type)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	conn, err := f.conn(ctx)
	if err != nil {
		return err
	}
	slices.Sort(missing)
	return f.types.Load(ctx, conn.PgConn(), slices.Compact(missing)...)
}

// documented adds what the catalogue said about a column, which the stream does not tell.
func (t *table) documented(f arrow.Field) arrow.Field {
	at := t.Schema.FieldIndices(f.Name)
	if len(at) == 0 {
		return f
	}
	doc, ok := t.Schema.Field(at[0]).Metadata.GetValue(sdk.MetaDoc)
	if !ok {
		return f
	}
	f.Metadata = arrow.NewMetadata(append(slices.Clone(f.Metadata.Keys()), sdk.MetaDoc), append(slices.Clone(f.Metadata.Values()), doc))
	return f
}

// reshape begins a version of a stream's schema if it is not the one that it has.
func (f *Follower) reshape(ctx context.Context, t *table, schema *arrow.Schema) error {
	if t.schema != nil && describe(t.schema) == describe(schema) {
		return nil
	}
	if err := f.flush(ctx, t); err != nil {
		return err
	}
	if t.builder != nil {
		t.builder.Release()
		f.Log.Info("the columns of a table have changed", "table", t.String(), "stream", t.Stream, "columns", describe(schema))
	}
	t.builder = change.NewBuilder(f.Alloc, schema, t.Names)
	t.schema = schema
	t.version++
	return f.Out.Schema(ctx, sdk.SchemaChange{Stream: t.Stream, Version: t.version, Schema: t.builder.Schema(), Key: t.Names})
}

// describe is a schema in a form to compare: in change data all columns are nullable.
func describe(s *arrow.Schema) string {
	var b strings.Builder
	for i, f := range s.Fields() {
		if i > 0 {
			b.WriteString(", ")
		}
		kind, _ := f.Metadata.GetValue(value.MetaType)
		fmt.Fprintf(&b, "%s %s (%s)", f.Name, f.Type, kind)
	}
	return b.String()
}

// flush emits the changes that are held.
func (f *Follower) flush(ctx context.Context, t *table) error {
	if t.builder == nil || t.builder.Len() == 0 {
		return nil
	}
	batch, err := t.builder.Batch()
	if err != nil {
		return fmt.Errorf("table %s: %w", t, err)
	}
	bad := t.bad
	t.size, t.bad = 0, nil
	if len(bad) == 0 {
		return f.emit(ctx, t, batch)
	}
	defer batch.Release()
	parts := value.Without(batch, bad)
	for i, part := range parts {
		if err := f.emit(ctx, t, part); err != nil {
			for _, left := range parts[i+1:] {
				left.Release()
			}
			return err
		}
	}
	return nil
}

func (f *Follower) emit(ctx context.Context, t *table, batch arrow.RecordBatch) error {
	t.rows += uint64(batch.NumRows()) //nolint:gosec // counts are never negative
	return f.Out.Batch(ctx, sdk.Batch{Stream: t.Stream, Version: t.version, Origin: t.Origin, Record: batch})
}

// before is the builder of the old row's columns.
func (t *table) before(i int) array.Builder { return t.builder.Before().FieldBuilder(i) }
