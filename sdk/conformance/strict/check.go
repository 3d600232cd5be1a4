package strict

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

type arrowBatch = arrow.RecordBatch

var alloc = memory.NewGoAllocator()

const maxName = 512

// checkName refuses names of streams that nobody could write in a file or read in a log.
func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return violation("stream name %.60q: expected 1 to %d bytes of printable text", name, maxName)
	}
	return nil
}

// checkColumns refuses schemas in which a column can't be found by its name.
func checkColumns(schema *arrow.Schema, key []string) error {
	seen := make(map[string]bool, schema.NumFields())
	for _, field := range schema.Fields() {
		if field.Name == "" || seen[field.Name] {
			return fmt.Errorf("column name %q is empty or there twice", field.Name)
		}
		seen[field.Name] = true
	}
	for i, column := range key {
		if !seen[column] || slices.Contains(key[:i], column) {
			return fmt.Errorf("key column %q is not a column, or there twice", column)
		}
	}
	return nil
}

// schemaOf decodes a schema that travels in a plan or a listing.
func schemaOf(message []byte, key []string) (*arrow.Schema, error) {
	schema, err := wire.DecodeSchema(message)
	if err != nil {
		return nil, violation("%v", err)
	}
	if err := checkColumns(schema, key); err != nil {
		return nil, violation("%v", err)
	}
	return schema, nil
}

// checkPosition refuses what the ledger could not keep.
func checkPosition(pos []byte) error {
	if len(pos) > sdk.MaxPosition {
		return violation("a position of %d bytes, at most %d are allowed", len(pos), sdk.MaxPosition)
	}
	if !json.Valid(pos) {
		return violation("a position that is not JSON: %.60q", pos)
	}
	return nil
}

// rejections checks rejected records, whose indexes must lie from low to high-1 and differ. Low above high means that they belong
// to no batch.
func (s *stream) rejections(rows []*pluginv1.Rejection, low, high int64, seen map[int64]bool) ([]sdk.Rejection, error) {
	out := make([]sdk.Rejection, 0, len(rows))
	for _, row := range rows {
		s.say(row.GetReason(), row.GetOrigin())
		index := row.GetRow()
		switch {
		case low > high:
			index = sdk.NoRow
		case index < low || index >= high:
			return nil, violation("row %d is rejected, expected one from %d to %d", index, low, high-1)
		case index >= 0 && seen[index]:
			return nil, violation("row %d is rejected twice", index)
		default:
			seen[index] = true
		}
		if err := checkCode(row.GetCode()); err != nil {
			return nil, violation("a rejection with %v", err)
		}
		if row.GetReason() == "" {
			return nil, violation("a rejection with code %q and no reason", row.GetCode())
		}
		if len(row.GetRaw()) > wire.MaxRaw {
			return nil, violation("a rejection with %d raw bytes, at most %d are allowed", len(row.GetRaw()), wire.MaxRaw)
		}
		out = append(out, sdk.Rejection{
			Stream: row.GetStream(), Code: row.GetCode(), Reason: row.GetReason(), Raw: row.GetRaw(), Origin: row.GetOrigin(), Row: int(index),
		})
	}
	return out, nil
}

func (s *stream) findings(rows []*pluginv1.Finding, high int64) ([]sdk.Finding, error) {
	out := make([]sdk.Finding, 0, len(rows))
	for _, row := range rows {
		s.say(row.GetReason())
		if row.GetRow() < 0 || row.GetRow() >= high {
			return nil, violation("a finding on row %d of a batch of %d rows", row.GetRow(), high)
		}
		if err := checkCode(row.GetCode()); err != nil {
			return nil, violation("a finding with %v", err)
		}
		out = append(out, sdk.Finding{
			Row: int(row.GetRow()), Column: row.GetColumn(), Code: row.GetCode(), Reason: row.GetReason(), Warning: row.GetWarning(),
		})
	}
	return out, nil
}

func checkCode(code string) error {
	const longest = 64
	if code == "" || len(code) > longest || strings.ContainsFunc(code, unicode.IsControl) {
		return fmt.Errorf("code %.80q: expected a short word", code)
	}
	return nil
}

// oneOf refuses a word that is not of its type's values.
func oneOf[T ~string](what, got string, allowed ...T) (T, error) {
	if !slices.Contains(allowed, T(got)) {
		return "", violation("%s %.60q, allowed are %v", what, got, allowed)
	}
	return T(got), nil
}

// finite refuses numbers that JSON can't carry.
func finite(metrics map[string]float64) error {
	for name, value := range metrics {
		if checkName(name) != nil || math.IsNaN(value) || math.IsInf(value, 0) {
			return violation("metric %.60q is %v, expected a finite number under a short name", name, value)
		}
	}
	return nil
}
