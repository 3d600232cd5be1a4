package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

// unit is what became durable as a whole, and the position behind it.
type unit struct {
	batches  []sdk.Batch
	position sdk.Position
}

// ledger is what a runtime has: the units, one after the other. It is stricter than a runtime: each change must fit what was there before.
type ledger struct {
	position sdk.Position
	tables   map[string]map[string]row // by stream and key
	seen     map[string]bool           // changes, by stream and place
	last     map[string]string         // place of the last change of a stream
	units    int
	changes  int
	whole    int // units at which all tables were there, and their sums agreed
}

func newLedger() *ledger {
	l := &ledger{tables: map[string]map[string]row{}, seen: map[string]bool{}, last: map[string]string{}}
	for _, name := range killTables {
		l.tables[name] = map[string]row{}
	}
	return l
}

// take adds a unit, and releases its batches.
func (l *ledger) take(t *testing.T, u unit) {
	t.Helper()
	for _, b := range u.batches {
		for _, r := range rowsOf(t, b.Record) {
			if fault := l.change(b.Stream, r); fault != "" {
				delete(r, "long")
				t.Log("position before", string(l.position), "and after", string(u.position))
				t.Fatalf("unit %d, stream %s: %s: %v", l.units+1, b.Stream, fault, r)
			}
		}
		b.Record.Release()
	}
	l.units++
	l.position = u.position
	if !streaming(u.position) {
		return
	}
	l.whole++
	if a, b, c := l.sum("acc"), l.sum("tel"), l.sum("hist"); a != b || b != c {
		t.Fatalf("unit %d is a mixture of moments: the sums are %d, %d, %d", l.units, a, b, c)
	}
}

func (l *ledger) sum(table string) int {
	sum := 0
	for _, r := range l.tables[table] {
		n, _ := strconv.Atoi(fmt.Sprint(r["n"]))
		sum += n
	}
	return sum
}

// change applies one row, and says what is wrong with it.
func (l *ledger) change(stream string, r row) string {
	table := l.tables[stream]
	op := fmt.Sprint(r[change.ColumnOp])
	seq, _ := strconv.Atoi(fmt.Sprint(r[change.ColumnTxSeq]))
	place := fmt.Sprintf("%s %s %09d", stream, hexOf(r[change.ColumnPos]), seq)
	if place < l.last[stream] {
		return fmt.Sprintf("it comes behind %s, which is later", l.last[stream])
	}
	l.last[stream] = place
	l.changes++
	if op != "0" {
		if l.seen[place] {
			return "it comes twice"
		}
		l.seen[place] = true
	}
	key := fmt.Sprint(r["id"])
	was, there := table[key]
	own := maps.Clone(r)
	for _, c := range change.Names() {
		delete(own, c)
	}
	if r[change.ColumnUnchanged] != nil && op != "2" {
		return "values are said to be unchanged that nobody has"
	}
	switch op {
	case "4":
		clear(table)
		return ""
	case "3":
		delete(table, key)
		return unless(there, "there is no such row")
	case "0", "1":
		table[key] = own
		return unless(!there, "there is such a row")
	}
	if before, ok := r[change.ColumnBefore].(row); ok && fmt.Sprint(before["id"]) != key {
		if there {
			return "there is a row with the new key"
		}
		was, there = table[fmt.Sprint(before["id"])]
		delete(table, fmt.Sprint(before["id"]))
	}
	if unchanged, ok := r[change.ColumnUnchanged].([]any); ok {
		for _, c := range unchanged {
			own[c.(string)] = was[c.(string)]
		}
	}
	table[key] = own
	return unless(there, "there is no such row")
}

func unless(good bool, fault string) string {
	if good {
		return ""
	}
	return fault
}

// hexOf is a binary value, which JSON has in base 64, in a form that sorts.
func hexOf(v any) string {
	raw, err := base64Of(v)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", raw)
}

// missing says which tables differ from what was folded.
func (l *ledger) missing(t *testing.T, s *site) []string {
	var out []string
	for _, name := range killTables {
		want := s.table(t, name, "id")
		if len(want) != len(l.tables[name]) {
			out = append(out, fmt.Sprintf("%s has %d rows, %d were emitted", name, len(want), len(l.tables[name])))
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if got := l.tables[name][key]; fmt.Sprint(got) != fmt.Sprint(want[key]) {
				out = append(out, fmt.Sprintf("%s %s is %.100v, emitted was %.100v", name, key, want[key], got))
				break
			}
		}
	}
	return out
}
