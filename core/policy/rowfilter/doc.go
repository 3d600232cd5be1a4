// Package rowfilter turns a Rego rule over input.row into a predicate of core/mask/filter, so that rows are filtered by
// Arrow kernels or by DuckDB and never one by one in Rego. OPA evaluates everything that is known; what it leaves over
// input.row, the residual, is translated here. A row passes the predicate exactly if the rule is true for it, where a
// column that is NULL is absent from input.row. Whatever can't be translated is an error; nothing is guessed.
//
// Partial evaluation as OPA does it loses one thing: that a column was read at all. After `x := input.row.a; not x == 1`
// only `not input.row.a == 1` is left, which is true for a NULL where the rule isn't. The same happens to the operands
// of a negated call and to arguments of functions. So the rules are compiled once more with a mark after each such
// reading (see guard.go): the mark stays in the residual and becomes IS NOT NULL. With it each negation in a residual,
// legacy or of rego.v2, means the same: IS NOT TRUE.
//
// core/policy loads and combines; this package sees one rule, one input and one schema.
package rowfilter
