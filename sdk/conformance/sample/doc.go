// Package sample makes Arrow data up for the conformance suite: schemas that people write in a few words, seeded rows of every
// type that zones can hold, and rows that differ from others in one column.
//
// A cell depends on the seed, its column and the number of its row alone, so that rows can be made again in other portions.
// Package sdk/rows makes batches of a plugin's own data; nothing here does.
package sample
