// Command sink-postgres is the sink plugin "postgres": it writes units of rows into tables of a PostgreSQL database, each exactly once.
// DESIGN.md has the protocol. Settings are in config.go; what tables need is worked out in internal/table, what a unit's changes come
// to in internal/merge.
package main

import "github.com/qanat-data/qanat/sdk"

func main() {
	sdk.Serve(
		sdk.Info{
			Name: "postgres", Version: "0.1.0", Publisher: "qanat",
			Description: "Tables of PostgreSQL: append, upsert with change data, replace; each row exactly once",
		},
		sdk.SinkOf(New).Describe("Writes rows into tables, each unit in one transaction with its mark.", "network", "filesystem"),
	)
}
