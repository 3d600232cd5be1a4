package flow

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever a ledger has for a position, it is understood as it was written or refused.
func FuzzDatasetPosition(f *testing.F) {
	for _, seed := range []string{
		`{"datasets":{"landing.shop.orders":{"shop.landing":7}},"fingerprint":"f"}`, `{"datasets":{}}`, `null`, `{"datasets":null}`,
		`{"datasets":{"landing.shop.orders":null}}`, `{"datasets":{"landing.shop.orders":{"shop.landing":-1}}}`, `{"replayed_unit":3}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		at, err := parseDatasetPosition(raw)
		if err != nil {
			return
		}
		if at.Datasets == nil {
			t.Fatalf("%q is taken for a position without datasets", raw)
		}
		for dataset, flows := range at.Datasets {
			if flows == nil {
				t.Fatalf("%q is taken for a position in %q without flows", raw, dataset)
			}
		}
		written, err := json.Marshal(at)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseDatasetPosition(written)
		if diff := cmp.Diff(at, again); err != nil || diff != "" {
			t.Fatalf("%q is written as %q and read otherwise: %v\n%s", raw, written, err, diff)
		}
	})
}
