package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/policy"
)

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "Write, check, test and ask policies", Args: unknownVerb, RunE: showHelp,
		Long: `Policies are Rego files in the folder policies of a project, or where its policies says. Qanat asks them before it does anything, and
does nothing that they deny (exit code 4). A package governance.<point>.<team> speaks at one point: plugin_load and spec_admit by now;
specs/policy has the contract and packages to begin with. What was decided is kept: "log" lists it, "explain" says why.`,
	}
	cmd.AddCommand(a.policyNew(), a.policyCheck(), a.policyTest(), a.policyFormat(), a.policyEval(), a.policyLog(), a.policyExplain(),
		a.policyReplay(), a.policyDiff())
	return cmd
}

// policySettings are the project's policies, or those of the folders that the user names.
func (a *app) policySettings(cmd *cobra.Command, folders []string) (policy.Settings, error) {
	if len(folders) > 0 {
		base, err := os.Getwd()
		if err != nil {
			return policy.Settings{}, err
		}
		for i, folder := range folders {
			if folders[i], err = filepath.Abs(folder); err != nil {
				return policy.Settings{}, err
			}
		}
		return policy.Settings{Folders: folders, Base: base, Points: engine.Asked()}, nil
	}
	bundle, err := a.load(cmd.Context(), "")
	if err != nil {
		return policy.Settings{}, err
	}
	settings := engine.PolicySettings(bundle.Dir, bundle.Project)
	if len(settings.Folders) == 0 {
		return settings, usage(errors.New(`the project has no policies: make a folder policies, for instance by "qanat policy new", or say policies: [folder] in qanat.yaml`))
	}
	return settings, nil
}

// asUsage makes faults in policies those of the files that the user wrote.
func asUsage(err error) error {
	if _, ok := errors.AsType[*policy.FaultsError](err); ok {
		return usage(err)
	}
	return err
}

func (a *app) policyCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check [FOLDER...]", Short: "Compile policies as they are when Qanat asks them, and list what decides where",
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := a.policySettings(cmd, args)
			if err != nil {
				return err
			}
			p, err := policy.Load(cmd.Context(), settings)
			if err != nil {
				return asUsage(err)
			}
			if a.json() {
				return a.printJSON(map[string]any{"valid": true, "policy": p.Revision(), "packages": p.Packages()})
			}
			t := newTable(a.out, "PACKAGE", "POINT", "ENFORCEMENT", "FILE")
			for _, one := range p.Packages() {
				t.row(one.Name, string(one.Point), string(one.Enforcement), fmt.Sprintf("%s:%d", one.File, one.Line))
			}
			return t.flush()
		},
	}
}

var errTestsFailed = errors.New("tests of policies failed")

func (a *app) policyTest() *cobra.Command {
	var covered bool
	cmd := &cobra.Command{
		Use: "test [FOLDER...]", Short: "Run the tests of policies: rules that begin with test_, in files that end in _test.rego",
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := a.policySettings(cmd, args)
			if err != nil {
				return err
			}
			report, err := policy.Test(cmd.Context(), settings, covered)
			if err != nil {
				return asUsage(err)
			}
			if a.json() {
				err = a.printJSON(report)
			} else {
				printTests(a.out, report, covered)
			}
			if report.Failed() > 0 {
				return errors.Join(err, errTestsFailed)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&covered, "cover", false, "say which lines no test has run")
	return cmd
}

func printTests(out io.Writer, r policy.TestReport, covered bool) {
	for _, one := range r.Results {
		word := "pass"
		switch {
		case one.Skip:
			word = "skip"
		case !one.Pass:
			word = "FAIL"
		}
		_, _ = fmt.Fprintf(out, "%s  %s.%s  (%s)\n", word, one.Package, one.Name, one.Place)
		for line := range strings.Lines(one.Output + one.Error) {
			_, _ = fmt.Fprintf(out, "      %s\n", strings.TrimRight(line, "\n"))
		}
	}
	_, _ = fmt.Fprintf(out, "%s, %d failed\n", plural(int64(len(r.Results)), "test"), r.Failed())
	if covered {
		_, _ = fmt.Fprintf(out, "%.1f %% of the lines were run\n", r.Coverage)
		for _, place := range r.NotCovered {
			_, _ = fmt.Fprintf(out, "  not %s\n", place)
		}
	}
}

func (a *app) policyFormat() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "fmt [FOLDER...]", Short: "Bring policies into Rego's canonical form",
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := a.policySettings(cmd, args)
			if err != nil {
				return err
			}
			changed, err := policy.Format(settings, !check)
			for _, file := range changed {
				_, _ = fmt.Fprintln(a.out, file)
			}
			if err == nil && check && len(changed) > 0 {
				err = fmt.Errorf("%s not in canonical form", plural(int64(len(changed)), "file"))
			}
			return asUsage(err)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing, and fail if something would change")
	return cmd
}

