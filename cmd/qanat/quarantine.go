package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/quarantine"
)

func (a *app) quarantineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Look at rejected rows, send them through their flow again, or give them up",
		Args:  unknownVerb, RunE: showHelp,
	}
	cmd.AddCommand(a.quarantineListCommand(), a.quarantineShowCommand(), a.quarantineReleaseCommand(), a.quarantineDropCommand())
	return cmd
}

// selection are the flags that choose quarantined rows.
type selection struct {
	code, stage, since string
	unit               int64
	ids                []string
	all                bool
}

func (s *selection) groups(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.code, "code", "", "rows that were rejected with this code")
	cmd.Flags().StringVar(&s.stage, "stage", "", "rows that this stage rejected: source, transform, check, target, sink, or a step of that name")
	cmd.Flags().StringVar(&s.since, "since", "", "rows that were set aside since then: 2h, 2006-01-02 or 2006-01-02T15:04:05Z")
}

func (s *selection) rows(cmd *cobra.Command) {
	s.groups(cmd)
	cmd.Flags().Int64Var(&s.unit, "unit", 0, "rows of this unit")
	cmd.Flags().StringSliceVar(&s.ids, "id", nil, "rows with these ids, such as 12-3")
}

func (s *selection) parse() (quarantine.Selection, error) {
	selected := quarantine.Selection{Code: s.code, Stage: s.stage, Unit: s.unit, All: s.all}
	for _, text := range s.ids {
		id, err := quarantine.ParseRowID(text)
		if err != nil {
			return selected, usage(err)
		}
		selected.IDs = append(selected.IDs, id)
	}
	var err error
	selected.Since, err = parseSince(s.since, time.Now())
	return selected, err
}

// parseSince reads a moment, or how long ago it was.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usage(fmt.Errorf("since %q: expected how long ago, such as 2h, or a time, such as 2006-01-02 or 2006-01-02T15:04:05Z", text))
}

func (a *app) quarantineListCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "ls [PIPELINE[.FLOW]]",
		Short: "Count quarantined rows by flow, stage and code",
		Args:  atMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error {
			selected, err := s.parse()
			if err != nil {
				return err
			}
			of := strings.Join(args, "")
			return a.start(cmd.Context(), "", func(p *engine.Project) error {
				counts, err := p.QuarantineCounts(cmd.Context(), of, selected)
				if err != nil {
					return named(err)
				}
				if a.json() {
					return a.printJSON(counts)
				}
				return a.printCounts(counts)
			})
		},
	}
	s.groups(cmd)
	return cmd
}

func (a *app) printCounts(counts []quarantine.Count) error {
	if len(counts) == 0 {
		_, err := fmt.Fprintln(a.out, "no rows in quarantine")
		return err
	}
	t := newTable(a.out, "FLOW", "STAGE", "CODE", "ROWS", "OPEN", "RELEASED", "DROPPED", "FIRST", "LAST")
	for _, c := range counts {
		t.row(c.Flow, stageName(c.Stage, c.Step), c.Code, count(c.Rows), count(c.Open), count(c.Released), count(c.Dropped),
			c.First.UTC().Format(time.RFC3339), c.Last.UTC().Format(time.RFC3339))
	}
	return t.flush()
}

// stageName names a stage by its step where several stages are of its kind.
func stageName(stage, step string) string {
	if strings.HasPrefix(step, stage+":") {
		return step
	}
	return stage
}

func (a *app) quarantineReleaseCommand() *cobra.Command {
	var s selection
	var d decision
	var from string
	cmd := &cobra.Command{
		Use:   "release PIPELINE.FLOW",
		Short: "Send quarantined rows through their flow again, each once, with the pipeline as it is now",
		Long: `Sends rows through their flow again, from the stage that rejected them, with the pipeline as it is now. They come out as a
unit of the flow like any other; those that are rejected again are quarantined again, as rows of that unit. Each row is
released once, whatever is interrupted and repeated.

Corrected rows come from a file (--from) of JSON objects: {"id": "12-3", "row": {…}}, as "show --raw -o json" prints them, or a
row's columns with its id as "_id". Rows that a source could not read can only be released so; they come in behind the source.`,
		Example: `  qanat quarantine release shop.orders --code range
  qanat quarantine show shop.orders --raw -o json --limit 0 > rows.jsonl   # correct them, then:
  qanat quarantine release shop.orders --from rows.jsonl --reason "prices corrected"`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			selected, err := s.parse()
			if err != nil {
				return err
			}
			if err := chosenRows(args[0], selected, from != ""); err != nil {
				return err
			}
			request := &flow.RedriveSettings{Select: selected, By: d.who(), Reason: d.reason}
			return a.releaseFrom(cmd.Context(), args[0], request, from)
		},
	}
	s.rows(cmd)
	cmd.Flags().BoolVar(&s.all, "all", false, "all open rows")
	cmd.Flags().StringVar(&from, "from", "", "file of corrected rows; without another selection these are the rows that are released")
	d.flags(cmd)
	return cmd
}

