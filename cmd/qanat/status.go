package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/flow"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [PIPELINE]",
		Short: "Show each flow's last committed unit, its accounting, who runs it, and what is held or quarantined",
		Args:  atMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 {
				prefix = args[0] + "."
			}
			return a.start(cmd.Context(), "", func(p *engine.Project) error {
				report, err := p.Status(cmd.Context(), prefix)
				if err != nil {
					return err
				}
				if a.json() {
					return a.printJSON(report)
				}
				return a.printStatus(report)
			})
		},
	}
}

func (a *app) printStatus(report engine.Report) error {
	if len(report.Flows) == 0 {
		_, err := fmt.Fprintln(a.out, "no flow has run yet")
		return err
	}
	t := newTable(a.out, "FLOW", "STATE", "SEQ", "EPOCH", "COMMITTED", "ROWS", "REJECTED", "FILTERED", "QUARANTINE", "LAG", "RUNNER")
	for _, f := range report.Flows {
		committed := "-"
		if !f.Committed.IsZero() {
			committed = ago(f.Committed)
		}
		t.row(f.Flow, f.State, count(f.Seq), fmt.Sprint(f.Epoch), committed, count(f.Rows), count(f.Rejected), count(f.Filtered),
			count(f.Quarantined), lag(f.Lag), dash(f.Runner))
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, f := range report.Flows {
		if f.Note != "" {
			_, _ = fmt.Fprintf(a.out, "%s: %s\n", f.Flow, f.Note)
		}
		if f.Held != nil {
			a.printHeld(f.Held)
		}
	}
	a.printReplays(report.Replays)
	_, _ = fmt.Fprintln(a.out)
	t = newTable(a.out, "DATASET", "ROWS", "WRITTEN BY", "SNAPSHOT")
	for _, d := range report.Datasets {
		t.row(d.Name, count(d.Rows), strings.Join(d.Writers, ", "), fmt.Sprint(d.Snapshot))
	}
	return t.flush()
}

// printHeld shows a unit that waits for people: why, and what they may type.
func (a *app) printHeld(h *engine.HeldReport) {
	_, _ = fmt.Fprintf(a.out, "  %s, held by:\n", plural(h.Rows, "row"))
	for _, check := range h.Checks {
		if check.Action == string(flow.OnFailBlock) {
			_, _ = fmt.Fprintf(a.out, "  - %s: %s\n", check.Check, check.Message)
		}
	}
	if d := h.Decision; d != nil {
		_, _ = fmt.Fprintf(a.out, "  decided (%s) by %s, but not carried out yet; repeat it: %s\n", d.What, d.By, h.Next)
		return
	}
	_, _ = fmt.Fprintf(a.out, "  decide with: %s, with --drop or --again if the unit is not to be released\n", h.Next)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// ago says how long ago something was, to the second.
func ago(t time.Time) string {
	return time.Since(t).Truncate(time.Second).String() + " ago"
}

// lag is how far a source is ahead, in size and time.
func lag(l *engine.LagReport) string {
	if l == nil {
		return "-"
	}
	return fmt.Sprintf("%s, %.1f s", size(l.Bytes), l.Seconds)
}
