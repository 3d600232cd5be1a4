package follow

import "testing"

func TestASnapshotSaysWhichTransactionsItSees(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		snapshot string
		xid      uint32
		want     bool
	}{
		{"100:110:103,107", 99, true}, {"100:110:103,107", 100, true}, {"100:110:103,107", 103, false}, {"100:110:103,107", 109, true}, {"100:110:103,107", 110, false},
		{"100:100:", 99, true}, {"100:100:", 100, false},
		// Behind the first round of numbers: 4294967296 is 0 in the log.
		{"4294967290:4294967300:4294967298", 4294967289, true}, {"4294967290:4294967300:4294967298", 4294967295, true}, {"4294967290:4294967300:4294967298", 2, false},
		{"4294967290:4294967300:4294967298", 3, true}, {"4294967290:4294967300:4294967298", 4, false},
		{"4294967290:4294967294:", 5, false},
	} {
		s, err := parseSight(c.snapshot)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.sees(c.xid); got != c.want {
			t.Errorf("%s sees %d: %t", c.snapshot, c.xid, got)
		}
	}
	for _, text := range []string{"", "1", "1:2", "a:2:", "1:b:", "1:2:c"} {
		if _, err := parseSight(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