// chosenRows refuses a release or a drop that does not say of what.
func chosenRows(name string, s quarantine.Selection, corrected bool) error {
	if err := flowName(name); err != nil {
		return err
	}
	if s.Empty() && !corrected {
		return usage(errors.New("which rows? name them by --code, --stage, --unit, --id or --since, or say --all"))
	}
	return nil
}

func (a *app) releaseFrom(ctx context.Context, name string, request *flow.RedriveSettings, from string) (err error) {
	if from != "" {
		if request.From, err = quarantine.OpenCorrections(from); err != nil {
			return usage(err)
		}
		defer func() { err = errors.Join(err, request.From.Close()) }()
	}
	return a.start(ctx, "", func(p *engine.Project) error {
		run, err := p.PrepareRedrive(ctx, name, request)
		if err != nil {
			return named(err)
		}
		ctx, stopping, done := interruptible(ctx, a)
		defer done()
		lines := watch(a.err, run.Run)
		summary, err := run.Go(ctx, stopping)
		lines.stop()
		if a.json() {
			return errors.Join(a.printJSON(summary), err)
		}
		a.printRedrive(summary)
		if err != nil {
			return err
		}
		return stuckRows(summary.Redrive)
	})
}

func (a *app) printRedrive(s engine.RedriveSummary) {
	switch {
	case s.Released > 0:
		_, _ = fmt.Fprintf(a.out, "%s released: %s written, %s rejected again (unit %d)\n",
			plural(s.Released, "row"), count(s.Written), count(s.Rejected), s.Seq)
	case s.Settled > 0:
		_, _ = fmt.Fprintln(a.out, "nothing to release: all of these rows were released or dropped before")
	case len(s.Stuck) == 0:
		_, _ = fmt.Fprintln(a.out, "nothing to release")
	}
	if s.Released > 0 && s.Settled > 0 {
		_, _ = fmt.Fprintf(a.out, "%s released or dropped before\n", plural(s.Settled, "row"))
	}
}

// stuckRows is the failure that chosen rows could not be released, or are not there.
func stuckRows(r flow.Redrive) error {
	var all []error
	for _, reason := range slices.Sorted(maps.Keys(r.Stuck)) {
		all = append(all, fmt.Errorf("%s can't be released: %s", plural(r.Stuck[reason], "row"), reason))
	}
	return errors.Join(append(all, unknownRows(r.Unknown))...)
}

func unknownRows(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return fmt.Errorf("not in quarantine: %s", strings.Join(ids, ", "))
}

func (a *app) quarantineDropCommand() *cobra.Command {
	var s selection
	var d decision
	cmd := &cobra.Command{
		Use:   "drop PIPELINE.FLOW",
		Short: "Give quarantined rows up; they stay for the record, with the decision",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			selected, err := s.parse()
			if err != nil {
				return err
			}
			if err := chosenRows(args[0], selected, false); err != nil {
				return err
			}
			request := flow.DropRequest{Select: selected, By: d.who(), Reason: d.reason}
			return a.start(cmd.Context(), "", func(p *engine.Project) error {
				done, err := p.DropQuarantined(cmd.Context(), args[0], request, a.waiting(args[0]))
				if err != nil {
					return named(err)
				}
				return a.printDropped(done)
			})
		},
	}
	s.rows(cmd)
	cmd.Flags().BoolVar(&s.all, "all", false, "all open rows")
	d.flags(cmd)
	return cmd
}

func (a *app) printDropped(d flow.DropRows) error {
	if a.json() {
		return errors.Join(a.printJSON(d), unknownRows(d.Unknown))
	}
	_, err := fmt.Fprintf(a.out, "%s dropped\n", plural(d.Dropped, "row"))
	if d.Settled > 0 {
		_, _ = fmt.Fprintf(a.out, "%s released or dropped before\n", plural(d.Settled, "row"))
	}
	if d.Pending > 0 {
		_, _ = fmt.Fprintf(a.out, "%s on the way: a unit that the next run commits releases them\n", plural(d.Pending, "row"))
	}
	return errors.Join(err, unknownRows(d.Unknown))
}

// limited says how many rows to show: all if it is 0.
func limited(cmd *cobra.Command, limit *int64) {
	cmd.Flags().Int64Var(limit, "limit", 20, "how many rows to show; 0 shows all")
}
