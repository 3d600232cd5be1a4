// Command source-several is a source for crash tests with several streams, busy and quiet ones, whose rows come mixed. It forgets
// what was acknowledged: a read that begins before it fails.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(sdk.Info{
		Name: "several", Version: "0.1.0", Publisher: "qanat",
		Description: "Makes the rows of several streams up, and forgets what was acknowledged.",
	}, sdk.SourceOf(New).Describe("Made-up rows of busy and of quiet streams."))
}
