// Package mutants puts bugs into Qanat on purpose, one at a time, and demands that the tests of ../crash find each of them. It has
// tests only. No product code knows of it: the bugs are replacements of text, which the compiler gets to see in place of the files.
package mutants
