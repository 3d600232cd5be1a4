// Command source-generator makes rows up: deterministic from a seed, of any shape, rate and number. It serves demonstrations,
// benchmarks and tests; to read files use source-file.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(sdk.Info{
		Name: "generator", Version: "0.1.0", Publisher: "qanat",
		Description: "Makes rows up: deterministic from a seed, of any shape, rate and number.",
	}, sdk.SourceOf(New).Describe("Made-up rows for demonstrations, benchmarks and tests."))
}
