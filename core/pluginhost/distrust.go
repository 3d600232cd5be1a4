package pluginhost

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/qanat-data/qanat/sdk"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// span is the range that row indexes of an answer may lie in.
type span struct{ from, to int64 }

// position refuses what the ledger could not keep.
func (r *receiver) position(pos []byte) error {
	if len(pos) > sdk.MaxPosition {
		return r.inst.violation("a position of %d bytes, at most %d are allowed", len(pos), sdk.MaxPosition)
	}
	if !json.Valid(pos) {
		return r.inst.violation("a position that is not JSON: %.60q", pos)
	}
	return nil
}

// rejections checks rejected records, whose indexes must lie in the span. Without one they belong to no batch, and what the plugin
// says about an index means nothing.
func (r *receiver) rejections(rows []*pluginv1.Rejection, within *span) ([]sdk.Rejection, error) {
	out := make([]sdk.Rejection, 0, len(rows))
	for _, row := range rows {
		index := row.GetRow()
		if within == nil {
			index = sdk.NoRow
		} else if index < within.from || index >= within.to {
			return nil, r.inst.violation("row %d is rejected, expected one from %d to %d", index, within.from, within.to-1)
		}
		if err := checkCode(row.GetCode()); err != nil {
			return nil, r.inst.violation("a rejection: %v", err)
		}
		if len(row.GetRaw()) > wire.MaxRaw {
			return nil, r.inst.violation("a rejection with %d raw bytes, at most %d are allowed", len(row.GetRaw()), wire.MaxRaw)
		}
		out = append(out, sdk.Rejection{
			Stream: cut(row.GetStream()), Code: row.GetCode(), Reason: cut(row.GetReason()), Raw: row.GetRaw(),
			Origin: cut(row.GetOrigin()), Row: int(index),
		})
	}
	return out, nil
}

// reject adds the rejected rows of a batch to its answer. A row that is rejected twice would spoil the accounting.
func (r *receiver) reject(a *answer, c call, rows []*pluginv1.Rejection) error {
	rejections, err := r.rejections(rows, &span{from: 0, to: c.rows})
	if err != nil {
		return err
	}
	if a.rejected == nil {
		a.rejected = map[int64]bool{}
	}
	for _, one := range rejections {
		index := int64(one.Row) + c.offset
		if a.rejected[index] {
			return r.inst.violation("row %d is rejected twice", index)
		}
		a.rejected[index] = true
		one.Row, one.Stream = int(index), c.stream
		a.rejections = append(a.rejections, one)
	}
	return nil
}

func (r *receiver) findings(a *answer, c call, rows []*pluginv1.Finding) error {
	for _, row := range rows {
		if row.GetRow() < 0 || row.GetRow() >= c.rows {
			return r.inst.violation("a finding on row %d of a batch of %d rows", row.GetRow(), c.rows)
		}
		if err := checkCode(row.GetCode()); err != nil {
			return r.inst.violation("a finding: %v", err)
		}
		a.findings = append(a.findings, sdk.Finding{
			Row: int(row.GetRow() + c.offset), Column: cut(row.GetColumn()), Code: row.GetCode(), Reason: cut(row.GetReason()),
			Warning: row.GetWarning(),
		})
	}
	return nil
}

func checkCode(code string) error {
	if code == "" || len(code) > 64 || checkName(code) != nil {
		return fmt.Errorf("code %.80q: expected a short word", code)
	}
	return nil
}

// oneOf refuses a word that is not of its type's values.
func oneOf[T ~string](what, got string, allowed ...T) (T, error) {
	if !slices.Contains(allowed, T(got)) {
		return "", fmt.Errorf("%s %.60q, allowed are %v", what, got, allowed)
	}
	return T(got), nil
}

// finite refuses numbers that JSON can't carry.
func finite(metrics map[string]float64) error {
	for name, value := range metrics {
		if err := checkName(name); err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
			return fmt.Errorf("metric %.60q is %v, expected a finite number under a short name", name, value)
		}
	}
	return nil
}
