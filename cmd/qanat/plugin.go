package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/registry"
)

func (a *app) pluginCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "plugin", Short: "List, inspect, lock and test plugins", Args: unknownVerb, RunE: showHelp}
	cmd.AddCommand(
		a.pluginTestCommand(),
		&cobra.Command{
			Use: "list", Aliases: []string{"ls"}, Short: "List the plugins on the plugin path and whether they are as locked", Args: exactArgs(0),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.withProject(cmd, func(p *engine.Project) error {
					list, err := p.ListPlugins(cmd.Context())
					if err != nil {
						return err
					}
					return a.printPlugins(list)
				})
			},
		},
		&cobra.Command{
			Use: "lock [FILE...]", Short: "Accept plugin binaries as they are now: write their digests and manifests to qanat.lock",
			Long: `Writes digests and manifests to qanat.lock. A binary that was not known is locked by itself at its first use; one that
has changed since is refused (exit code 3) until this command accepts it. Without arguments all are accepted.`,
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.withProject(cmd, func(p *engine.Project) error {
					list, err := p.LockPlugins(cmd.Context(), args)
					if err != nil {
						return err
					}
					return a.printPlugins(list)
				})
			},
		},
		a.describeCommand(),
	)
	return cmd
}

func (a *app) describeCommand() *cobra.Command {
	var readme string
	var check bool
	cmd := &cobra.Command{
		Use: "describe FILE", Short: "Show what a plugin is: its kinds, abilities and settings", Args: exactArgs(1),
		Long: `Prints the manifest of a plugin. With --readme, what the plugin says of itself is written into a README, as a table of its settings,
between the lines that are marked for it; with --check, a README that says something else is an error, and is left alone.`,
		Example: "  qanat plugin describe bin/plugins/source-postgres --readme plugins/source-postgres/README.md",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withProject(cmd, func(p *engine.Project) error {
				plugin, err := p.DescribePlugin(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if readme != "" {
					return writeReadme(plugin.Manifest, readme, check)
				}
				return a.printJSON(plugin.Manifest)
			})
		},
	}
	cmd.Flags().StringVar(&readme, "readme", "", "README to write what the plugin says into")
	cmd.Flags().BoolVar(&check, "check", false, "with --readme: only look whether it is there")
	return cmd
}

// writeReadme brings a README up to what a manifest says.
func writeReadme(m registry.Manifest, path string, check bool) error {
	text, err := os.ReadFile(path) //nolint:gosec // the user names it
	if err != nil {
		return usageError{err}
	}
	current, err := m.Readme(string(text))
	switch {
	case err != nil:
		return usageError{fmt.Errorf("%s: %w", path, err)}
	case current == string(text):
		return nil
	case check:
		return fmt.Errorf("%s does not say what the plugin says: run the command without --check", path)
	}
	return os.WriteFile(path, []byte(current), 0o600) //nolint:gosec // the user names it
}

// withProject opens the project without starting servers.
func (a *app) withProject(cmd *cobra.Command, do func(*engine.Project) error) (err error) {
	project, err := a.open(cmd.Context(), "")
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := project.Close(cmd.Context()); err == nil {
			err = closeErr
		}
	}()
	return do(project)
}

func (a *app) printPlugins(list []engine.Plugin) error {
	if a.json() {
		return a.printJSON(list)
	}
	t := newTable(a.out, "FILE", "PLUGIN", "KINDS", "VERSION", "STATE", "SHA-256")
	for _, p := range list {
		var kinds []string
		for _, k := range p.Manifest.Kinds() {
			kinds = append(kinds, string(k))
		}
		t.row(p.File, p.Manifest.Name, strings.Join(kinds, ", "), p.Manifest.Version, p.State, fmt.Sprintf("%.12s", p.SHA256))
	}
	return t.flush()
}
