package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/qanat-data/qanat/sdk"
)

// version is set by the linker for releases.
var version = "dev"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of qanat, of the plugin protocol and of Go",
		Args:  exactArgs(0),
		RunE: func(*cobra.Command, []string) error {
			if a.json() {
				return a.printJSON(map[string]any{
					"version": version, "sdk": sdk.Version, "plugin_protocol": sdk.ProtocolVersion, "go": runtime.Version(),
				})
			}
			_, err := fmt.Fprintf(a.out, "qanat %s (sdk %s, plugin protocol %d, %s)\n", version, sdk.Version, sdk.ProtocolVersion, runtime.Version())
			return err
		},
	}
}
