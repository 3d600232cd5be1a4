package main

import (
	"encoding/json"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

// FuzzRulesAreReadWithoutPanic reads settings and tries the rules that come of them on a column of every kind.
func FuzzRulesAreReadWithoutPanic(f *testing.F) {
	f.Add(`[{"column": "v", "type": "decimal(3,1)", "min": -1e400, "max": "2024-01-01", "enum": [1, "a", null, 1e999]}]`)
	f.Add(`[{"column": ".", "pattern": "(", "min_length": -1, "format": "email", "unique": true}]`)
	f.Fuzz(func(t *testing.T, text string) {
		var c Config
		if json.Unmarshal([]byte(text), &c.Rules) != nil || c.Validate() != nil {
			return
		}
		for i, r := range c.Rules {
			demands, err := r.demands("/rules")
			if err != nil || len(demands) == 0 {
				t.Errorf("rule %d passed Validate, but: %v", i, err)
			}
			for _, d := range demands {
				for _, kind := range []arrow.DataType{
					arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Float32, arrow.FixedWidthTypes.Timestamp_ns,
					&arrow.Decimal128Type{Precision: 38, Scale: 10}, arrow.ListOf(arrow.PrimitiveTypes.Int8),
				} {
					_, _ = newJudge(d, kind)
				}
			}
		}
	})
}
