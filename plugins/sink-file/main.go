// Command sink-file writes CSV, JSON Lines and Parquet files into a local folder, each row exactly once: the mark of a unit is
// kept beside the files and committed with them. DESIGN.md has the protocol.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(sdk.Info{
		Name: "file", Version: "0.1.0", Publisher: "qanat",
		Description: "Writes CSV, JSON Lines and Parquet files into a local folder, each row exactly once.",
	}, sdk.SinkOf(New).Describe("Whole files in a local folder, exactly once.", "filesystem"))
}
