package value

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// codec appends values of one PostgreSQL type to builders of one Arrow type. A codec of single values appends nothing when it fails; one
// of nested values appends exactly one value then, too.
type codec interface {
	binary(w *work, b array.Builder, raw []byte) error
	text(w *work, b array.Builder, raw []byte) error
}

// kind is how values of a type are kept.
type kind struct {
	codec    codec
	arrow    arrow.DataType
	name     string // of the PostgreSQL type
	portable bool   // there is a binary form
	nested   bool
	json     bool
	labels   []string // of an enum
	cells    int      // values that a null of the type takes in Arrow
}

// maxWork bounds what one nested value may grow to: a null struct takes four bytes on the wire and as many cells in Arrow as it has
// attributes, and a numeric of twelve bytes may have 131,072 digits.
const maxWork = 256 << 20

var errWork = &flaw{CodeTooLarge, "the value takes more than 256 MiB in Arrow"}

// work is how much the decoding of one nested value may still take. A nil work has no bound: a single value takes little.
type work struct{ left int }

func (w *work) spend(bytes int) error {
	if w == nil {
		return nil
	}
	if w.left -= bytes; w.left < 0 {
		return errWork
	}
	return nil
}

// cellSize is about what a cell takes.
const cellSize = 8
