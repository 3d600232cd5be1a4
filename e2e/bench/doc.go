// Package bench measures whole pipelines of the built binaries, beside what the other system's own tools do with the same rows in the
// same run. RESULTS.md keeps what came out.
package bench
