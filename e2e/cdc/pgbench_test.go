package cdc_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/qanat-data/qanat/e2e/rig"
)

// The bank's books agree at every unit, and its tables equal the source's at the end, whatever was killed meanwhile. A subscription of
// PostgreSQL's own to the same tables ends equal, too.
func TestTablesFollowTheirSourceWhateverIsKilled(t *testing.T) {
	t.Parallel()
	scale, clients, rate, strikes := 1, 4, 100, 8
	if slow() {
		scale, clients, rate, strikes = 10, 8, 300, 40
	}
	random := dice(t)
	server := rig.Postgres(t)
	load := newWorkload(t, server, scale, clients, rate)
	mirror := subscribe(t, server)
	load.start()
	b := openBank(t, load)
	running := b.start()
	for n := range strikes {
		if n == strikes/3 { // the rest falls upon the stream
			running = b.awaitTables(running)
		}
		for range 1 + random.IntN(3) {
			b.wait(running, time.Duration(500+random.IntN(1500))*time.Millisecond)
			b.look()
		}
		t.Logf("strike %d: %s", n+1, b.strike(running, n%5))
		running = b.again(running)
	}
	load.stop()
	running.Signal(syscall.SIGINT)
	running.Wait()
	b.finish()
	b.look()
	b.compare(server, "the source")
	t.Logf("%d looks at the books, %d units compared", b.looks, b.everyUnit())
	mirror.await()
	b.compare(mirror.server, "the subscriber")
}
