package follow

import (
	"testing"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// A transaction may be sent a third time before the second time has come to where the first ended.
func TestATransactionThatBreaksOffTwiceDoesNotBeginAnew(t *testing.T) {
	t.Parallel()
	f := &Follower{}
	tx := pgoutput.Transaction{LSN: 500}
	for range 3 {
		if err := f.Begin(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		f.delivered = max(f.delivered, 7)
		f.brokeOff()
		if f.resumed.lsn != tx.LSN || f.resumed.ordinal != 7 || f.hold <= tx.LSN {
			t.Fatalf("%+v, hold %s", f.resumed, f.hold)
		}
	}
	if err := f.Begin(t.Context(), pgoutput.Transaction{LSN: 600}); err != nil || f.delivered != 0 {
		t.Errorf("%d changes of a transaction that begins, %v", f.delivered, err)
	}
}
