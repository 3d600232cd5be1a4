package objects

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTroubleIsWhatLasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &health{open: map[*watchdog]bool{}}
		says := func(want string, since time.Duration) {
			t.Helper()
			what, at := h.trouble()
			if what != want || want != "" && time.Since(at) != since {
				t.Errorf("%q since %v, want %q since %v", what, time.Since(at), want, since)
			}
		}
		h.failed("one")
		says("", 0) // a repeated request may put it right
		time.Sleep(quiet)
		h.failed("two")
		says("two", quiet)
		time.Sleep(outdated)
		says("", 0) // nobody has asked since
		h.failed("three")
		says("three", quiet+outdated)
		h.well()
		says("", 0)

		d := h.begin(time.Minute, func(error) {})
		says("", 0)
		time.Sleep(quiet)
		says("it does not answer", quiet)
		d.moved()
		says("", 0)
		h.end(d)
		time.Sleep(quiet)
		says("", 0)
	})
}
