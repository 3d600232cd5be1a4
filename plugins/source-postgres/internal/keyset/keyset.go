// Package keyset knows keys whose order it can tell as the server's indexes have it: to cut tables into ranges of keys, and to say of a
// changed row whether it lies in a range that has been read.
package keyset

import (
	"cmp"
	"math/big"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/catalog"
)

// Key is the columns of a unique index.
type Key struct {
	columns []catalog.Column
	exact   bool
}

// Of is a table's key, nil if its ranges can't be cut: it has none, or of types whose text does not name a value.
func Of(t *catalog.Table, names []string) *Key {
	k := &Key{exact: true}
	for _, name := range names {
		c := t.Column(name)
		if c == nil || orderOf(*c) == none || !c.NotNull {
			return nil
		}
		k.exact = k.exact && (orderOf(*c) != text || c.Bytewise)
		k.columns = append(k.columns, *c)
	}
	if len(k.columns) == 0 {
		return nil
	}
	return k
}

// Exact says that Compare orders keys as the server does: no text under a language's rules is among them.
func (k *Key) Exact() bool { return k.exact }

// Names of the columns.
func (k *Key) Names() []string {
	var names []string
	for _, c := range k.columns {
		names = append(names, c.Name)
	}
	return names
}

// SQL is the columns, as an order or a row.
func (k *Key) SQL() string {
	var names []string
	for _, c := range k.columns {
		names = append(names, pgx.Identifier{c.Name}.Sanitize())
	}
	return strings.Join(names, ", ")
}

// Condition compares the key with values, which are text as the server prints them: operator is one of > and <=.
func (k *Key) Condition(operator string, values []string) string {
	var literals []string
	for i, c := range k.columns {
		literals = append(literals, Literal(values[i])+"::"+c.TypeName) //nolint:gosec // a value for each column is the caller's promise
	}
	return "(" + k.SQL() + ") " + operator + " (" + strings.Join(literals, ", ") + ")"
}

// Literal quotes a text for SQL.
func Literal(text string) string {
	quoted := "'" + strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), "'", "''") + "'"
	if strings.Contains(text, `\`) {
		return "E" + quoted
	}
	return quoted
}

// Compare orders two keys. Its answer counts only if Exact.
func (k *Key) Compare(a, b []string) int {
	for i, c := range k.columns {
		if order := compare(orderOf(c), a[i], b[i]); order != 0 { //nolint:gosec // a value for each column is the caller's promise
			return order
		}
	}
	return 0
}

type order int

const (
	none order = iota
	integer
	decimal
	text // bytewise, if at all
	moment
)

func orderOf(c catalog.Column) order {
	switch c.Base {
	case "int2", "int4", "int8", "oid":
		return integer
	case "numeric":
		return decimal
	case "text", "varchar", "name":
		return text
	case "uuid", "bytea":
		return bytewise
	case "bool":
		return bytewise
	case "date", "timestamp", "timestamptz":
		return moment
	}
	return none
}

// bytewise is the order of texts that sort by their bytes under any rules.
const bytewise = moment + 1

func compare(o order, a, b string) int {
	switch o {
	case integer:
		return compareIntegers(a, b)
	case decimal:
		return compareDecimals(a, b)
	case moment:
		return compareMoments(a, b)
	}
	return cmp.Compare(a, b)
}

func compareIntegers(a, b string) int {
	minusA, minusB := strings.HasPrefix(a, "-"), strings.HasPrefix(b, "-")
	switch {
	case minusA && minusB:
		a, b = b[1:], a[1:]
	case minusA:
		return -1
	case minusB:
		return 1
	}
	if len(a) != len(b) {
		return cmp.Compare(len(a), len(b))
	}
	return cmp.Compare(a, b)
}

// compareDecimals puts NaN behind everything, as indexes do.
func compareDecimals(a, b string) int {
	special := []string{"-Infinity", "", "Infinity", "NaN"}
	rank := func(v string) int {
		if at := slices.Index(special, v); at >= 0 {
			return at
		}
		return 1
	}
	if rank(a) != 1 || rank(b) != 1 {
		return cmp.Compare(rank(a), rank(b))
	}
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	if !okX || !okY {
		return cmp.Compare(a, b)
	}
	return x.Cmp(y)
}

// compareMoments orders dates and timestamps as ISO prints them, in one time zone. A fraction's zeros at its end are not printed, and
// both a space and a sign of the offset sort before its point.
func compareMoments(a, b string) int {
	rank := func(v string) int {
		switch v {
		case "-infinity":
			return 0
		case "infinity":
			return 2
		}
		return 1
	}
	if rank(a) != 1 || rank(b) != 1 {
		return cmp.Compare(rank(a), rank(b))
	}
	a, beforeA := strings.CutSuffix(a, " BC")
	b, beforeB := strings.CutSuffix(b, " BC")
	yearA, restA, _ := strings.Cut(a, "-")
	yearB, restB, _ := strings.Cut(b, "-")
	switch {
	case beforeA && beforeB:
		yearA, yearB = yearB, yearA
	case beforeA:
		return -1
	case beforeB:
		return 1
	}
	if years := compareIntegers(yearA, yearB); years != 0 {
		return years
	}
	return cmp.Compare(restA, restB)
}
