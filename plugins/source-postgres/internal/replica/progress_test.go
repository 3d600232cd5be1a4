package replica

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
)

// world plays a server that sends transactions, and a client that confirms whatever comes to mind.
type world struct {
	random   *rand.Rand
	progress progress
	log      pgoutput.LSN
	handed   pgoutput.LSN // what ends up to here was handed out
	kept     []uint32     // streamed transactions
	xid      uint32
	moved    int
	fault    string
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

func (w *world) rows() {
	for range w.random.IntN(3) {
		w.message("IUDT"[w.random.IntN(4)], w.xid)
		w.guess()
	}
}

// serve sends something that a server may send.
func (w *world) serve() {
	switch w.random.IntN(5) {
	case 0:
		w.handed = w.advance()
		w.progress.keepalive(w.handed)
	case 1:
		at := w.advance()
		w.message('B', at, at, uint32(1))
		w.rows()
		w.progress.keepalive(at - 1) // the server reads on only after the commit
		w.guess()
		w.message('C', byte(0), at, w.end(), at)
	case 2:
		w.xid++
		w.kept = append(w.kept, w.xid)
		w.message('S', w.xid, byte(1))
		w.rows()
		w.progress.keepalive(w.advance())
		w.guess()
		w.message('E')
	default:
		w.finish()
	}
}

// end is that of a transaction which is handed out whole with the message that names it.
func (w *world) end() pgoutput.LSN {
	w.handed = w.advance()
	return w.handed
}

// finish commits or takes back one of the streamed transactions.
func (w *world) finish() {
	if len(w.kept) == 0 {
		return
	}
	xid := w.kept[0]
	w.kept = w.kept[1:]
	if w.random.IntN(3) == 0 {
		w.message('A', xid, xid+1)
		w.message('A', xid, xid)
		return
	}
	at := w.advance()
	w.message('c', xid, byte(0), at, w.end(), at)
}

// guess is a client without any idea what it may confirm.
func (w *world) guess() {
	lsn := w.log - min(w.log, pgoutput.LSN(w.random.IntN(300))) + pgoutput.LSN(w.random.IntN(100))
	before := w.progress.confirmed
	moved, err := w.progress.confirm(lsn)
	switch now := w.progress.confirmed; {
	case now < before || moved != (now > before) || err != nil && now != before:
		w.fault = fmt.Sprintf("the position went from %s to %s (moved: %t, %v)", before, now, moved, err)
	case now > w.handed:
		w.fault = fmt.Sprintf("%s is confirmed, and only %s was handed out", now, w.handed)
	case moved:
		w.moved++
	}
}

func TestNothingIsConfirmedThatWasNotHandedOutWhole(t *testing.T) {
	t.Parallel()
	moved := 0
	for seed := range uint64(500) {
		w := &world{random: rand.New(rand.NewPCG(seed, 0))}
		for range 200 {
			w.serve()
			w.guess()
			if w.fault != "" {
				t.Fatalf("seed %d: %s", seed, w.fault)
			}
		}
		moved += w.moved
	}
	if moved == 0 {
		t.Error("no position was ever accepted")
	}
}

func TestMessagesThatAreNoneChangeNothing(t *testing.T) {
	t.Parallel()
	var p progress
	for _, kind := range []byte("BCIUDTSEcAMORYx") {
		for n := range 30 {
			m := make([]byte, n)
			if n > 0 {
				m[0] = kind
			}
			p.data(m)
		}
	}
	if p.whole != 0 || p.confirmed != 0 {
		t.Errorf("%+v", p)
	}
}
