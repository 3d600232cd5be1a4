package merge

import (
	"fmt"
	"strings"

	"github.com/qanat-data/qanat/sdk/change"
)

// Complete fills in what the last changes of keys have not sent, and gives the numbers of those for which there is no value: neither a
// change before them nor the target has the row.
//
// The changes of a key that follow each other without a deletion are a segment; a change of the key begins one whose values come from the
// segment of the key before. So a value is looked for in the segment of the last change, then in the one that it came from, and so on,
// and at last in the target, under the key at which the first of them found its row.
func (p *Part) Complete() string {
	return "with recursive ev as materialized (" + p.events() + "),\n" +
		p.segments() + ",\n" + p.walk() + ",\n" + p.roots() + ",\nfilled as (" + p.fill() + ")\nselect o from filled where lacking"
}

// sets is what makes an event one after which the row is there.
const sets = "sub = 1 and p <> 3"

// segments marks each event with the beginning of its segment, and with the last change that sent each of the columns (m0, m1 …); pp is
// what happened to the key before it.
func (p *Part) segments() string {
	var sent []string
	for i, place := range p.Unsent {
		sent = append(sent, fmt.Sprintf("max(o) filter (where %s and not (%s = any(coalesce(x, '{}')))) over w as m%d", sets, literal(p.Names[place]), i))
	}
	order := "partition by " + p.keys("a{i}") + " order by o, sub"
	return fmt.Sprintf(`prior as (select *, lag(p) over (%s) as pp from ev),
seg as materialized (select o, sub, p, moved, pp, %s,
	max(o) filter (where %s and (moved or pp is null or pp = %d or p in (%d, %d))) over w as seg, %s
	from prior window w as (%[1]s rows unbounded preceding))`,
		order, p.keys("a{i}"), sets, change.Delete, change.Snapshot, change.Insert, strings.Join(sent, ", "))
}

// walk goes from each last change that lacks something through the segments that it came from: v0, v1 … are the changes that have the
// values.
func (p *Part) walk() string {
	first := each(p.Unsent, "case when g.m{i} >= g.seg then g.m{i} end as v{i}")
	next := each(p.Unsent, "coalesce(w.v{i}, case when g.m{i} >= g.seg then g.m{i} end)")
	return fmt.Sprintf(`fin as (select l.o from (select distinct on (%s) o, sub, p, x from ev order by %[1]s, o desc, sub desc) l where %s and cardinality(x) > 0),
walk as (select f.o as f, 0 as n, g.seg, %s from fin f join seg g on g.o = f.o and g.sub = 1
	union all
	select w.f, w.n + 1, g.seg, %s from walk w join seg g on g.o = w.seg and g.sub = 0 where g.pp is not null and g.pp <> %d)`,
		p.keys("a{i}"), sets, strings.Join(first, ", "), strings.Join(next, ", "), change.Delete)
}

// roots says where the row of each walk was before: under a key of the target, or nowhere.
func (p *Part) roots() string {
	return fmt.Sprintf(`ends as (select distinct on (f) * from walk order by f, n desc),
roots as (select e.*, case when h.moved then b.pp is null else h.p = %d and h.pp is null end as rooted, %s
	from ends e join seg h on h.o = e.seg and h.sub = 1 left join seg b on b.o = e.seg and b.sub = 0)`,
		change.Update, p.keys("case when h.moved then b.a{i} else h.a{i} end as r{i}"))
}

func (p *Part) fill() string {
	var sets, columns, joins, lacking []string
	for i, place := range p.Unsent {
		unsent := literal(p.Names[place]) + " = any(s.x)"
		sets = append(sets, fmt.Sprintf("c%d = case when %s then r.w%d else s.c%[1]d end", place, unsent, i))
		columns = append(columns, fmt.Sprintf("case when e.v%d is not null then q%[1]d.c%d else h.%s end as w%[1]d", i, place, p.Columns[place]))
		joins = append(joins, fmt.Sprintf("left join %s q%d on q%[2]d.o = e.v%[2]d", p.Staging, i))
		lacking = append(lacking, fmt.Sprintf("(%s and r.v%d is null)", unsent, i))
	}
	return fmt.Sprintf(`update %s s set %s from (
		select e.*, h.%s is not null as found, %s from roots e left join %s h on e.rooted and %s %s) r
	where s.o = r.f returning s.o, not r.found and (%s) as lacking`,
		p.Staging, strings.Join(sets, ", "), p.Columns[p.Key[0]], strings.Join(columns, ", "), p.Target, p.sameKey("h", "e.r{i}"),
		strings.Join(joins, " "), strings.Join(lacking, " or "))
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
