package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/spec"
)

func (a *app) validateCommand() *cobra.Command {
	var show bool
	cmd := &cobra.Command{
		Use:   "validate [PIPELINE]",
		Short: "Check the project's files, and every plugin's settings against its schema, without starting a server",
		Args:  atMostOne(),
		RunE: func(cmd *cobra.Command, args []string) error {
			argument := ""
			if len(args) == 1 {
				argument = args[0]
			}
			return a.validate(cmd, argument, show)
		},
	}
	cmd.Flags().BoolVar(&show, "show", false, "print the specs as they are after overlays and connections, with the origin of each value")
	return cmd
}

// atMostOne lets a command have one argument or none.
func atMostOne() cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usage(fmt.Errorf("at most 1 argument, got %d; usage: %s", len(args), cmd.UseLine()))
		}
		return nil
	}
}

func (a *app) validate(cmd *cobra.Command, argument string, show bool) error {
	bundle, faults := a.read(cmd.Context(), argument)
	if bundle == nil {
		return &engine.FaultsError{Faults: faults}
	}
	found, err := a.settings(cmd, bundle)
	faults = append(faults, found...)
	if err == nil && spec.HasErrors(faults) {
		return &engine.FaultsError{Faults: faults}
	}
	if printErr := spec.Print(a.err, faults, color(a.err)); printErr != nil || err != nil {
		return errors.Join(err, printErr)
	}
	pipelines := bundle.Pipelines
	if !show {
		return a.printValid(pipelines)
	}
	var nodes []*spec.Node
	if project := bundle.Project.Node; project != nil {
		nodes = append(nodes, project)
	}
	for _, pipeline := range pipelines {
		nodes = append(nodes, pipeline.Node)
	}
	return a.showSpecs(nodes)
}

// showSpecs prints documents as one YAML stream.
func (a *app) showSpecs(nodes []*spec.Node) error {
	for i, node := range nodes {
		if i > 0 {
			_, _ = fmt.Fprintln(a.out, "---")
		}
		if err := spec.Show(a.out, node); err != nil {
			return err
		}
	}
	return nil
}

// settings asks the plugins about their settings, also where the files have other faults, so that all are told at once.
func (a *app) settings(cmd *cobra.Command, bundle *spec.Bundle) (faults []spec.Fault, err error) {
	project, err := engine.Open(bundle, a.logger())
	if unresolved, ok := errors.AsType[*engine.FaultsError](err); ok {
		return unresolved.Faults, nil
	}
	if err != nil {
		return nil, err
	}
	a.redact = project.Resolver.Redact
	defer func() { err = errors.Join(err, project.Close(cmd.Context())) }()
	return project.Validate(cmd.Context(), bundle.Pipelines)
}

func (a *app) printValid(pipelines []*spec.Pipeline) error {
	var names []string
	for _, p := range pipelines {
		names = append(names, p.Name)
	}
	if a.json() {
		return a.printJSON(map[string]any{"valid": true, "pipelines": names})
	}
	for _, name := range names {
		if _, err := fmt.Fprintf(a.out, "pipeline %s is valid\n", name); err != nil {
			return err
		}
	}
	return nil
}
