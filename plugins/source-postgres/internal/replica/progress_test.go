package replica

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// world plays a server that sends transactions, and a client that calls Confirm and Idle with whatever comes to mind.
type world struct {
	random    *rand.Rand
	progress  progress
	log       pgoutput.LSN
	commits   []pgoutput.LSN // ends of transactions with rows that were handed out whole
	kept      map[uint32]bool
	xid       uint32
	confirmed pgoutput.LSN // by Confirm
}

func (w *world) message(kind byte, numbers ...any) {
	m := []byte{kind}
	for _, n := range numbers {
		switch n := n.(type) {
		case byte:
			m = append(m, n)
		case uint32:
			m = binary.BigEndian.AppendUint32(m, n)
		case pgoutput.LSN:
			m = binary.BigEndian.AppendUint64(m, uint64(n))
		}
	}
	w.progress.data(m)
}

func (w *world) advance() pgoutput.LSN {
	w.log += pgoutput.LSN(1 + w.random.IntN(100))
	return w.log
}

func (w *world) someRows() bool {
	n := w.random.IntN(3)
	for range n {
		w.message("IUDT"[w.random.IntN(4)], w.xid)
		w.guess()
	}
	return n > 0
}

// serve sends something that a server may send.
func (w *world) serve() {
	switch w.random.IntN(5) {
	case 0:
		w.progress.keepalive(w.advance())
	case 1:
		at := w.advance()
		w.message('B', at, at, uint32(1))
		rows := w.someRows()
		w.progress.keepalive(at - 1) // the server reads on only after the commit
		w.guess()
		end := w.advance()
		w.message('C', byte(0), at, end, at)
		if rows {
			w.commits = append(w.commits, end)
		}
	case 2:
		xid := w.xid + 1
		w.xid = xid
		w.message('S', xid, byte(1))
		w.kept[xid] = w.someRows()
		w.guess()
		w.message('E')
	default:
		w.finish()
	}
}

// finish commits or takes back one of the streamed transactions.
func (w *world) finish() {
	for xid, rows := range w.kept {
		delete(w.kept, xid)
		if w.random.IntN(3) == 0 {
			w.message('A', xid, xid+1)
			w.message('A', xid, xid)
			return
		}
		at := w.advance()
		end := w.advance()
		w.message('c', xid, byte(0), at, end, at)
		if rows {
			w.commits = append(w.commits, end)
		}
		return
	}
}

// guess is a client without any idea what it may confirm. What Confirm accepts is its word; Idle must know better.
func (w *world) guess() {
	lsn := w.log - min(w.log, pgoutput.LSN(w.random.IntN(300))) + pgoutput.LSN(w.random.IntN(100))
	if w.random.IntN(4) > 0 {
		_, _ = w.progress.idle(lsn)
		return
	}
	if len(w.commits) > 0 {
		lsn = w.commits[w.random.IntN(len(w.commits))]
	}
	if _, err := w.progress.confirm(lsn); err == nil {
		w.confirmed = max(w.confirmed, lsn)
	}
}

func TestNoSequenceOfCallsConfirmsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	moved := 0
	for seed := range uint64(500) {
		w := &world{random: rand.New(rand.NewPCG(seed, 0)), kept: map[uint32]bool{}, progress: progress{kept: map[uint32]bool{}}}
		for range 200 {
			w.serve()
			before := w.progress.confirmed
			w.guess()
			if w.progress.confirmed < before {
				t.Fatalf("seed %d: the position went back from %s to %s", seed, before, w.progress.confirmed)
			}
			if w.progress.confirmed > w.log {
				t.Fatalf("seed %d: %s is confirmed of a log that ends at %s", seed, w.progress.confirmed, w.log)
			}
			if w.progress.confirmed > w.confirmed {
				moved++
			}
			for _, end := range w.commits {
				if end > w.confirmed && end <= w.progress.confirmed {
					t.Fatalf("seed %d: %s is told to the server, and a transaction that ends at %s was never confirmed", seed, w.progress.confirmed, end)
				}
			}
		}
	}
	if moved == 0 {
		t.Error("no quiet position was ever accepted")
	}
}

func TestMessagesThatAreNoneChangeNothing(t *testing.T) {
	t.Parallel()
	p := progress{kept: map[uint32]bool{}}
	for _, kind := range []byte("BCIUDTSEcAMORYx") {
		for n := range 30 {
			p.data(make([]byte, 0, n))
			m := make([]byte, n)
			if n > 0 {
				m[0] = kind
			}
			p.data(m)
		}
	}
	if p.whole != 0 || p.owed != 0 || p.confirmed != 0 {
		t.Errorf("%+v", p)
	}
}
