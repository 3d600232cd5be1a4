package filter_test

import (
	"math/rand/v2"
	"testing"

	"github.com/qanat-data/qanat/core/mask/filter"
)

// What is read from JSON is written as what is read again, and binding or printing it never panics.
func FuzzUnmarshal(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 50 {
		data, err := filter.Marshal(tree(r, every, 3))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"compare":{"column":"i64","op":"<","value":1e-400}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := filter.Unmarshal(data)
		if err != nil {
			return
		}
		written, err := filter.Marshal(p)
		if err != nil {
			t.Fatalf("%s was read and can't be written: %v", data, err)
		}
		again, err := filter.Unmarshal(written)
		if err != nil || again.String() != p.String() {
			t.Fatalf("%s: %v", written, err)
		}
		if _, _, err := filter.SQL(p, every); err == nil {
			_ = filter.Columns(p)
		}
	})
}
