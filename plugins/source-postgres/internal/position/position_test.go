package position

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/replica"
	"github.com/qanat-data/qanat/sdk"
)

// positions are of all modes and phases.
func positions() []*Position {
	id := replica.Identity{SystemID: "7711134008226787982", Timeline: 1}
	stream := New(CDC, "shop", id)
	stream.Phase, stream.Slot, stream.LSN, stream.Restart = Streamed, "qanat_shop", 0x16B374D848, 0x16B374D000
	stream.Tables["orders"] = &Table{OID: 16390, Print: "p7x37jbrbq6f", Done: true}
	begun := stream.Clone()
	begun.Phase = Snapshot
	begun.Tables["lines"] = &Table{OID: 16391, Print: "x", Key: []string{"order", "Line \"n\""}, After: []string{"7", "\x00ü'\\"}}
	begun.Tables["pages"] = &Table{OID: 16392, Print: "x", Block: 1 << 40}
	cursor := New(Incremental, "shop", id)
	cursor.Tables["orders"] = &Table{OID: 1, Cursor: &Cursor{Column: "at", Last: -1, Floor: -7, Seen: []Row{{At: -1, Hash: 1<<64 - 1}, {At: 9, Hash: 0}}}}
	return []*Position{stream, begun, cursor, New(Full, "", replica.Identity{})}
}

func TestAPositionIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, p := range positions() {
		raw, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(raw, p.Mode)
		if diff := cmp.Diff(p, again); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", raw, err, diff)
		}
	}
	if p, err := Decode(nil, CDC); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
}

func TestPositionsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`null`, `{}`, `[]`, `"x"`, `{"v":1,"mode":"cdc"}`, `{"v":2,"mode":"cdc","phase":"stream","slot":"s","lsn":"0/1","tables":{}}`, `{"v":1,"mode":"full","lsn":"0/1","tables":{}}`,
		`{"v":1,"mode":"cdc","phase":"other","slot":"s","lsn":"0/1","tables":{}}`, `{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"0/0","tables":{}}`,
		`{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"0/1","tables":{"a":null}}`, `{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"0/1","tables":{"a":{"oid":0}}}`,
		`{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"0/1","tables":{"a":{"oid":1,"key":["x"]}}}`, `{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"0/1","tables":{"a":{"oid":1,"block":-1}}}`,
		`{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"1/0"} {}`, `{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"x"}`,
		`{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"0/1","tables":{"a":{"oid":1,"cursor":{"seen":[[1,"zz"]]}}}}`,
		`{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"0/1","tables":{"a":{"oid":1,"cursor":{"seen":[[1,"1"]x]}}}}`,
		`{"v":1,"mode":"cdc","phase":"stream","slot":"s","lsn":"0/1","tables":{"a":{"oid":1,"cursor":{"seen":[[1,"1",2]]}}}}`,
	} {
		if p, err := Decode(sdk.Position(raw), CDC); err == nil {
			t.Errorf("%s was taken: %+v", raw, p)
		}
	}
}

// Whatever is taken as a position is one: it is written as it was read.
func FuzzDecode(f *testing.F) {
	for _, p := range positions() {
		raw, err := p.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, mode := range []string{Full, Incremental, CDC} {
			p, err := Decode(raw, mode)
			if p == nil || err != nil {
				continue
			}
			written, err := p.Clone().Encode()
			if err != nil {
				t.Fatal(err)
			}
			again, err := Decode(written, mode)
			if diff := cmp.Diff(p, again); err != nil || diff != "" {
				t.Errorf("%q becomes %s: %v\n%s", raw, written, err, diff)
			}
		}
	})
}
