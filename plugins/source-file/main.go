// Command source-file is the source plugin "file": it reads CSV, JSON, Parquet and Arrow files from folders and S3 buckets.
// Settings are in config.go, the read in run.go, what is remembered in position.go; the readers of the formats are packages below
// internal.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(
		sdk.Info{
			Name: "file", Version: "0.1.0", Publisher: "qanat",
			Description: "CSV, JSON, Parquet and Arrow files in folders and S3 buckets",
		},
		sdk.SourceOf(New).Describe("Reads files and remembers what it has read.", "filesystem", "network"),
	)
}