func (a *app) policyEval() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "eval", Short: "Ask the policies about an input, as Qanat would, and print the decision", Args: exactArgs(0),
		Long: `Reads an input of the contract governance/v1 (specs/policy/input.schema.json) from a file, or from stdin, and prints what the policies
decide. Exit code 4 if they deny.`,
		Example: `  echo '{"point": "spec.admit", "purpose": "support", "spec": {"name": "orders"}}' | qanat policy eval`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.policySettings(cmd, nil)
			if err != nil {
				return err
			}
			in, err := readInput(cmd, file)
			if err != nil {
				return err
			}
			p, err := policy.Load(cmd.Context(), settings)
			if err != nil {
				return asUsage(err)
			}
			d := p.Decide(cmd.Context(), in)
			if a.json() {
				err = a.printJSON(d)
			} else {
				printDecision(a.out, d)
			}
			if !d.Allow {
				return errors.Join(err, &engine.DeniedError{What: "the input", Decision: d})
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "input", "i", "-", "JSON file with the input; - is stdin")
	return cmd
}

func readInput(cmd *cobra.Command, file string) (policy.Input, error) {
	var in policy.Input
	from := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file) //nolint:gosec // the user names it
		if err != nil {
			return in, usage(err)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	d := json.NewDecoder(from)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return in, usage(fmt.Errorf("input: %w", err))
	}
	in.Point = policy.Point(strings.ReplaceAll(string(in.Point), "_", ".")) // as in the names of packages
	if !slices.Contains(policy.Points(), in.Point) {
		return in, usage(fmt.Errorf("input: point %q, expected one of %q", in.Point, policy.Points()))
	}
	return in, nil
}

func printDecision(out io.Writer, d policy.Decision) {
	word := "denied"
	if d.Allow {
		word = "allowed"
	}
	_, _ = fmt.Fprintf(out, "%s  at %s by %s, decision %s\n", word, d.Point, d.Policy.Digest[:19], d.ID)
	for _, r := range d.Reasons {
		_, _ = fmt.Fprintf(out, "  %-7s %s\n", r.Severity, engine.ReasonText(r))
	}
	for _, column := range slices.Sorted(maps.Keys(d.Masks)) {
		m := d.Masks[column]
		_, _ = fmt.Fprintf(out, "  mask    %s by %s  (%s)\n", column, m.Method, strings.Join(m.Rules, ", "))
	}
	for _, column := range d.Drop {
		_, _ = fmt.Fprintf(out, "  drop    %s\n", column)
	}
	for _, o := range d.Obligations {
		_, _ = fmt.Fprintf(out, "  oblige  %s\n", o.ID)
	}
}

func (a *app) policyNew() *cobra.Command {
	return &cobra.Command{
		Use: "new POINT TEAM", Short: "Write a package to begin with, and its test", Args: exactArgs(2),
		Example: "  qanat policy new spec_admit privacy",
		RunE: func(cmd *cobra.Command, args []string) error {
			bundle, err := a.load(cmd.Context(), "")
			if err != nil {
				return err
			}
			folder := filepath.Join(bundle.Dir, "policies")
			if folders := engine.PolicySettings(bundle.Dir, bundle.Project).Folders; len(folders) > 0 {
				folder = folders[0]
			}
			files, err := policy.New(folder, args[0], args[1], engine.Asked())
			if err != nil {
				return usage(err)
			}
			for _, file := range files {
				_, _ = fmt.Fprintln(a.out, file)
			}
			return nil
		},
	}
}
