package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/query"
)

func (a *app) printReplayPlan(out io.Writer, p engine.ReplayPlan) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	switch {
	case p.Pinned:
		say("replay of %s: its whole input", p.Flow)
	case p.Open:
		say("replay of %s: units %s, and what follows until the swap", p.Flow, engine.SpanText(p.Again))
	default:
		say("replay of %s: units %s", p.Flow, engine.SpanText(p.Again))
	}
	for _, in := range p.Inputs {
		say("  read     %s  units %s of %s", in.Dataset, engine.SpanText([]ledger.Span{in.Span}), in.Flow)
	}
	for _, dataset := range slices.Sorted(maps.Keys(p.Rows)) {
		say("  %s  %s there now", replayVerb(p, dataset), plural(p.Rows[dataset], "row"))
	}
	if p.Mode == engine.ReplayInto {
		say("  into     %s", p.Into)
	}
	for _, kept := range p.Kept {
		say("  keep     unit %d: %s", kept.Seq, kept.Why)
	}
	if len(p.Gone) > 0 {
		say("  note     units %s released quarantined rows, which are made again with the units that they came from", seqText(p.Gone))
	}
	if p.Decided > 0 {
		say("  note     %s of these units that people have dropped are judged again", plural(p.Decided, "quarantined row"))
	}
	for _, d := range p.Downstream {
		say("  behind   %s  %s", d.Flow, becomesText(d))
	}
	for _, warning := range p.Warnings {
		_, _ = fmt.Fprintln(a.err, "warning:", warning)
	}
}

func replayVerb(p engine.ReplayPlan, dataset string) string {
	switch p.Mode {
	case engine.ReplaySwap, engine.ReplayRebuild:
		return "replace  " + dataset
	case engine.ReplayDiff:
		return "compare  " + dataset
	case engine.ReplayInto:
	}
	return "leave    " + dataset
}

func seqText(seqs []int64) string { return engine.SpanText(ledger.Spans(seqs)) }

func becomesText(d engine.Downstream) string {
	switch d.Becomes {
	case engine.RunsAgain:
		return "reads everything again at its next run"
	case engine.IsStale:
		return "keeps what it has made of the old rows: use --downstream, or replay it"
	case engine.NotReplayed:
		return "has written the old rows to its sink, where they stay"
	case engine.Replays:
		return "is replayed behind it"
	case engine.Replayed:
		return fmt.Sprintf("was replayed: units %s by unit %d", engine.SpanText(d.Units), d.Unit)
	case engine.Unaffected:
		return "has read none of these rows"
	}
	return string(d.Becomes)
}

func (a *app) printReplay(s engine.ReplaySummary) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format+"\n", args...) }
	switch s.Mode {
	case engine.ReplaySwap:
		say("swapped in by unit %d of %s: units %s, in %.1f seconds", s.Unit, s.Flow, engine.SpanText(s.Units), s.Seconds)
	case engine.ReplayRebuild:
		say("rebuilt by unit %d of %s, in %.1f seconds", s.Unit, s.Flow, s.Seconds)
	case engine.ReplayInto:
		say("built in %.1f seconds", s.Seconds)
		t := newTable(a.out, "DATASET", "ROWS", "SNAPSHOT")
		for _, d := range s.Into {
			t.row(d.Name, count(d.Rows), fmt.Sprint(d.Snapshot))
		}
		_ = t.flush()
	case engine.ReplayDiff:
		a.printDiff(s.Diff)
	}
	if len(s.Rows) > 0 {
		t := newTable(a.out, "DATASET", "ROWS BEFORE", "ROWS AFTER")
		for _, dataset := range slices.Sorted(maps.Keys(s.Rows)) {
			t.row(dataset, count(s.Rows[dataset].Before), count(s.Rows[dataset].After))
		}
		_ = t.flush()
	}
	for _, d := range s.Downstream {
		if d.Becomes == engine.IsStale || d.Becomes == engine.NotReplayed {
			_, _ = fmt.Fprintf(a.err, "warning: %s %s\n", d.Flow, becomesText(d))
			continue
		}
		say("%s %s", d.Flow, becomesText(d))
	}
}

func (a *app) printDiff(d *engine.ReplayDifference) {
	for _, one := range d.Datasets {
		_, _ = fmt.Fprintf(a.out, "\n%s\n", one.Dataset)
		a.printDifference(one.Difference)
	}
	if len(d.Quarantine) == 0 {
		return
	}
	_, _ = fmt.Fprintln(a.out)
	t := newTable(a.out, "QUARANTINE", "NOW", "AFTER")
	for _, code := range d.Quarantine {
		t.row("  "+code.Code, count(code.Before), count(code.After))
	}
	_ = t.flush()
}

func (a *app) printDifference(d query.Difference) {
	t := newTable(a.out)
	t.row("  rows now", count(d.Before))
	t.row("  rows after", count(d.After))
	t.row("  unchanged", count(d.Same))
	t.row("  only now", count(d.Removed))
	t.row("  only after", count(d.Added))
	if len(d.Key) > 0 {
		t.row("  changed", count(d.Changed), "by key "+strings.Join(d.Key, ", "))
		for _, c := range d.Columns {
			t.row("    "+c.Column, count(c.Rows))
		}
	}
	if d.Ambiguous > 0 {
		t.row("  ambiguous", count(d.Ambiguous), "of those only now or only after: their key is not unique")
	}
	_ = t.flush()
	for _, c := range d.Schema {
		_, _ = fmt.Fprintf(a.out, "  column   %s: %s\n", c.Column, schemaText(c))
	}
	for _, s := range d.Samples {
		_, _ = fmt.Fprintf(a.out, "  %s %s\n", sampleSign(s.Kind), sampleText(s))
	}
}

func schemaText(c query.ColumnChange) string {
	switch {
	case c.Before == "":
		return "new, " + c.After
	case c.After == "":
		return c.Before + ", not made any more"
	}
	return c.Before + " becomes " + c.After
}

func sampleSign(kind string) string {
	return map[string]string{query.OnlyBefore: "-", query.OnlyAfter: "+", query.ChangedRow: "~"}[kind]
}

func sampleText(s query.ChangedSample) string {
	var parts []string
	for _, v := range s.Values {
		switch {
		case s.Kind == query.OnlyBefore:
			parts = append(parts, v.Column+"="+valueText(v.Before))
		case s.Kind == query.OnlyAfter:
			parts = append(parts, v.Column+"="+valueText(v.After))
		case valueText(v.Before) == valueText(v.After): // the key
			parts = append(parts, v.Column+"="+valueText(v.Before))
		default:
			parts = append(parts, v.Column+": "+valueText(v.Before)+" → "+valueText(v.After))
		}
	}
	return strings.Join(parts, "  ")
}

func valueText(v any) string {
	if v == nil {
		return "NULL"
	}
	return strings.Map(printable, query.TextForm("", v, "NULL"))
}

// printReplays shows replays that are under way or left, and datasets that replays have made.
func (a *app) printReplays(all []engine.ReplayReport) {
	for _, r := range all {
		_, _ = fmt.Fprintf(a.out, "%s: a replay of units %s (%s) is %s: %s in %s\n",
			r.Flow, engine.SpanText(r.Units), r.Purpose, r.State, plural(r.Made, "row"), strings.Join(r.Datasets, ", "))
	}
}
