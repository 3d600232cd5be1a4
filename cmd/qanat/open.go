package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/spec"
)

// read reads the project's files.
func (a *app) read(ctx context.Context, pipeline string) (*spec.Bundle, []spec.Fault) {
	options := spec.Options{Dir: a.dir, Env: a.env}
	if pipeline != "" {
		options.Files = []string{pipeline}
	}
	return spec.Load(ctx, options)
}

// load reads the project's files. Warnings are printed; errors are returned together.
func (a *app) load(ctx context.Context, pipeline string) (*spec.Bundle, error) {
	bundle, faults := a.read(ctx, pipeline)
	if spec.HasErrors(faults) {
		return nil, &engine.FaultsError{Faults: faults}
	}
	return bundle, spec.Print(a.err, faults, color(a.err))
}

// open loads the project and readies its plugins; no server is started.
func (a *app) open(ctx context.Context, pipeline string) (*engine.Project, error) {
	bundle, err := a.load(ctx, pipeline)
	if err != nil {
		return nil, err
	}
	project, err := engine.Open(bundle, a.logger())
	if err != nil {
		return nil, err
	}
	a.redact = project.Resolver.Redact
	return project, nil
}

// start opens the project and its servers, runs do, and closes everything.
func (a *app) start(ctx context.Context, pipeline string, do func(*engine.Project) error) (err error) {
	project, err := a.open(ctx, pipeline)
	if err != nil {
		return err
	}
	if err := project.Start(ctx); err != nil {
		return errors.Join(environment(err), project.Close(ctx))
	}
	defer func() {
		if closeErr := project.Close(context.WithoutCancel(ctx)); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("close the project: %w", closeErr))
		}
	}()
	return do(project)
}

// chosen is the one pipeline that load was asked for.
func chosen(project *engine.Project, argument string) (*spec.Pipeline, error) {
	if pipelines := project.Bundle.Pipelines; len(pipelines) == 1 {
		return pipelines[0], nil
	}
	return nil, usage(fmt.Errorf("%q holds %d pipelines, name one of them", argument, len(project.Bundle.Pipelines)))
}
