package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/ledger"
)

// replayFlags are what the command line says of a replay.
type replayFlags struct {
	units, since, until, snapshots string
	into, by                       string
	diff, downstream, yes, abandon bool
	key                            []string
	samples                        int
}

func (a *app) replayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay PIPELINE.FLOW",
		Short: "Make a flow's target again from its input, with today's transforms and checks, and swap it in",
		Long: `Reads again what a flow has read, from landing or whatever its input is and never from the source, takes it through the
flow as it is defined today, and builds the outcome beside the target. Then the new rows take the place of the old ones
in all datasets of the flow at once. Until that moment readers see the old rows. While a runner has the flow, the swap
waits. If the command dies, the same command goes on where it left off.

Without a range everything is made again. A range of the input, by time or snapshot, is widened to whole units of the
flow; qanat status and the ledger count them. --into leaves the target alone and keeps the outcome in a dataset of its
own; --diff builds it, prints what would change, and drops it.`,
		Example: `  qanat replay shop.orders --diff --key id          # what would change?
  qanat replay shop.orders                          # replace everything
  qanat replay shop.orders --since 2024-05-01       # what was landed since
  qanat replay shop.orders --units 12..15 --downstream
  qanat replay shop.orders --into processing.shop.orders_try
  qanat replay shop.orders --abandon                # drop what a replay has left`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flowName(args[0]); err != nil {
				return err
			}
			request, err := f.request(args[0])
			if err != nil {
				return usage(err)
			}
			return a.start(cmd.Context(), "", func(p *engine.Project) error {
				if f.abandon {
					return a.abandonReplay(cmd.Context(), p, args[0], f.into)
				}
				return a.replay(cmd.Context(), p, request, f.yes)
			})
		},
	}
	f.bind(cmd)
	return cmd
}

func (f *replayFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.units, "units", "", "units of the flow: A..B, A.. or one number")
	flags.StringVar(&f.since, "since", "", "input that was committed at or after this time: 2024-05-01, 2024-05-01T12:00:00Z, or 36h for so long ago")
	flags.StringVar(&f.until, "until", "", "input that was committed before this time")
	flags.StringVar(&f.snapshots, "snapshots", "", "input from one of its snapshots to another: A..B")
	flags.StringVar(&f.into, "into", "", "build into this dataset, and leave the target alone")
	flags.BoolVar(&f.diff, "diff", false, "print what would change, and change nothing")
	flags.StringSliceVar(&f.key, "key", nil, "with --diff: columns that tell which row became which (default: the flow's write.key)")
	flags.IntVar(&f.samples, "samples", 3, "with --diff: rows to show of each kind of change")
	flags.BoolVar(&f.downstream, "downstream", false, "replay the flows behind it, too, as far as they have read what is replaced")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.BoolVar(&f.abandon, "abandon", false, "drop what a replay has left that did not come to its end, or, with --into, the dataset that one has made")
	flags.StringVar(&f.by, "by", "", "who wants it, for the record (default: the user that runs the command)")
}

func (f *replayFlags) request(name string) (engine.ReplayRequest, error) {
	who := decision{by: f.by}
	r := engine.ReplayRequest{
		Flow: name, Into: f.into, Diff: f.diff, Key: f.key, Samples: f.samples, Downstream: f.downstream, By: who.who(),
	}
	ranges := 0
	for _, given := range []string{f.units, f.since + f.until, f.snapshots} {
		if given != "" {
			ranges++
		}
	}
	switch {
	case ranges > 1:
		return r, errors.New("--units, --since with --until, and --snapshots exclude each other")
	case f.into != "" && f.diff:
		return r, errors.New("--into and --diff exclude each other")
	case f.downstream && (f.into != "" || f.diff):
		return r, errors.New("--downstream goes with a replay that is swapped in, not with --into or --diff")
	case len(f.key) > 0 && !f.diff:
		return r, errors.New("--key goes with --diff")
	case f.abandon && (ranges > 0 || f.diff || f.downstream):
		return r, errors.New("--abandon goes alone, or with --into")
	case f.samples < 0:
		return r, fmt.Errorf("--samples %d: expected 0 or more", f.samples)
	}
	var err error
	r.Range, err = f.replayRange(time.Now())
	return r, err
}

