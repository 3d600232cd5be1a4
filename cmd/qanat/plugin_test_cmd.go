package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/conformance"
	"github.com/qanat-data/qanat/sdk/conformance/sample"
	"github.com/qanat-data/qanat/sdk/conformance/strict"
)

// trialFlags are the flags of "plugin test".
type trialFlags struct {
	config, schema, run, mode string
	streams                   []string
	settings                  conformance.Settings
}

func (a *app) pluginTestCommand() *cobra.Command {
	flags := &trialFlags{}
	cmd := &cobra.Command{
		Use: "test PATH", Short: "Check a built plugin against the contract of the SDK, promise by promise", Args: exactArgs(1),
		Long: `Starts the plugin as the runtime does, without the runtime, and checks what the SDK's contract promises: settings,
discovery, reading twice, resuming from checkpoints, SIGKILL, cancelling, memory, Arrow types, commits and fencing, lineage,
leaks, secrets. The checks are listed in sdk/conformance/README.md. Give settings that the plugin works with, for a target that
may be written to.

Exit codes: 0 all checks passed or were skipped, 1 some failed, 2 bad usage, 3 the plugin can't be started.`,
		Example: `  qanat plugin test ./source-shop --config shop.yaml --stream orders
  qanat plugin test ./transform-geo --config geo.yaml --schema columns.yaml --run 'lineage|types'
  qanat plugin test ./sink-shop --config shop.yaml --probe 'psql shop -Atc "select count(*), sum(hash) from orders"'`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.testPlugin(cmd, args[0], flags) },
	}
	f, s := cmd.Flags(), &flags.settings
	f.StringVar(&flags.config, "config", "", "YAML file with settings that the plugin works with")
	f.StringVar(&s.Kind, "kind", "", "source, transform, check or sink, if the plugin serves several")
	f.StringSliceVar(&flags.streams, "stream", nil, "stream to read from a source; of other plugins the name of their input")
	f.StringVar(&flags.schema, "schema", "", "YAML file with the columns of the input, as name: type (default: columns of common types)")
	f.StringVar(&flags.mode, "mode", "", "write mode of a sink: append, overwrite or upsert (default append)")
	f.StringSliceVar(&s.Key, "key", nil, "key columns of the input")
	f.StringVar(&s.Probe, "probe", "", "shell command that prints a digest of what the plugin changes outside")
	f.BoolVar(&s.PassThrough, "pass-through", false, "the settings leave every value as it is: compare what comes out with what goes in")
	f.StringArrayVar(&s.Env, "set-env", nil, "NAME=value: environment variable for the plugin, which sees no other")
	f.StringVar(&flags.run, "run", "", "regular expression: run only checks with such names")
	f.BoolVar(&s.Slow, "slow", false, "take more samples and wait longer")
	f.Float64Var(&s.Patience, "patience", 1, "factor on all limits of time, for slow machines")
	f.Int64Var(&s.MaxRows, "max-rows", 0, "stop a source after about so many rows (default 200000)")
	f.Uint64Var(&s.Seed, "seed", 0, "seed of made-up data")
	return cmd
}

func (a *app) testPlugin(cmd *cobra.Command, path string, flags *trialFlags) error {
	settings, err := flags.complete(path)
	if err != nil {
		return err
	}
	settings.Dir = a.dir
	if !a.json() && terminal(a.err) {
		settings.Progress = func(r conformance.Result) { _, _ = fmt.Fprintf(a.err, "\r\x1b[K%s %s", r.Status, r.ID) }
	}
	report, err := conformance.Run(cmd.Context(), settings)
	if settings.Progress != nil {
		_, _ = fmt.Fprint(a.err, "\r\x1b[K")
	}
	if err != nil {
		return trialError(err)
	}
	if a.json() {
		err = a.printJSON(report)
	} else {
		err = report.Print(a.out, conformance.Style{Color: color(a.out)})
	}
	if err == nil && !report.OK() {
		err = fmt.Errorf("plugin %s: %s failed", report.Plugin, plural(int64(report.FailedCount), "check"))
	}
	return err
}

// trialError maps the suite's errors to exit codes.
func trialError(err error) error {
	var misused *conformance.UsageError
	var start *strict.StartError
	switch {
	case errors.As(err, &misused):
		return usage(err)
	case errors.As(err, &start):
		return environment(err)
	}
	return err
}

func (f *trialFlags) complete(path string) (conformance.Settings, error) {
	s, err := f.read()
	if err != nil {
		return s, usage(err)
	}
	binary, err := filepath.Abs(path)
	if err == nil {
		binary, err = exec.LookPath(binary)
	}
	if err != nil {
		return s, environment(fmt.Errorf("plugin %q: %w", path, err))
	}
	s.Binary = binary
	return s, nil
}

// read makes settings of the flags.
func (f *trialFlags) read() (conformance.Settings, error) {
	s := f.settings
	s.Mode, s.Streams = sdk.WriteMode(f.mode), f.streams
	var err error
	if s.Config, err = readSettings(f.config); err != nil {
		return s, err
	}
	if f.run != "" {
		if s.Run, err = regexp.Compile(f.run); err != nil {
			return s, fmt.Errorf("--run: %w", err)
		}
	}
	for _, variable := range s.Env {
		if name, _, assigned := strings.Cut(variable, "="); !assigned || name == "" {
			return s, fmt.Errorf("--set-env %q: expected NAME=value", name)
		}
	}
	s.Inputs, err = f.inputs()
	return s, err
}

// inputs are the columns that the operator describes, under the name of --stream.
func (f *trialFlags) inputs() ([]sample.Input, error) {
	name := "input"
	if len(f.streams) > 0 {
		name = f.streams[0]
	}
	if f.schema == "" {
		return []sample.Input{sample.Common(name)}, nil
	}
	raw, err := os.ReadFile(f.schema)
	if err != nil {
		return nil, err
	}
	return sample.Parse(raw, name)
}

// readSettings reads a plugin's settings from YAML, which JSON is, too.
func readSettings(path string) (json.RawMessage, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	settings, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("settings %q: %w", path, err)
	}
	return settings, nil
}
