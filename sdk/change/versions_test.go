package change

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/go-cmp/cmp"
)

func described(s *arrow.Schema) []string {
	var out []string
	for _, f := range s.Fields() {
		text := f.Name + " " + f.Type.String()
		if f.Nullable {
			text += " nullable"
		}
		out = append(out, text)
	}
	return out
}

func TestATableOfVersionsHasTheRowsAndWhenTheyHeld(t *testing.T) {
	t.Parallel()
	kept := Keyed(Schema(table(), []string{"id"}), []string{"id"})
	if diff := cmp.Diff([]string{"id int64", "name utf8 nullable"}, described(kept)); diff != "" {
		t.Errorf("table: (-want +got)\n%s", diff)
	}
	versions := Versions(kept)
	want := []string{
		"id int64", "name utf8 nullable",
		"valid_from timestamp[us, tz=UTC]", "valid_to timestamp[us, tz=UTC] nullable", "_version int64",
	}
	if diff := cmp.Diff(want, described(versions)); diff != "" {
		t.Errorf("versions: (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(described(kept), described(Versioned(versions))); diff != "" {
		t.Errorf("and back: (-want +got)\n%s", diff)
	}
}
