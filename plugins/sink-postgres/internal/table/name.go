// Package table knows what a target table is like and what it lacks for a stream: it reads the catalog, plans the statements that make
// or change a table, and says how each column is filled. It changes nothing itself.
package table

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Name is a table's name.
type Name struct{ Schema, Table string }

// String is the name as people write it.
func (n Name) String() string { return n.Schema + "." + n.Table }

// SQL is the name in SQL.
func (n Name) SQL() string { return Quote(n.Schema) + "." + Quote(n.Table) }

// Quote makes an identifier of a name, whatever is in it.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// maxName is how many bytes of a name PostgreSQL keeps.
const maxName = 63

// CheckName says what is wrong with a name, which PostgreSQL would cut without a word.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is empty")
	case len(name) > maxName:
		return fmt.Errorf("%q has %d bytes, PostgreSQL's names have at most %d", name, len(name), maxName)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("%q has a zero byte", name)
	}
	return nil
}

// reserved are the columns that each table has.
var reserved = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

func checkColumn(name string) error {
	if slices.Contains(reserved, name) {
		return fmt.Errorf("%q is a system column of every table: rename it in a transform", name)
	}
	return CheckName(name)
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = Quote(name)
	}
	return strings.Join(out, ", ")
}
