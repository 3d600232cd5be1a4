package main

import "testing"

// FuzzPlansAreReadWithoutPanic feeds what DuckDB might print one day to the reader of its plans.
func FuzzPlansAreReadWithoutPanic(f *testing.F) {
	f.Add(`[{"name": "PROJECTION", "children": [{"name": "SEQ_SCAN", "children": [], "extra_info": {"Table": "t"}}], "extra_info": {}}]`)
	f.Add(`[{"name": "CTE", "children": [{"name": "CTE_SCAN", "extra_info": {"CTE Index": 0}}], "extra_info": {"Table Index": ["0"]}}]`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, plan string) {
		if cardinality, err := cardinalityOf(plan); err == nil && cardinality == "" {
			t.Errorf("%s: neither a cardinality nor an error", plan)
		}
	})
}
