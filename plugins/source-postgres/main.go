// Command source-postgres is the source plugin "postgres": it reads tables of a PostgreSQL database as a whole, by a cursor column, or by
// following the log of its changes. Settings are in config.go, what they choose in tables.go; what needs no settings is in the
// packages below internal.
package main

import (
	"os"
	"runtime/debug"

	"github.com/qanat-data/qanat/sdk"
)

// memoryTarget is how much memory Go's collector aims to stay below, unless GOMEMLIMIT says otherwise. What is alive are some batches on
// their way.
const memoryTarget = 112 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryTarget)
	}
	sdk.Serve(
		sdk.Info{
			Name: "postgres", Version: "0.1.0", Publisher: "qanat",
			Description: "Tables of PostgreSQL: full, incremental and change data capture",
		},
		sdk.SourceOf(New).Describe("Reads tables at one moment, by a cursor, or with every change that is committed.", "network", "filesystem"),
	)
}
