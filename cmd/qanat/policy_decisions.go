package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/policy"
)

// sinceFlag adds the flag that says how far to look back.
func sinceFlag(cmd *cobra.Command) func() (time.Time, error) {
	text := cmd.Flags().String("since", "", "what was decided since then: 2h, 2006-01-02 or 2006-01-02T15:04:05Z (default: all that is kept)")
	return func() (time.Time, error) {
		if *text == "" {
			return time.Time{}, nil
		}
		return parseSince(*text, time.Now())
	}
}

func (a *app) policyLog() *cobra.Command {
	var denied bool
	cmd := &cobra.Command{Use: "log", Short: "List what was decided", Args: exactArgs(0)}
	since := sinceFlag(cmd)
	cmd.Flags().BoolVar(&denied, "denied", false, "only what was denied")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		from, err := since()
		if err != nil {
			return err
		}
		return a.start(cmd.Context(), "", func(p *engine.Project) error {
			all, err := p.Decisions(cmd.Context(), from)
			if err != nil {
				return err
			}
			shown := []engine.Decided{}
			for _, d := range all {
				if !denied || !d.Decision.Allow {
					shown = append(shown, d)
				}
			}
			if a.json() {
				return a.printJSON(shown)
			}
			t := newTable(a.out, "DECISION", "TIME", "POINT", "ABOUT", "OUTCOME", "RULES")
			for _, d := range shown {
				t.row(d.Decision.ID, d.Decision.Time, string(d.Decision.Point), d.What, outcome(d.Decision), rulesOf(d.Decision))
			}
			return t.flush()
		})
	}
	return cmd
}

func outcome(d policy.Decision) string {
	if d.Allow {
		return "allowed"
	}
	return "denied"
}

// rulesOf names the rules that gave reasons.
func rulesOf(d policy.Decision) string {
	var ids []string
	for _, r := range d.Reasons {
		id := r.ID
		if r.Severity != policy.Deny {
			id += " (" + string(r.Severity) + ")"
		}
		ids = append(ids, id)
	}
	return strings.Join(ids, ", ")
}

func (a *app) policyExplain() *cobra.Command {
	return &cobra.Command{
		Use: "explain DECISION", Short: "Show why something was decided: reasons, rules, and what the policies were told", Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.start(cmd.Context(), "", func(p *engine.Project) error {
				d, err := p.Decision(cmd.Context(), args[0])
				if err != nil {
					return usage(err)
				}
				if a.json() {
					return a.printJSON(d)
				}
				_, _ = fmt.Fprintf(a.out, "%s\n", d.What)
				printDecision(a.out, d.Decision)
				for _, labels := range d.Decision.RuleLabels {
					_, _ = fmt.Fprintf(a.out, "  fired   %v\n", labels["id"])
				}
				_, _ = fmt.Fprintf(a.out, "  policies %s, input %s\n", d.Decision.Policy.Digest, d.Decision.InputHash)
				return a.printJSON(d.Input)
			})
		},
	}
}

func (a *app) policyReplay() *cobra.Command {
	cmd := &cobra.Command{Use: "replay", Short: "Decide again, by the policies of today, what was decided, and show what would come out differently", Args: exactArgs(0)}
	since := sinceFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		from, err := since()
		if err != nil {
			return err
		}
		return a.reconsider(cmd, from, nil)
	}
	return cmd
}

func (a *app) policyDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use: "diff FOLDER...", Short: "Decide again, by other policies, what was decided, and show what would come out differently",
		Example: "  qanat policy diff ../policies-next --since 168h",
	}
	since := sinceFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(fmt.Errorf("name the folders with the other policies; usage: %s", cmd.UseLine()))
		}
		from, err := since()
		if err != nil {
			return err
		}
		settings, err := a.policySettings(cmd, args)
		if err != nil {
			return err
		}
		other, err := policy.Load(cmd.Context(), settings)
		if err != nil {
			return asUsage(err)
		}
		return a.reconsider(cmd, from, other)
	}
	return cmd
}

func (a *app) reconsider(cmd *cobra.Command, since time.Time, by *policy.Policies) error {
	return a.start(cmd.Context(), "", func(p *engine.Project) error {
		total, changed, err := p.Reconsider(cmd.Context(), since, by)
		if err != nil {
			return err
		}
		if a.json() {
			return a.printJSON(map[string]any{"decisions": total, "changed": changed})
		}
		for _, c := range changed {
			printReconsidered(a.out, c)
		}
		_, err = fmt.Fprintf(a.out, "%s, %d would come out differently\n", plural(int64(total), "decision"), len(changed))
		return err
	})
}

func printReconsidered(out io.Writer, c engine.Reconsidered) {
	_, _ = fmt.Fprintf(out, "%s  %s at %s, %s: was %s", c.Decision.ID, c.What, c.Decision.Point, c.Decision.Time, outcome(c.Decision))
	if rules := rulesOf(c.Decision); rules != "" {
		_, _ = fmt.Fprintf(out, " by %s", rules)
	}
	_, _ = fmt.Fprintf(out, ", would be %s", outcome(c.Now))
	if rules := rulesOf(c.Now); rules != "" {
		_, _ = fmt.Fprintf(out, " by %s", rules)
	}
	_, _ = fmt.Fprintln(out)
}
