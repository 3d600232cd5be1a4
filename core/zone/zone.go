// Package zone keeps datasets: Iceberg tables on S3, one bucket for each zone. It
// creates and evolves them, stages and commits units exactly once, fences, undoes,
// holds units on branches, and reads them back. Objects and buckets are in package
// objects, the embedded S3 server in package gateway; SQL over datasets is core/query.
//
// A unit is staged with Stage, which writes files as batches arrive, and becomes
// visible with Commit, in one snapshot that carries the unit's mark. Every snapshot
// carries on the marks of all flows, so that the head alone tells what is committed.
package zone
