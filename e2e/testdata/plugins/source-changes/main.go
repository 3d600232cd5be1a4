// Command source-changes is a source for tests that changes the rows of a made-up table, transaction by transaction, and emits the
// changes as one that follows a database does. At the end it writes down what the table holds.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(sdk.Info{
		Name: "changes", Version: "0.1.0", Publisher: "qanat", Description: "Makes the changes of a table up.",
	}, sdk.SourceOf(New).Describe("Made-up transactions: inserts, updates, deletes, changes of the key, truncates."))
}
