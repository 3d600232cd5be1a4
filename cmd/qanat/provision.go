package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/sdk"
)

func (a *app) provisionCommand() *cobra.Command {
	var request engine.ProvisionRequest
	cmd := &cobra.Command{
		Use:   "provision PIPELINE",
		Short: "Make, or remove, what a source keeps in the other system: slots, publications, subscriptions",
		Long: `Some sources need things of their own in the system that they read, such as a replication slot. "qanat run" makes
what is missing by itself, and "qanat plan" shows it beforehand. This command does the same without running; with
--remove it takes away what the source has made, so that nothing is kept there for a pipeline that is given up.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.start(cmd.Context(), args[0], func(p *engine.Project) error {
				pipeline, err := chosen(p, args[0])
				if err != nil {
					return err
				}
				actions, err := p.Provision(cmd.Context(), pipeline, request)
				if err != nil {
					return err
				}
				return a.printActions(actions, request.DryRun)
			})
		},
	}
	cmd.Flags().BoolVar(&request.Remove, "remove", false, "take away what the source has made")
	cmd.Flags().BoolVar(&request.DryRun, "dry-run", false, "say what would be done, and do nothing")
	return cmd
}

func (a *app) printActions(actions []sdk.Action, dryRun bool) error {
	if a.json() {
		return a.printJSON(append([]sdk.Action{}, actions...))
	}
	switch {
	case len(actions) == 0:
		_, err := fmt.Fprintln(a.out, "there is nothing to do")
		return err
	case dryRun:
		_, _ = fmt.Fprintln(a.out, "this is what would be done:")
	}
	for _, action := range actions {
		if _, err := fmt.Fprintf(a.out, "%s: %s\n", action.Object, action.Description); err != nil {
			return err
		}
	}
	return nil
}
