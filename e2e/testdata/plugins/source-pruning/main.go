// Command source-pruning is a source for crash tests that forgets what was acknowledged, as a queue or a replication slot does: what
// the runtime acknowledges too early is lost, and a read that begins before it fails.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(sdk.Info{
		Name: "pruning", Version: "0.1.0", Publisher: "qanat",
		Description: "Reads numbered segments of JSON lines, and deletes what was acknowledged.",
	}, sdk.SourceOf(New).Describe("Segments of JSON lines that are deleted once they are acknowledged."))
}
