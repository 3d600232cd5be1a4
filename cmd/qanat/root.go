package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/flow"
	"github.com/qanat-data/qanat/core/flow/surroundings"
	"github.com/qanat-data/qanat/core/spec"
	"github.com/qanat-data/qanat/registry"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1 // a run failed
	exitUsage       = 2 // bad usage or spec
	exitEnvironment = 3 // a server, a plugin, a permission
	exitDenied      = 4 // policies don't allow it
	exitBlocked     = 5 // a check holds a unit
)

// app is what all verbs share: global flags and where output goes.
type app struct {
	out, err io.Writer
	dir      string
	env      string
	output   string
	logLevel string
	redact   func(string) string // takes the secrets out that references of the project led to
}

func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	a := &app{out: out, err: errOut, redact: func(text string) string { return text }}
	root := a.command()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err != nil {
		a.report(err)
	}
	return exitCode(err)
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "qanat",
		Short: "Moves data into, through and out of governed zones",
		Long: `Qanat runs pipelines: a source plugin lands raw records, and flows take them through processing and curated
zones to sinks. Zones are Apache Iceberg tables on S3. Without any configuration everything runs embedded
and keeps its state in .qanat/ of the project folder.

Exit codes: 0 done, 1 a run failed, 2 bad usage or spec, 3 environment (server, plugin, permission),
4 denied by policy, 5 blocked by a check.`,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.checkFlags(cmd.Name()) },
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.dir, "project", "C", "", "project folder (default: the nearest folder upwards with a qanat.yaml, else this one)")
	flags.StringVar(&a.env, "env", "", "overlay to apply: overlays/ENV.yaml")
	flags.StringVarP(&a.output, "output", "o", "table", "output format: table or json (query also csv)")
	flags.StringVar(&a.logLevel, "log-level", "warn", "what to log on stderr: trace, debug, info, warn, error, off")
	root.Args, root.RunE = unknownVerb, showHelp
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(a.initCommand(), a.validateCommand(), a.planCommand(), a.runCommand(), a.statusCommand(), a.queryCommand(),
		a.promoteCommand(), a.quarantineCommand(), a.replayCommand(), a.provisionCommand(),
		a.pluginCommand(), a.policyCommand(), a.upkeepCommand(), a.versionCommand())
	return root
}

// unknownVerb refuses words after a command that only has commands below it.
func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", cmd.CommandPath()+" "+args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %q?", strings.Join(near, ", "))
	}
	return usage(fmt.Errorf("%s; see %q", text, cmd.CommandPath()+" --help"))
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func (a *app) checkFlags(verb string) error {
	switch {
	case a.output == "table", a.output == "json", a.output == "csv" && verb == "query":
	default:
		return usage(fmt.Errorf("output format %q: allowed are table, json and, for query, csv", a.output))
	}
	if hclog.LevelFromString(a.logLevel) == hclog.NoLevel {
		return usage(fmt.Errorf("log level %q: allowed are trace, debug, info, warn, error, off", a.logLevel))
	}
	return nil
}

func (a *app) logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "qanat", Level: hclog.LevelFromString(a.logLevel), Output: redacted{a}})
}

// redacted writes to stderr what is no secret.
type redacted struct{ *app }

func (r redacted) Write(line []byte) (int, error) {
	_, err := io.WriteString(r.err, r.redact(string(line)))
	return len(line), err
}

func (a *app) json() bool { return a.output == "json" }

// terminal says whether a writer is one that can redraw lines.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
}

func color(w io.Writer) bool { return terminal(w) && os.Getenv("NO_COLOR") == "" }

// usageError is bad usage of the command line.
type usageError struct{ error }

func usage(err error) error { return usageError{err} }

// exactArgs refuses other numbers of arguments, as bad usage.
func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(cmd, args); err != nil {
			return usage(fmt.Errorf("%w; usage: %s", err, cmd.UseLine()))
		}
		return nil
	}
}

// exitCode maps an error to the command's exit code.
func exitCode(err error) int {
	var bad usageError
	var faults *engine.FaultsError
	var plan *engine.PlanError
	var held *flow.HeldError
	var replayHeld *flow.ReplayHeldError
	var environment *environmentError
	switch {
	case err == nil:
		return exitDone
	case deniedBy(err):
		return exitDenied
	case errors.As(err, &environment), pluginRefused(err), errors.Is(err, engine.ErrServersLost):
		return exitEnvironment
	case errors.As(err, &bad), errors.As(err, &faults):
		return exitUsage
	case errors.As(err, &plan):
		return planCode(plan)
	case errors.As(err, &held), errors.As(err, &replayHeld):
		return exitBlocked
	case surroundings.Caused(err):
		return exitEnvironment
	}
	return exitFailed
}

// deniedBy says whether policies don't allow it, or are not in order themselves.
func deniedBy(err error) bool {
	_, denied := engine.Denied(err)
	_, faulty := errors.AsType[*engine.PolicyError](err)
	return denied || faulty
}

// pluginRefused says whether a plugin's binary is missing, or is not what the lock file says.
func pluginRefused(err error) bool {
	var changed *registry.ChangedError
	var missing *registry.MissingError
	var conflict *registry.ConflictError
	var manifest *registry.ManifestError
	return errors.As(err, &changed) || errors.As(err, &missing) || errors.As(err, &conflict) || errors.As(err, &manifest)
}

// planCode is the environment's if any of the faults is: what is missing there may be the reason for the others.
func planCode(e *engine.PlanError) int {
	for _, f := range e.Plan.Faults {
		if f.Environment {
			return exitEnvironment
		}
	}
	return exitUsage
}

// environmentError marks a failure of what the command stands on.
type environmentError struct{ error }

func (e *environmentError) Unwrap() error { return e.error }

func environment(err error) error {
	if err == nil {
		return nil
	}
	return &environmentError{err}
}

// heldFlows are the flows that wait for a decision, by an error or the errors that are joined in it.
func heldFlows(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, one := range joined.Unwrap() {
			all = append(all, heldFlows(one)...)
		}
		return all
	}
	if held, ok := errors.AsType[*flow.HeldError](err); ok {
		return []string{held.Flow}
	}
	return nil
}

// report prints an error for people: spec faults with their excerpts, everything else on a line.
func (a *app) report(err error) {
	var faults *engine.FaultsError
	var plan *engine.PlanError
	switch {
	case errors.As(err, &faults):
		_ = spec.Print(a.err, faults.Faults, color(a.err))
	case errors.As(err, &plan):
		faults := plan.Faults()
		for i := range faults {
			faults[i].Message = a.redact(faults[i].Message)
		}
		_ = spec.Print(a.err, faults, color(a.err))
	default:
		_, _ = fmt.Fprintln(a.err, "error:", a.redact(err.Error()))
	}
	for _, name := range heldFlows(err) {
		_, _ = fmt.Fprintf(a.err, "decide with: qanat promote %s, with --drop or --again if the unit is not to be released\n", name)
	}
}
