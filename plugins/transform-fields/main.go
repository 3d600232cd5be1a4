// Command transform-fields picks, renames, casts, drops, adds, copies and flattens columns, in Arrow and row by row safe: a value
// that can't be cast rejects its row and no other. For joins, filters and expressions use transform-sql.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(sdk.Info{
		Name: "fields", Version: "0.1.0", Publisher: "qanat",
		Description: "Picks, renames, casts, drops, adds, copies and flattens columns.",
	}, sdk.TransformOf(New).Describe("Steps on columns, one row in, one row or a rejection out."))
}
