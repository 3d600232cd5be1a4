package contract

import (
	"fmt"
	"slices"
	"strings"
)

// Rules gives the demands that the object makes on its rows, in the order of the contract, and those that no rule
// can express. A primary key is required and, over all of its columns, unique.
func (o *Object) Rules() ([]Rule, []Unsupported) {
	x := &extractor{columns: o.Columns(), ids: map[string]int{}}
	key := x.primaryKey(o)
	for i := range x.columns {
		x.column(x.columns[i], key)
	}
	for i := range o.Quality {
		x.quality(&o.Quality[i], nil)
	}
	x.references(o.Relationships, "object "+o.Name)
	return x.rules, x.unsupported
}

type extractor struct {
	columns     []Column
	ids         map[string]int
	rules       []Rule
	unsupported []Unsupported
}

// rule adds a rule; what the contract doesn't say is filled in.
func (x *extractor) rule(r Rule) {
	if r.Limit == (Limit{}) {
		r.Limit = none
	}
	if r.Severity == "" {
		r.Severity = SeverityError
	}
	if r.ID == "" {
		names := make([]string, len(r.Columns))
		for i, c := range r.Columns {
			names[i] = c.Name()
		}
		r.ID = strings.TrimPrefix(strings.Join(names, "+")+"."+string(r.Kind), ".")
	}
	x.ids[r.ID]++
	if n := x.ids[r.ID]; n > 1 {
		r.ID = fmt.Sprintf("%s#%d", r.ID, n)
	}
	x.rules = append(x.rules, r)
}

func (x *extractor) refuse(at Place, what, reason string) {
	x.unsupported = append(x.unsupported, Unsupported{What: what, Reason: reason, Place: at})
}

// primaryKey adds the uniqueness of the key and returns its columns.
func (x *extractor) primaryKey(o *Object) []Column {
	var key []Column
	for i := range x.columns {
		if x.columns[i].Property.PrimaryKey {
			key = append(key, x.columns[i])
		}
	}
	if len(key) == 0 {
		return nil
	}
	slices.SortStableFunc(key, func(a, b Column) int {
		return max(a.Property.PrimaryKeyPosition, 0) - max(b.Property.PrimaryKeyPosition, 0)
	})
	x.rule(Rule{
		ID: "primary_key", Kind: KindUnique, Columns: key, Dimension: "uniqueness",
		Place: key[0].Property.at("primaryKey"), Description: "primary key of " + o.Name,
	})
	return key
}

func (x *extractor) column(c Column, key []Column) {
	p := c.Property
	one := []Column{c}
	if !c.Nullable {
		at := p.at("required")
		if !p.Required && p.PrimaryKey {
			at = p.at("primaryKey")
		}
		x.rule(Rule{Kind: KindRequired, Columns: one, Place: at, Dimension: "completeness"})
	}
	x.typeRule(c)
	isKey := len(key) == 1 && key[0].Property == p
	switch {
	case p.Unique && c.InArray():
		x.refuse(p.at("unique"), "uniqueness of "+c.Name(), "items of arrays aren't compared between rows; use uniqueItems")
	case p.Unique && !isKey:
		x.rule(Rule{Kind: KindUnique, Columns: one, Place: p.at("unique"), Dimension: "uniqueness"})
	}
	if p.PrimaryKey && !c.TopLevel() {
		x.refuse(p.at("primaryKey"), "primary key "+c.Name(), "only top-level columns can be part of a primary key")
	}
	if p.LogicalTypeOptions != nil {
		x.options(c, p.LogicalTypeOptions)
	}
	for i := range p.Quality {
		x.quality(&p.Quality[i], &c)
	}
	x.references(p.Relationships, "column "+c.Name())
	for i := range c.Fields {
		x.column(c.Fields[i], nil)
	}
	if c.Items != nil {
		x.column(*c.Items, nil)
	}
}

// typeRule: fields of structs have rules of their own, so a struct or list whose type is open in one corner is still
// checked in the others.
func (x *extractor) typeRule(c Column) {
	p := c.Property
	at := p.at("logicalType")
	if !p.has("logicalType") {
		at = p.at("physicalType")
	}
	if c.Type == nil {
		_, err := p.ArrowType()
		x.refuse(at, "type of "+c.Name(), err.Error())
		return
	}
	r := Rule{Kind: KindType, Columns: []Column{c}, Type: c.Type, Place: at, Dimension: "conformity"}
	if temporal(c) {
		r.Layout = x.layout(c)
		r.Zone = x.zone(c)
	}
	x.rule(r)
}

func (x *extractor) references(relationships []Relationship, of string) {
	for i := range relationships {
		r := &relationships[i]
		x.refuse(r.Place, "relationship of "+of, "the rows of "+strings.Join(r.To.Names, ", ")+" aren't at hand when these rows are checked")
	}
}
