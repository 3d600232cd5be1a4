// Command check-schema is the plugin "schema": it judges rows against a data contract (ODCS) or rules in the settings, without
// changing them. To change rows use transform-sql.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(sdk.Info{
		Name: "schema", Version: "0.1.0", Publisher: "qanat",
		Description: "Judges rows against a data contract or rules in the settings.",
	}, sdk.CheckOf(New).Describe("Types, required values, ranges, lists, patterns, lengths, formats and uniqueness.", "filesystem"))
}
