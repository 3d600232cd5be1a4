package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/change"
)

type row = map[string]any

// history makes random changes of people, and keeps the table that they come to.
type history struct {
	random  *rand.Rand
	key     []string
	full    bool // _before is the whole old row; else it is the key, where that is needed
	table   map[string]row
	changes []string
}

func keyText(r row, key []string) string {
	var parts []string
	for _, column := range key {
		parts = append(parts, fmt.Sprint(r[column]))
	}
	return strings.Join(parts, "|")
}

func (h *history) made() row {
	r := row{"id": h.random.IntN(12), "status": []string{"new", "test", "paid"}[h.random.IntN(3)]}
	if h.random.IntN(4) > 0 {
		r["email"] = fmt.Sprintf("User-%d@X", h.random.IntN(50))
	}
	if h.random.IntN(4) > 0 {
		r["amount"] = fmt.Sprint(h.random.IntN(100))
	}
	if h.random.IntN(3) > 0 {
		r["tags"] = []string{"a", "b", "c"}[:h.random.IntN(4)]
	}
	return r
}

func (h *history) keyOf(r row) row {
	only := row{}
	for _, column := range h.key {
		only[column] = r[column]
	}
	return only
}

func (h *history) step(t *testing.T) {
	r := h.made()
	key := keyText(r, h.key)
	old, there := h.table[key]
	names := slices.Sorted(maps.Keys(h.table))
	switch n := h.random.IntN(20); {
	case n == 0 && h.random.IntN(4) == 0:
		clear(h.table)
		h.log(t, row{"_op": change.Truncate}, nil, nil)
	case there && n < 5:
		delete(h.table, key)
		h.log(t, row{"_op": change.Delete}, h.keyOf(old), old)
	case there:
		h.table[key] = r
		h.log(t, row{"_op": change.Update}, r, old)
	case len(names) > 0 && n < 9: // a change of the key
		old = h.table[names[h.random.IntN(len(names))]]
		delete(h.table, keyText(old, h.key))
		h.table[key] = r
		h.log(t, row{"_op": change.Update}, r, old)
	default:
		h.table[key] = r
		h.log(t, row{"_op": []change.Op{change.Snapshot, change.Insert}[h.random.IntN(2)]}, r, nil)
	}
}

func (h *history) log(t *testing.T, out, now, old row) {
	maps.Copy(out, now)
	moved := old != nil && keyText(old, h.key) != keyText(now, h.key)
	switch {
	case old != nil && h.full:
		out["_before"] = old
	case moved || old != nil && out["_op"] == change.Delete:
		out["_before"] = h.keyOf(old)
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	h.changes = append(h.changes, string(text))
}

// folded is what changes come to, one by one: rows by key.
func folded(t *testing.T, lines string, key []string) []string {
	t.Helper()
	table := map[string]string{}
	for line := range strings.SplitSeq(lines, "\n") {
		if line == "" {
			continue
		}
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		op := change.Op(r["_op"].(float64))
		before, _ := r["_before"].(row)
		for _, name := range change.Names() {
			delete(r, name)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		switch op {
		case change.Truncate:
			clear(table)
		case change.Delete:
			delete(table, keyText(r, key))
		default:
			if before != nil && op == change.Update {
				delete(table, keyText(before, key))
			}
			table[keyText(r, key)] = string(text)
		}
	}
	return slices.Sorted(maps.Values(table))
}

// What the changes come to after the query is what the query makes of what they come to.
func TestChangesComeToTheTransformedTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query    string
		key, out []string
	}{
		{"select id, lower(email) as email from input where status <> 'test'", []string{"id"}, []string{"id"}},
		{"select amount::int + 1 as more, coalesce(email, 'none') as mail, id as person from input where amount::int > 30", []string{"id"}, []string{"person"}},
		{"select * from input where status = 'new' or amount is null", []string{"status", "id"}, []string{"status", "id"}},
		{"select *, len(tags) as n from input", []string{"id"}, []string{"id"}},
		{"with kept as (select *, try_cast(amount as int) as n from input where email is not null) select id, status, (n > 50) as large from kept where n % 3 > 0",
			[]string{"id", "status"}, []string{"id", "status"}},
		{"select id, (select max(x) from unnest(tags) t(x)) as top, status from people where len(tags) > 1", []string{"id"}, []string{"id"}},
		{"select 'p-' || id as person, status from input where status <> 'paid'", []string{"id"}, []string{"person"}},
		{"select id, 1 as one from input where id in (1, 2, 3, 5, 8)", []string{"id"}, []string{"id"}},
	} {
		t.Run(c.query, func(t *testing.T) {
			t.Parallel()
			onChanges, onTable := start(t, Config{Query: c.query}), start(t, Config{Query: c.query})
			in := peopleChanges(c.key...)
			plan := onChanges.plan(t, in)
			onTable.plan(t, input("people", people()))
			if key := plan.KeyOf(plan.Outputs[0], []sdk.SchemaChange{in}); key != nil && !cmp.Equal(key, c.out) {
				t.Errorf("key %v, expected %v", key, c.out)
			}
			for seed := range uint64(12) {
				h := &history{random: rand.New(rand.NewPCG(seed, 7)), key: c.key, full: seed%3 > 0, table: map[string]row{}}
				for range 20 + h.random.IntN(150) {
					h.step(t)
				}
				left := slices.Clone(h.changes)
				for len(left) > 0 {
					n := min(len(left), 1+h.random.IntN(60))
					onChanges.feedIn(t, in.Stream, in.Schema, "["+strings.Join(left[:n], ",")+"]")
					left = left[n:]
				}
				rows, err := json.Marshal(slices.Collect(maps.Values(h.table)))
				if err != nil {
					t.Fatal(err)
				}
				if len(h.table) > 0 {
					onTable.feedIn(t, "people", people(), string(rows))
				}
				if n := onChanges.recorder.Rows(in.Stream); n != int64(len(h.changes)) {
					t.Errorf("seed %d: %d changes became %d", seed, len(h.changes), n)
				}
				want := slices.Sorted(strings.SplitSeq(onTable.got(t, "people"), "\n"))
				want = slices.DeleteFunc(want, func(line string) bool { return line == "" })
				if diff := cmp.Diff(normal(want), normal(folded(t, onChanges.got(t, in.Stream), c.out))); diff != "" {
					t.Fatalf("seed %d: (-of the table +of the changes)\n%s\n%s", seed, diff, strings.Join(h.changes, "\n"))
				}
				if r := onChanges.recorder.Rejections; len(r) > 0 {
					t.Fatalf("seed %d: rejected %v", seed, r)
				}
				for _, one := range []*bench{onChanges, onTable} {
					one.recorder.Release()
					one.recorder.Batches = nil
				}
			}
		})
	}
}

// normal writes rows as JSON does here.
func normal(lines []string) []string {
	var out []string
	for _, line := range lines {
		var r row
		if json.Unmarshal([]byte(line), &r) == nil {
			text, _ := json.Marshal(r)
			line = string(text)
		}
		out = append(out, line)
	}
	return out
}
