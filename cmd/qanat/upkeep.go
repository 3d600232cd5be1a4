package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/core/zone/upkeep"
)

func (a *app) upkeepCommand() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "upkeep [DATASET-PATTERN…]",
		Short: "Put small files together, let old snapshots go, and remove what nothing refers to any more",
		Long: `Upkeep keeps datasets small, fast to read and fast to commit to, by the policies under "upkeep" in qanat.yaml.
It changes no row and is safe beside running flows. "qanat run" does it by itself; the command does everything
that is due at once, the search for orphans and for versions whose retention is over among it.

A pattern names datasets as in a flow's from: landing.shop.*; without any, all are looked after.`,
		Args: func(_ *cobra.Command, args []string) error {
			for _, text := range args {
				if _, err := spec.ParsePattern(text); err != nil {
					return usage(fmt.Errorf("%w; patterns are written landing.shop.*", err))
				}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.start(cmd.Context(), "", func(p *engine.Project) error {
				report, err := p.Upkeep(cmd.Context(), engine.UpkeepRequest{Datasets: args, DryRun: dryRun})
				if len(report.Datasets) == 0 && err != nil {
					return err
				}
				if a.json() {
					return errors.Join(a.printJSON(report), err)
				}
				return errors.Join(a.printUpkeep(report, dryRun), err)
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	return cmd
}

func (a *app) printUpkeep(report engine.UpkeepReport, dryRun bool) error {
	if len(report.Datasets) == 0 {
		_, err := fmt.Fprintln(a.out, "there are no datasets yet")
		return err
	}
	if dryRun {
		_, _ = fmt.Fprintln(a.out, "this is what would be done:")
	}
	t := newTable(a.out, "DATASET", "FILES", "SNAPSHOTS", "METADATA", "COMPACTED", "REMOVED", "ORPHANS", "VERSIONS", "SECONDS")
	for _, d := range report.Datasets {
		t.row(d.Dataset, change(d.Files), change(d.Snapshots), sizes(d.MetadataBytes), amount(d.Compacted), amount(d.Removed),
			amount(d.Orphans), amount(d.Versions), fmt.Sprintf("%.1f", d.Seconds))
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, d := range report.Datasets {
		for _, why := range d.Kept {
			_, _ = fmt.Fprintf(a.out, "%s kept: %s\n", d.Dataset, why)
		}
	}
	return nil
}

func change(c upkeep.Change) string {
	if c.Before == c.After {
		return count(c.After)
	}
	return count(c.Before) + " → " + count(c.After)
}

func sizes(c upkeep.Change) string {
	if c.Before == c.After {
		return size(c.After)
	}
	return size(c.Before) + " → " + size(c.After)
}

func amount(m upkeep.Amount) string {
	if m.Count == 0 {
		return "-"
	}
	return count(m.Count) + " (" + size(m.Bytes) + ")"
}
