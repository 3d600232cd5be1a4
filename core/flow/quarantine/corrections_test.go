package quarantine

import (
	"encoding/json"
	"testing"
)

func FuzzCorrectedRows(f *testing.F) {
	for _, text := range []string{
		`{"id":"1-1","row":{"a":1}}`, `{"_id":"1-1","a":1}`, `{"id":"1-1","row":null}`, `{"id":1}`, `[]`, `{"_id":{}}`, `{"id":"1-1","row":{}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		id, _, row, err := parseCorrected(text)
		var object map[string]json.RawMessage
		if err == nil && (id == "" && row == nil || json.Unmarshal(row, &object) != nil || object == nil) {
			t.Errorf("%q gives row %q of %q", text, row, id)
		}
	})
}
