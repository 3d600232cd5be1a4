// Command sink-plain is a sink for crash tests that keeps nothing but rows: without a mark it can't tell what it has already, and
// says so. With one it keeps each unit in a file of its own, and the rows that it refused beside it.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(sdk.Info{
		Name: "plain", Version: "0.1.0", Publisher: "qanat",
		Description: "Appends rows to a file, with or without a mark, and refuses some.",
	}, sdk.SinkOf(New).Describe("Rows appended to a file."))
}
