// Package quarantine is what a flow's quarantine dataset is: its schema, the ids of its rows, rows as JSON and back into the schema of
// a stage, files of corrected rows, and reading, selecting and counting what is there. Which rows a flow rejects, when they are
// written, and how they come into the flow again is core/flow's business; what became of each row is in core/flow/ledger.
package quarantine
