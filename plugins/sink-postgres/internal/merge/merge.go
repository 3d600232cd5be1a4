// Package merge words the statements that bring a unit's staged rows into a table: what changes come to, by key, in the order in which
// they were staged. It runs nothing.
//
// A staging table has the columns o (number of the row, ascending), c0, c1 … (the target's columns that are filled), and for changes p
// (what happened, sdk/change.Op), t (when), x (names of columns that were not sent), k0, k1 … (the key's columns before the change, in
// the order of Part.Key; null unless the key changed). Without a key, all rows are added.
package merge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/sdk/change"
)

// Part is a staging table and what it is merged into. All names are SQL.
type Part struct {
	Target  string
	Staging string
	Columns []string // of the target, in the order of c0, c1 …
	Key     []int    // places in Columns
	Deleted string   // column for the time of deletion; empty deletes rows
	Changes bool     // the rows are changes
	Moved   bool     // some have another key than before
	Unsent  []int    // columns that some have not sent
	Names   []string // of Columns as x has them
}

// each words something for several columns.
func each(places []int, format string) []string {
	out := make([]string, len(places))
	for i, place := range places {
		out[i] = strings.NewReplacer("{i}", fmt.Sprint(i), "{c}", fmt.Sprint(place)).Replace(format)
	}
	return out
}

func (p *Part) keys(format string) string { return strings.Join(each(p.Key, format), ", ") }

// sameKey compares the target's key with columns of another relation.
func (p *Part) sameKey(target, format string) string {
	terms := each(p.Key, format)
	for i, place := range p.Key {
		terms[i] = target + "." + p.Columns[place] + " = " + terms[i]
	}
	return strings.Join(terms, " and ")
}

// Analyze tells the planner how many rows and keys there are.
func (p *Part) Analyze() string {
	if len(p.Key) == 0 {
		return "analyze " + p.Staging + " (o)"
	}
	return "analyze " + p.Staging + " (o, " + p.keys("c{c}") + ")"
}

// Truncation finds the last change that empties the table: one row with its number, or null.
func (p *Part) Truncation() string {
	return fmt.Sprintf("select max(o) from %s where p = %d", p.Staging, change.Truncate)
}

// Forget drops what was staged up to a truncation, $1, that one too.
func (p *Part) Forget() string { return "delete from " + p.Staging + " where o <= $1" }

// Empty does what the truncation $1 does to the target.
func (p *Part) Empty() string {
	if p.Deleted == "" {
		return "delete from " + p.Target
	}
	return fmt.Sprintf("update %s set %s = coalesce((select t from %s where o = $1), now()) where %[2]s is null", p.Target, p.Deleted, p.Staging)
}

// events are the changes by key: sub is 0 where a key is left because of a change to another one.
func (p *Part) events() string {
	if !p.Moved {
		return fmt.Sprintf("select o, 1 as sub, p, t, x, false as moved, %s from %s", p.keys("c{c} as a{i}"), p.Staging)
	}
	return fmt.Sprintf("select o, 1 as sub, p, t, x, k0 is not null as moved, %s from %s union all select o, 0, %d, t, null, true, %s from %[2]s where k0 is not null",
		p.keys("c{c} as a{i}"), p.Staging, change.Delete, p.keys("k{i}"))
}

// last is the last event of each key.
func (p *Part) last() string {
	return fmt.Sprintf("select distinct on (%s) * from (%s) e order by %[1]s, o desc, sub desc", p.keys("a{i}"), p.events())
}

// Remove takes out the rows of keys that are gone at the end, as far as their last change is one of $1 ≤ o < $2.
func (p *Part) Remove() string {
	gone := fmt.Sprintf("(%s) g where g.p = %d and g.o >= $1 and g.o < $2 and %s", p.last(), change.Delete, p.sameKey("t", "g.a{i}"))
	if p.Deleted == "" {
		return "delete from " + p.Target + " t using " + gone
	}
	return "update " + p.Target + " t set " + p.Deleted + " = coalesce(g.t, now()) from " + gone + " and t." + p.Deleted + " is null"
}

// Live selects the rows that are there at the end, as staged.
func (p *Part) Live() string {
	switch {
	case len(p.Key) == 0:
		return "select * from " + p.Staging
	case p.Moved:
		return fmt.Sprintf("select s.* from %s s join (%s) l on l.o = s.o where l.sub = 1 and l.p <> %d", p.Staging, p.last(), change.Delete)
	case p.Changes:
		return fmt.Sprintf("select * from (select distinct on (%s) * from %s order by %[1]s, o desc) s where p <> %[3]d", p.keys("c{c}"), p.Staging, change.Delete)
	}
	return fmt.Sprintf("select distinct on (%s) * from %s order by %[1]s, o desc", p.keys("c{c}"), p.Staging)
}

// PutAll writes all rows that are there at the end: it updates those that the target has and inserts the others. It fails if another
// writer inserts the same keys meanwhile.
func (p *Part) PutAll() string {
	if len(p.Key) == 0 {
		return p.insert() + " from (" + p.Live() + ") l order by o"
	}
	same := p.sameKey("t", "l.c{c}")
	update := ""
	var values []string
	for i := range p.Columns {
		values = append(values, fmt.Sprintf("l.c%d", i))
	}
	if sets := p.setTo(values); len(sets) > 0 {
		update = ", updated as (update " + p.Target + " t set " + strings.Join(sets, ", ") + " from l where " + same + ")"
	}
	return "with l as materialized (" + p.Live() + ")" + update + " " + p.insert() + " from l where not exists (select from " + p.Target + " t where " + same + ")"
}

// Put writes rows of a relation that has what Live selects, those of $1 ≤ o < $2.
func (p *Part) Put(live string) string {
	insert := p.insert() + " from " + live + " l where o >= $1 and o < $2"
	if len(p.Key) == 0 {
		return insert + " order by o"
	}
	var key []string
	for _, place := range p.Key {
		key = append(key, p.Columns[place])
	}
	action := "do nothing"
	var values []string
	for _, column := range p.Columns {
		values = append(values, "excluded."+column)
	}
	if sets := p.setTo(values); len(sets) > 0 {
		action = "do update set " + strings.Join(sets, ", ")
	}
	return insert + " on conflict (" + strings.Join(key, ", ") + ") " + action
}

func (p *Part) insert() string {
	var values []string
	for i := range p.Columns {
		values = append(values, fmt.Sprintf("c%d", i))
	}
	return "insert into " + p.Target + " (" + strings.Join(p.Columns, ", ") + ") overriding system value select " + strings.Join(values, ", ")
}

// setTo assigns values to the columns outside of the key; a row that is written is not deleted.
func (p *Part) setTo(values []string) []string {
	var out []string
	for i, column := range p.Columns {
		if !p.isKey(i) {
			out = append(out, column+" = "+values[i])
		}
	}
	if p.Deleted != "" {
		out = append(out, p.Deleted+" = null")
	}
	return out
}

func (p *Part) isKey(column int) bool { return slices.Contains(p.Key, column) }
