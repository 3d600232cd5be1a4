package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/flow/progress"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run PIPELINE",
		Short: "Run a pipeline until its source ends and every flow has caught up",
		Long: `Runs a pipeline, named or as a file, until its source ends and every flow has caught up, and prints a summary.
Interrupt it once (Ctrl-C) to let it come to an end and commit what it has read; interrupt it again to stop at
once. Either way, and after a crash too, the next run goes on where this one left off.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.start(cmd.Context(), args[0], func(p *engine.Project) error { return a.run(cmd.Context(), p, args[0]) })
		},
	}
}

func (a *app) run(ctx context.Context, p *engine.Project, argument string) error {
	pipeline, err := chosen(p, argument)
	if err != nil {
		return err
	}
	run, planned, err := p.Prepare(ctx, pipeline)
	if err != nil {
		return err
	}
	for _, warning := range planned.Warnings {
		_, _ = fmt.Fprintln(a.err, "warning:", warning)
	}
	ctx, stopping, release := interruptible(ctx, a)
	defer release()
	lines := watch(a.err, run)
	summary, err := run.Go(ctx, stopping)
	lines.stop()
	if a.json() {
		if printErr := a.printJSON(summary); printErr != nil {
			return printErr
		}
		return err
	}
	a.printSummary(summary)
	return err
}

// interruptible turns the first interrupt into a request to stop and the second into an abort.
func interruptible(ctx context.Context, a *app) (aborting context.Context, stopping <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			_, _ = fmt.Fprintln(a.err, "stopping: what has been read is being committed; interrupt again to stop at once")
			close(stop)
		case <-done:
			return
		}
		select {
		case <-signals:
			cancel()
		case <-done:
		}
	}()
	return ctx, stop, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

func (a *app) printSummary(s engine.Summary) {
	t := newTable(a.out, "FLOW", "STATE", "READ", "WRITTEN", "QUARANTINED", "FILTERED", "BYTES", "SECONDS", "SEQ")
	for _, f := range s.Flows {
		t.row(f.Flow, string(f.State), count(f.Read), count(f.Written), count(f.Quarantined), count(f.Filtered),
			size(f.Bytes), fmt.Sprintf("%.1f", f.Seconds), count(f.Seq))
	}
	_ = t.flush()
	for _, f := range s.Flows {
		if f.Note != "" && f.State != progress.Done {
			_, _ = fmt.Fprintf(a.out, "%s: %s\n", f.Flow, strings.TrimSpace(f.Note))
		}
	}
}
