package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/plan"
)

func (a *app) planCommand() *cobra.Command {
	var columns bool
	cmd := &cobra.Command{
		Use:   "plan PIPELINE",
		Short: "Show what a pipeline will do before any data moves: flows, schemas, column lineage, guarantees",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.start(cmd.Context(), args[0], func(p *engine.Project) error {
				pipeline, err := chosen(p, args[0])
				if err != nil {
					return err
				}
				planned, err := p.Plan(cmd.Context(), pipeline)
				if err != nil {
					return err
				}
				if a.json() {
					err = a.printJSON(planned)
				} else {
					printPlan(a.out, planned, columns)
				}
				if len(planned.Faults) > 0 {
					return &engine.PlanError{Plan: planned, Pipeline: pipeline}
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&columns, "columns", true, "show columns and where each comes from")
	return cmd
}

func printPlan(out io.Writer, p *plan.Plan, columns bool) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	say("pipeline %s: %s", p.Pipeline, plural(int64(len(p.Flows)), "flow"))
	for _, f := range p.Flows {
		say("\n%s  (%s)", f.Name, strings.ReplaceAll(f.Guarantee, "_", " "))
		if len(f.After) > 0 && f.Pinned {
			say("  after    %s", strings.Join(f.After, ", "))
		}
		for _, in := range f.Inputs {
			say("  read     %s", inputText(in))
			if in.Query != "" {
				say("    by       %s", strings.Join(strings.Fields(in.Query), " "))
			}
			if in.Note != "" {
				say("    note     %s", in.Note)
			}
		}
		for _, action := range f.Provision {
			say("  provide  %s", action)
		}
		for _, t := range f.Transforms {
			say("  apply    %s %s%s", t.Name, t.Version, transformText(t))
		}
		for _, c := range f.Checks {
			say("  check    %s %s, on failure %s", c.Name, c.Version, c.OnFail)
		}
		for _, o := range f.Outputs {
			printOutput(out, o, f.Lineage, columns)
		}
		for _, note := range f.Notes {
			say("  note     %s", note)
		}
	}
	for _, warning := range p.Warnings {
		say("\nwarning: %s", warning)
	}
}

func inputText(in plan.Input) string {
	text := in.Name
	switch {
	case in.Dataset != "" && !strings.HasSuffix(in.Dataset, "."+in.Name):
		text = in.Dataset + " as " + in.Name
	case in.Dataset != "":
		text = in.Dataset
	case in.External != nil:
		text += "  of " + in.External.Namespace + ":" + in.External.Name
	}
	if in.Changes {
		text += "  (net changes)"
	}
	if in.EstimatedRows > 0 {
		text += "  about " + plural(in.EstimatedRows, "row")
	}
	if len(in.Columns) == 0 {
		text += "  (columns are known when it is read)"
	}
	return text
}

func transformText(t plan.Transform) string {
	var traits []string
	switch {
	case t.Collects:
		traits = append(traits, "collects all input")
	case t.Cardinality == "one":
		traits = append(traits, "row by row")
	case t.Cardinality == "filter":
		traits = append(traits, "filters rows")
	}
	text := ""
	if len(traits) > 0 {
		text = "  (" + strings.Join(traits, ", ") + ")"
	}
	if t.Description != "" {
		text += "  " + strings.Join(strings.Fields(t.Description), " ")
	}
	return text
}

func printOutput(out io.Writer, o plan.Output, lineage []plan.Lineage, columns bool) {
	text := "  write    " + o.Target + "  (" + o.Mode
	if len(o.Key) > 0 {
		text += " by " + strings.Join(o.Key, ", ")
	}
	if o.New {
		text += ", new"
	}
	_, _ = fmt.Fprintln(out, text+")")
	if columns {
		from := map[string]plan.Lineage{}
		for _, l := range lineage {
			if l.Output == o.Target {
				from[l.Column] = l
			}
		}
		t := newTable(out)
		for _, c := range o.Columns {
			t.row("             "+c.Name, typeText(c.Type), lineageText(from[c.Name]))
		}
		_ = t.flush()
	}
	for _, c := range o.Conversions {
		_, _ = fmt.Fprintln(out, "    convert  "+c)
	}
	for _, c := range o.Changes {
		_, _ = fmt.Fprintln(out, "    change   "+c)
	}
}

// widestType is how much of a type is shown; all of it is in the JSON.
const widestType = 40

func typeText(t string) string {
	if runes := []rune(t); len(runes) > widestType {
		return string(runes[:widestType-1]) + "…"
	}
	return t
}

func lineageText(l plan.Lineage) string {
	const shown = 3
	switch {
	case l.Kind == "":
		return ""
	case len(l.From) == 0:
		return "(constant)"
	case len(l.From) <= shown:
		return "← " + strings.Join(l.From, ", ") + " (" + string(l.Kind) + ")"
	}
	var datasets []string
	for _, from := range l.From {
		dataset := from[:strings.LastIndex(from, ".")]
		if !slices.Contains(datasets, dataset) {
			datasets = append(datasets, dataset)
		}
	}
	return fmt.Sprintf("← %d columns of %s (%s)", len(l.From), strings.Join(datasets, ", "), l.Kind)
}
