package quarantine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

func TestRowIDsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, id := range []RowID{{Unit: 1, N: 1}, {Unit: 12, N: 345}, {Unit: 7, Late: true, N: 2}} {
		if got, err := ParseRowID(id.String()); err != nil || got != id {
			t.Errorf("%s was read as %+v, %v", id, got, err)
		}
	}
	for _, text := range []string{"", "1", "1-", "-1", "0-1", "1-0", "01-1", "1-late", "1-late-", "1-2-3", "1-Late-2", " 1-1"} {
		if id, err := ParseRowID(text); err == nil {
			t.Errorf("%q was read as %s", text, id)
		}
	}
	var ranges []ledger.Range
	for _, text := range []string{"1-1", "1-2", "1-4", "2-5", "2-late-6", "2-late-7"} {
		id, err := ParseRowID(text)
		if err != nil {
			t.Fatal(err)
		}
		ranges = Extend(ranges, id)
	}
	want := []ledger.Range{
		{Unit: 1, First: 1, Last: 2}, {Unit: 1, First: 4, Last: 4}, {Unit: 2, First: 5, Last: 5}, {Unit: 2, Late: true, First: 6, Last: 7},
	}
	if diff := cmp.Diff(want, ranges); diff != "" {
		t.Error(diff)
	}
}
