// Command transform-sql is the plugin "sql": it turns batches into batches with one SQL query, which DuckDB runs in this process,
// batch by batch or over all of the input. To judge rows without changing them use check-schema.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(sdk.Info{
		Name: "sql", Version: "0.1.0", Publisher: "qanat",
		Description: "Turns batches into batches with one SQL query, run by DuckDB.",
	}, sdk.TransformOf(New).Describe("One SELECT over each batch, or over all of the input (collect)."))
}
