package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/flow/ledger"
)

// decision are the flags that say who decides, and why.
type decision struct {
	by, reason string
}

func (d *decision) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.reason, "reason", "", "why, for the record")
	cmd.Flags().StringVar(&d.by, "by", "", "who decides, for the record (default: the user that runs the command)")
}

// who decides: whoever is named, else whoever types.
func (d *decision) who() string {
	if d.by != "" {
		return d.by
	}
	if known, err := user.Current(); err == nil {
		return known.Username
	}
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	return "unknown"
}

func (a *app) promoteCommand() *cobra.Command {
	var d decision
	var drop, again bool
	cmd := &cobra.Command{
		Use:   "promote PIPELINE.FLOW",
		Short: "Decide about a held unit: release it, drop it, or have its input read again",
		Long: `Decides about the unit that a flow waits with because a check blocked it. Without a flag the unit is released: its rows
become visible, or go on into the sink. The decision is on record before anything changes; if the command dies, the same
command, or the next run, carries it out to its end. Then run the pipeline again: the flow goes on behind the unit.`,
		Example: `  qanat promote shop.orders --reason "checked with finance"
  qanat promote shop.orders --drop --reason "test data"
  qanat promote shop.orders --again       # after the pipeline or the contract was corrected`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := engine.PromoteRequest{Flow: args[0], What: ledger.Release, By: d.who(), Reason: d.reason}
			switch {
			case drop && again:
				return usage(errors.New("--drop and --again exclude each other"))
			case drop:
				request.What = ledger.Drop
			case again:
				request.What = ledger.Again
			}
			if err := flowName(args[0]); err != nil {
				return err
			}
			return a.start(cmd.Context(), "", func(p *engine.Project) error { return a.promote(cmd.Context(), p, request) })
		},
	}
	cmd.Flags().BoolVar(&drop, "drop", false, "drop the unit's rows; they are counted as dropped")
	cmd.Flags().BoolVar(&again, "again", false, "forget the unit and read its input again, with the pipeline as it is then")
	d.flags(cmd)
	return cmd
}

// flowName refuses what can't be the name of a flow.
func flowName(text string) error {
	pipeline, name, _ := strings.Cut(text, ".")
	if pipeline == "" || name == "" {
		return usage(fmt.Errorf("%q is no flow: expected PIPELINE.FLOW, such as shop.orders; qanat status lists the flows", text))
	}
	return nil
}

func (a *app) promote(ctx context.Context, p *engine.Project, request engine.PromoteRequest) error {
	done, err := p.Promote(ctx, request, a.waiting(request.Flow))
	if err != nil {
		return named(err)
	}
	if a.json() {
		return a.printJSON(done)
	}
	return a.printPromotion(done)
}

// named makes an error about the name of a flow bad usage.
func named(err error) error {
	if _, unknown := errors.AsType[*engine.UnknownFlowError](err); unknown {
		return usage(err)
	}
	return err
}

// waiting says on stderr what a command waits for.
func (a *app) waiting(name string) func(note string) {
	return func(note string) { _, _ = fmt.Fprintf(a.err, "%s: %s\n", name, a.redact(note)) }
}

func (a *app) printPromotion(p engine.Promotion) error {
	pipeline, _, _ := strings.Cut(p.Flow, ".")
	var text string
	switch p.Decision.What {
	case ledger.Release:
		text = fmt.Sprintf("unit %d of %s is released: %s", p.Seq, p.Flow, plural(p.Rows, "row"))
	case ledger.Drop:
		text = fmt.Sprintf("unit %d of %s is dropped: %s", p.Seq, p.Flow, plural(p.Rows, "row"))
	case ledger.Again:
		text = fmt.Sprintf("unit %d of %s is void: its input is read again", p.Seq, p.Flow)
	}
	_, err := fmt.Fprintf(a.out, "%s\ngo on with: qanat run %s\n", text, pipeline)
	return err
}
