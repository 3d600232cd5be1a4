// Package query answers SQL over the zones with DuckDB. Datasets appear under their three-part names; what can be read as plain
// Parquet files is, the rest is streamed into temporary tables first. Only units in the ledger are seen. Reading datasets as
// Arrow batches is core/zone's; transforms in SQL are a plugin.
package query
