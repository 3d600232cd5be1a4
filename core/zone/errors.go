package zone

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotFound says that a dataset, snapshot or branch doesn't exist.
	ErrNotFound = errors.New("not found")
	// ErrExists says that a dataset exists already.
	ErrExists = errors.New("exists already")
	// ErrFenced says that another runner has taken the flow over, or that another
	// writer moved the dataset: the caller must stop.
	ErrFenced = errors.New("fenced out by another writer")
	// ErrNoKey says that a dataset was made without a key, so that its rows can't be found by one.
	ErrNoKey = errors.New("it has no key: only datasets that are made with one take upserts")
)

// SchemaError lists every reason why a schema can't be kept as a table.
type SchemaError struct{ Faults []string }

// Error joins the faults.
func (e *SchemaError) Error() string {
	return "schema can't be stored: " + strings.Join(e.Faults, "; ")
}

// Incompatibility is one column that a dataset can't follow.
type Incompatibility struct{ Column, From, To string }

// IncompatibleError lists every column of a new schema that a dataset can't follow.
type IncompatibleError struct {
	Dataset Name
	Faults  []Incompatibility
}

// Error names dataset, columns and types.
func (e *IncompatibleError) Error() string {
	parts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		parts[i] = fmt.Sprintf("column %q: %s can't become %s", f.Column, f.From, f.To)
	}
	return fmt.Sprintf("dataset %q: %s; allowed are new columns and fields of structs, int32 to int64, float to double, "+
		"more decimal digits, required to optional", e.Dataset, strings.Join(parts, "; "))
}
