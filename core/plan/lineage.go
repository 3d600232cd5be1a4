package plan

import (
	"slices"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// origin is where a column comes from, seen over all transforms so far.
type origin struct {
	from []string
	kind sdk.LineageKind
}

// columns maps stream and column to their origin.
type columns map[sdk.ColumnRef]origin

// strength orders kinds: what a column is made from by several steps is named by the strongest.
var strength = []sdk.LineageKind{sdk.Identity, sdk.Derived, sdk.Aggregated, sdk.Masked}

func stronger(a, b sdk.LineageKind) sdk.LineageKind {
	if slices.Index(strength, a) >= slices.Index(strength, b) {
		return a
	}
	return b
}

// through composes what a transform declares with what is known of its inputs.
func (c columns) through(declared []sdk.ColumnLineage) columns {
	out := columns{}
	for _, l := range declared {
		o := origin{kind: l.Kind}
		for _, ref := range l.Inputs {
			before, known := c[ref]
			if !known {
				continue
			}
			o.kind = stronger(o.kind, before.kind)
			o.from = append(o.from, before.from...)
		}
		slices.Sort(o.from)
		o.from = slices.Compact(o.from)
		out[sdk.ColumnRef{Input: l.Output, Column: l.Column}] = o
	}
	return out
}

// ends lists the lineage of the streams that leave a flow, in the order of their columns.
func (c columns) ends(streams []sdk.SchemaChange, names map[string]string) []Lineage {
	var lineage []Lineage
	for _, s := range streams {
		if s.Schema == nil {
			continue
		}
		for _, field := range s.Schema.Fields() {
			o, known := c[sdk.ColumnRef{Input: s.Stream, Column: field.Name}]
			if !known {
				continue
			}
			lineage = append(lineage, Lineage{Output: names[s.Stream], Column: field.Name, From: o.from, Kind: o.kind})
		}
	}
	return lineage
}

// keptOf leaves out what is not kept of a stream of changes, and adds when versions held, which the times of the changes say.
func (o *Output) keptOf(lineage []Lineage) []Lineage {
	has := func(name string) bool {
		return slices.ContainsFunc(o.Columns, func(c Column) bool { return c.Name == name })
	}
	var kept []Lineage
	for _, l := range lineage {
		switch {
		case l.Output != o.Dataset || has(l.Column):
			kept = append(kept, l)
		case l.Column == change.ColumnTs && o.Mode == "history":
			for _, column := range []string{change.ColumnValidFrom, change.ColumnValidTo} {
				kept = append(kept, Lineage{Output: o.Dataset, Column: column, From: l.From, Kind: sdk.Derived})
			}
		}
	}
	return kept
}
