// Package yamltree reads YAML text into trees whose every value knows its file, line and column, and
// reports everything that is wrong with it as Faults: text that is no YAML, keys that nobody knows,
// values of the wrong type. Trees merge, print and decode into structs; limits on size, depth and
// alias expansion make it safe on hostile input.
//
// It knows nothing of pipelines: what the keys mean is in package spec.
package yamltree

// Limits on one file. Files that people write stay far below them.
const (
	// MaxBytes is the largest file that is read.
	MaxBytes = 1 << 20
	// MaxDepth is the deepest nesting of lists and maps.
	MaxDepth = 100
	// MaxTokens bounds the words and marks of a file.
	MaxTokens = 50_000
	// MaxBlankLines bounds the blank lines in a row.
	MaxBlankLines = 1000
	// MaxValues bounds the values of a document after its aliases are expanded.
	MaxValues = 100_000
	// MaxDocuments bounds the documents of one file.
	MaxDocuments = 1000
)
