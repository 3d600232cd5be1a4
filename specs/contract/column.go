package contract

import (
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// ItemStep stands for "each item of the array" in the path of a column.
const ItemStep = "[]"

// Column is a property as data carries it.
type Column struct {
	// Path leads from the top-level column to this one through structs and, by ItemStep, arrays. The names are those
	// of ColumnName.
	Path []string
	// Names is the same way in the contract's own names: data that was renamed after the contract carries these.
	Names []string
	// Type is nil where the contract leaves it open; Rules says so under Unsupported.
	Type arrow.DataType
	// Nullable is false for required columns and for those of the primary key.
	Nullable bool
	// Fields are the columns of a struct; Items is the item of an array.
	Fields []Column
	Items  *Column
	// Property is where the rest stands: docs, tags, classification.
	Property *Property
}

// Name gives the dotted path.
func (c Column) Name() string { return strings.Join(c.Path, ".") }

// TopLevel says whether the column stands on its own in a batch.
func (c Column) TopLevel() bool { return len(c.Path) == 1 }

// InArray says whether there may be several values, or none, in one row.
func (c Column) InArray() bool { return slices.Contains(c.Path, ItemStep) }

// ColumnName gives the name of the property in data: physicalName or, where there is none, name.
func (p *Property) ColumnName() string {
	if p.PhysicalName != "" {
		return p.PhysicalName
	}
	return p.Name
}

// requires says whether the required option of this object names a property.
func (p *Property) requires(name string) bool {
	return p.LogicalTypeOptions != nil && slices.Contains(p.LogicalTypeOptions.Required, name)
}

// Columns gives the top-level columns in the order of the contract; nested ones hang below them.
func (o *Object) Columns() []Column {
	out := make([]Column, len(o.Properties))
	for i := range o.Properties {
		p := &o.Properties[i]
		out[i] = newColumn(p, Column{Path: []string{p.ColumnName()}, Names: []string{p.Name}})
		out[i].Nullable = !p.Required && !p.PrimaryKey
	}
	return out
}

// newColumn completes a column whose path is known.
func newColumn(p *Property, c Column) Column {
	c.Property = p
	c.Nullable = !p.Required
	if t, err := p.ArrowType(); err == nil {
		c.Type = t
	}
	for i := range p.Properties {
		f := &p.Properties[i]
		field := newColumn(f, c.below(f.ColumnName(), f.Name))
		field.Nullable = field.Nullable && !p.requires(f.Name)
		c.Fields = append(c.Fields, field)
	}
	if p.Items != nil {
		items := newColumn(p.Items, c.below(ItemStep, ItemStep))
		c.Items = &items
	}
	return c
}

func (c Column) below(step, name string) Column {
	return Column{Path: append(slices.Clone(c.Path), step), Names: append(slices.Clone(c.Names), name)}
}

// find gives the column of a dotted path of contract names.
func find(columns []Column, path string) (Column, bool) {
	level := columns
	var found Column
	for part := range strings.SplitSeq(path, ".") {
		i := slices.IndexFunc(level, func(c Column) bool { return c.Names[len(c.Names)-1] == part })
		if i < 0 {
			return Column{}, false
		}
		found = level[i]
		level = found.Fields
	}
	return found, true
}
