// Package filter holds conditions on rows: a predicate tree that is built by hand or from a policy, checked against an
// Arrow schema, run on Arrow batches and printed as SQL for DuckDB with bound arguments. Both back ends select the same
// rows. The package knows nothing of policies: core/policy/rowfilter builds trees from Rego, core/mask changes columns.
//
// A row passes if the whole predicate is true. The logic is three-valued as in SQL: what compares a NULL is unknown. The
// only negation is NotTrue (IS NOT TRUE), which sends both false and unknown to true; so no tree can tell false from
// unknown, and the vectorised evaluation keeps a single bitmap, "is true", per node.
//
// Values compare as in Rego and in JSON, not as in SQL: a text never equals a number (such a tree does not bind), text
// compares by bytes, numbers compare by value whatever their types. A float stands for the shortest decimal that reads
// back as the same float, which is how it is printed: a column of 0.1 equals the constant 0.1. Only where two columns
// meet, a float is its exact binary value; for an integer beside it that differs beyond 2^53 alone. NaN counts as NULL, since
// no policy can name it; infinities lie beyond every number.
package filter
