// Package keyed writes datasets that follow a table: rows with a key, of which a unit's changes replace, delete or add some. It folds
// what a stream gives while the unit is open, stages what that comes to when it is closed, and commits it to two datasets, the rows'
// own and the one of their net changes. What changes come to is worked out in merge; which unit it is, whose datasets these are and
// what is there after a crash is known to core/flow, and tables are core/zone's.
package keyed