func (f *replayFlags) replayRange(now time.Time) (r flow.ReplayRange, err error) {
	if f.units != "" {
		if r.Units, err = parseUnits(f.units); err != nil {
			return r, err
		}
	}
	if f.snapshots != "" {
		if r.Snapshots, err = parseSnapshots(f.snapshots); err != nil {
			return r, err
		}
	}
	if r.Since, err = parseMoment("--since", f.since, now); err != nil {
		return r, err
	}
	if r.Until, err = parseMoment("--until", f.until, now); err != nil {
		return r, err
	}
	if !r.Since.IsZero() && !r.Until.IsZero() && !r.Since.Before(r.Until) {
		err = fmt.Errorf("--since %s is not before --until %s", f.since, f.until)
	}
	return r, err
}

func parseUnits(text string) (ledger.Span, error) {
	wrong := fmt.Errorf("--units %q: expected A..B, A.. or one number; units count from 1", text)
	first, last, isRange := strings.Cut(text, "..")
	var s ledger.Span
	var err error
	if s.First, err = strconv.ParseInt(first, 10, 64); err != nil || s.First < 1 {
		return s, wrong
	}
	switch {
	case !isRange:
		s.Last = s.First
	case last != "":
		if s.Last, err = strconv.ParseInt(last, 10, 64); err != nil || s.Last < s.First {
			return s, wrong
		}
	}
	return s, nil
}

func parseSnapshots(text string) (ids [2]int64, err error) {
	first, last, isRange := strings.Cut(text, "..")
	if !isRange {
		last = first
	}
	for i, part := range []string{first, last} {
		if ids[i], err = strconv.ParseInt(part, 10, 64); err != nil || ids[i] <= 0 {
			return ids, fmt.Errorf("--snapshots %q: expected A..B, ids of snapshots of the input as qanat status shows them", text)
		}
	}
	return ids, nil
}

// parseMoment reads a time, in this machine's zone unless it says another, or how long ago.
func parseMoment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s %q: expected a time such as 2024-05-01, 2024-05-01T12:00:00Z, or 36h for so long ago", flag, text)
}

func (a *app) replay(ctx context.Context, p *engine.Project, request engine.ReplayRequest, yes bool) error {
	r, err := p.PlanReplay(ctx, request)
	if err != nil {
		return replayError(err)
	}
	if !a.json() {
		a.printReplayPlan(a.out, r.Plan)
	}
	changes := r.Plan.Mode == engine.ReplaySwap || r.Plan.Mode == engine.ReplayRebuild
	if changes && !yes && !a.json() && isatty.IsTerminal(os.Stdin.Fd()) && terminal(a.out) && !a.confirm(os.Stdin) {
		_, err := fmt.Fprintln(a.out, "nothing was changed")
		return err
	}
	ctx, stopping, release := interruptible(ctx, a)
	defer release()
	lines := watch(a.err, r)
	summary, err := r.Go(ctx, stopping)
	lines.stop()
	if err != nil {
		return replayError(err)
	}
	if a.json() {
		return a.printJSON(struct {
			Plan engine.ReplayPlan `json:"plan"`
			engine.ReplaySummary
		}{r.Plan, summary})
	}
	a.printReplay(summary)
	return nil
}

// replayError makes what is wrong with the request bad usage.
func replayError(err error) error {
	if errors.Is(err, flow.ErrNothingToReplay) {
		return usage(err)
	}
	return err
}

func (a *app) confirm(in io.Reader) bool {
	_, _ = fmt.Fprint(a.out, "Replace these rows? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return err == nil && (answer == "y" || answer == "yes")
}

func (a *app) abandonReplay(ctx context.Context, p *engine.Project, name, into string) error {
	all, err := p.AbandonReplay(ctx, name, into, nil, a.waiting(name))
	if err != nil {
		return err
	}
	if a.json() {
		return a.printJSON(all)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintf(a.out, "no replay of %s was left\n", name)
		return err
	}
	for _, one := range all {
		if _, err := fmt.Fprintf(a.out, "dropped %s\n", strings.Join(one.Datasets, ", ")); err != nil {
			return err
		}
		if one.Swapped > 0 {
			_, _ = fmt.Fprintf(a.out, "its rows had been swapped in by unit %d, and stay\n", one.Swapped)
		}
	}
	return nil
}
