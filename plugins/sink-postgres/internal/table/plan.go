package table

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/internal/postgres/encode"
)

// Wanted is what a stream needs of its table.
type Wanted struct {
	Name
	Fields  []arrow.Field
	Key     []string          // rows are to be unique by it; none if nil
	Deleted string            // column of soft deletion; none if empty
	Types   map[string]string // in SQL, of columns that are made
	Sparse  bool              // rows may lack values, as those of deletions do
	Create  bool
	Evolve  bool
}

// Change is a statement and what it does.
type Change struct {
	Object string
	Text   string
	SQL    string
}

// planner gathers changes and faults.
type planner struct {
	Wanted
	have    *Table
	conn    *pgx.Conn
	changes []Change
	faults  []error
}

func (p *planner) fail(format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf(format, args...))
}

func (p *planner) change(text, sql string) {
	p.changes = append(p.changes, Change{Object: p.String(), Text: text, SQL: sql})
}

// Plan says what a table lacks, and every reason why it can't be had. It changes nothing.
func Plan(ctx context.Context, conn *pgx.Conn, have *Table, w Wanted) ([]Change, error) {
	p := &planner{Wanted: w, have: have, conn: conn}
	p.check()
	var err error
	if have.Exists {
		err = p.alter(ctx)
	} else {
		err = p.create(ctx)
	}
	if err != nil {
		return nil, err
	}
	return p.changes, errors.Join(p.faults...)
}

// check looks at the stream alone.
func (p *planner) check() {
	seen := map[string]bool{}
	for _, f := range p.Fields {
		if err := checkColumn(f.Name); err != nil {
			p.fail("column name: %w", err)
		}
		if seen[f.Name] {
			p.fail("column %q is there twice", f.Name)
		}
		seen[f.Name] = true
	}
	for _, name := range p.Key {
		if !seen[name] {
			p.fail("%q is in the key, and the stream has no such column", name)
		}
	}
	if seen[p.Deleted] {
		p.fail("the stream has a column %q, which is where soft deletion notes its time: choose another deleted_column", p.Deleted)
	}
}

// typeOf is the type of a column that is to be made.
func (p *planner) typeOf(ctx context.Context, f arrow.Field) (string, error) {
	sql, own := p.Types[f.Name]
	if !own {
		return encode.Default(f), nil
	}
	t, err := encode.Parse(ctx, p.conn, sql)
	if err != nil {
		return "", fmt.Errorf("column %q: types: %w", f.Name, err)
	}
	if _, err := encode.New(f, t); err != nil {
		p.faults = append(p.faults, unfit(err))
	}
	return sql, nil
}

func unfit(err error) error {
	return fmt.Errorf("%w: cast it in a transform, or give it another type (types), or the stream another table", err)
}

func (p *planner) create(ctx context.Context) error {
	lines := make([]string, 0, len(p.Fields)+2)
	for _, f := range p.Fields {
		sql, err := p.typeOf(ctx, f)
		if err != nil {
			return err
		}
		lines = append(lines, Quote(f.Name)+" "+sql)
	}
	if p.Deleted != "" {
		lines = append(lines, Quote(p.Deleted)+" timestamptz")
	}
	if len(p.Key) > 0 {
		lines = append(lines, "primary key ("+quoted(p.Key)+")")
	}
	sql := "create table if not exists " + p.SQL() + " (" + strings.Join(lines, ", ") + ")"
	if !p.Create {
		p.fail("there is no table %s, and create is false: %s", p.Name, sql)
		return nil
	}
	if !p.have.Schema {
		p.changes = append(p.changes, Change{Object: p.Schema, Text: "create the schema", SQL: "create schema if not exists " + Quote(p.Schema)})
	}
	p.change("create the table", sql)
	return nil
}

func (p *planner) alter(ctx context.Context) error {
	if p.have.Kind != "r" && p.have.Kind != "p" {
		p.fail("%s: %w", p.Name, errKind)
		return nil
	}
	for _, f := range p.Fields {
		c := p.have.Column(f.Name)
		if c == nil {
			sql, err := p.typeOf(ctx, f)
			if err != nil {
				return err
			}
			p.add(f.Name, sql)
			continue
		}
		p.keep(f, c)
	}
	if p.Deleted != "" {
		p.soft()
	}
	p.unfilled()
	if len(p.Key) > 0 && !p.have.HasUnique(p.Key) {
		p.evolve(fmt.Sprintf("make the rows unique by %s; other writers of the table wait meanwhile", strings.Join(p.Key, ", ")),
			"create unique index on "+p.SQL()+" ("+quoted(p.Key)+")")
	}
	return nil
}

func (p *planner) add(column, sql string) {
	p.evolve("add column "+column, "alter table "+p.SQL()+" add column if not exists "+Quote(column)+" "+sql)
}

// evolve adds a change that only evolve allows.
func (p *planner) evolve(text, sql string) {
	if !p.Evolve {
		p.fail("table %s lacks something, and evolve is false: %s", p.Name, sql)
		return
	}
	p.change(text, sql)
}

// keep looks whether a column that is there takes the values.
func (p *planner) keep(f arrow.Field, c *Column) {
	if c.Generated {
		p.fail("column %q of table %s is generated, so it can't be written: drop it in a transform", f.Name, p.Name)
		return
	}
	wider := ""
	if p.Evolve {
		wider = widen(f, c.Type)
	}
	if wider != "" {
		p.change(fmt.Sprintf("widen column %s from %s to %s, which may rewrite the table", f.Name, c.Type.SQL, wider),
			"alter table "+p.SQL()+" alter column "+Quote(f.Name)+" type "+wider)
		return
	}
	if _, err := encode.New(f, c.Type); err != nil {
		p.faults = append(p.faults, unfit(err))
	}
}

func (p *planner) soft() {
	c := p.have.Column(p.Deleted)
	switch {
	case c == nil:
		p.add(p.Deleted, "timestamptz")
	case c.Type.Name != "timestamptz":
		p.fail("column %q of table %s is of type %s, expected timestamptz for the time of deletion: choose another deleted_column", p.Deleted, p.Name, c.Type.SQL)
	}
}

// unfilled looks for columns that need a value which nobody gives them.
func (p *planner) unfilled() {
	for _, c := range p.have.Columns {
		filled := slices.ContainsFunc(p.Fields, func(f arrow.Field) bool { return f.Name == c.Name })
		if !filled && c.NotNull && !c.Given && c.Name != p.Deleted {
			p.fail("column %q of table %s needs a value, and the stream has no such column: drop its not null, or give it a default", c.Name, p.Name)
		}
	}
}

// Filled is a column that a stream fills.
type Filled struct {
	*encode.Column
	Type    encode.Type
	NotNull bool
	Key     bool
}

// Layout says how a table that lacks nothing is filled.
func Layout(have *Table, w Wanted) ([]Filled, error) {
	out := make([]Filled, len(w.Fields))
	for i, f := range w.Fields {
		c := have.Column(f.Name)
		if c == nil {
			return nil, fmt.Errorf("table %s has no column %q", w.Name, f.Name)
		}
		encoder, err := encode.New(f, c.Type)
		if err != nil {
			return nil, err
		}
		out[i] = Filled{Column: encoder, Type: c.Type, NotNull: c.NotNull, Key: slices.Contains(w.Key, f.Name)}
	}
	return out, nil
}
