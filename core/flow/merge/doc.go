// Package merge works out what a unit's changes come to: the net effect of the change rows of one dataset on a keyed table, or all
// versions that they make of its rows. It knows Arrow and the change columns (sdk/change), and neither flows nor tables: the committer
// in core/flow feeds it while frames arrive and writes what comes out through core/zone.
//
// Rows are held as they came, and per key only where its row lies. Beyond a budget, what is known of each key is written to files by
// the key's hash, and folded file by file in the end. See DESIGN.md.
package merge
