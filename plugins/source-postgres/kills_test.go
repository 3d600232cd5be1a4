package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qanat-data/qanat/internal/pgtest"
	"github.com/qanat-data/qanat/plugins/source-postgres/internal/pgoutput"
	"github.com/qanat-data/qanat/sdk"
)

func base64Of(v any) ([]byte, error) { return base64.StdEncoding.DecodeString(fmt.Sprint(v)) }

// history is a pipeline's life: reads that are killed, one after the other, while others write.
type history struct {
	*site
	t      *testing.T
	proxy  *pgtest.Proxy
	config Config
	random *rand.Rand
	ledger *ledger
	acked  pgoutput.LSN
	kills  map[string]int
	server *pgtest.Server // of its own, to be crashed, or nil
}

// life is one process of it.
type life struct {
	*history
	source *Source
	cancel context.CancelFunc
	until  moment
	share  int // of ten checkpoints, how many end a unit

	mu      sync.Mutex
	random  *rand.Rand
	count   int
	dead    bool
	streams bool // all tables have been read
	died    chan struct{}
	pending []sdk.Batch
	units   []unit
	acks    sync.WaitGroup
}

// strike notes that something happens, and says whether that is the moment: from then on nothing of the process counts.
func (l *life) strike(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || what != l.until.what || l.until.late && !l.streams {
		return l.dead
	}
	l.count++
	if l.count >= l.until.n {
		l.dead = true
		close(l.died)
	}
	return l.dead
}

// at kills the process where it is, if this is the moment: nothing gets out of it any more.
func (l *life) at(what string) error {
	if l.strike(what) {
		l.proxy.Cut()
		l.cancel()
		return context.Canceled
	}
	return nil
}

// Schema implements sdk.Emitter.
func (l *life) Schema(context.Context, sdk.SchemaChange) error { return nil }

// Reject implements sdk.Emitter.
func (l *life) Reject(context.Context, ...sdk.Rejection) error { return nil }

// Progress implements sdk.Emitter.
func (l *life) Progress(sdk.Progress) {}

// Batch implements sdk.Emitter.
func (l *life) Batch(_ context.Context, b sdk.Batch) error {
	if err := l.at("batch"); err != nil {
		b.Record.Release()
		return err
	}
	l.mu.Lock()
	l.pending = append(l.pending, b)
	l.mu.Unlock()
	return l.at("batch taken")
}

// Checkpoint implements sdk.Emitter: some end a unit, whose position is acknowledged beside the read, or not at all.
func (l *life) Checkpoint(ctx context.Context, pos sdk.Position) error {
	if err := l.at("checkpoint"); err != nil {
		return err
	}
	l.mu.Lock()
	l.streams = streaming(pos)
	ends, acks := l.random.IntN(10) < l.share, l.random.IntN(10) < 7
	if ends {
		l.units, l.pending = append(l.units, unit{batches: l.pending, position: bytes.Clone(pos)}), nil
	}
	l.mu.Unlock()
	if !ends {
		return nil
	}
	if err := l.at("ledger"); err != nil || !acks {
		return err
	}
	l.acks.Go(func() { l.ack(ctx, pos) })
	return l.at("ack")
}

func (l *life) ack(ctx context.Context, pos sdk.Position) {
	l.mu.Lock()
	l.acked = max(l.acked, lsnOf(l.t, pos))
	l.mu.Unlock()
	if err := l.source.Ack(ctx, pos); err == nil {
		_ = l.at("acked")
	}
}

func lsnOf(t testing.TB, pos sdk.Position) pgoutput.LSN {
	lsn, err := pgoutput.ParseLSN(positionLSN(t, pos))
	if err != nil {
		t.Errorf("position %s: %v", pos, err)
	}
	return lsn
}

func streaming(pos sdk.Position) bool { return strings.Contains(string(pos), `"phase":"stream"`) }

// hears looks at what the process says to the server.
func (l *life) hears(piece []byte) pgtest.Fate {
	what := l.until.what
	switch {
	case what == "", what == status && (len(piece) < 6 || piece[0] != 'd' || piece[5] != 'r'), what != status && !bytes.Contains(bytes.ToLower(piece), []byte(what)):
		return pgtest.Pass
	case !l.strike(what):
		return pgtest.Pass
	}
	return l.until.fate
}

// live runs a process until its moment, or until enough says so, and puts what it has committed into the ledger.
func (h *history) live(until moment, share int, enough func(at sdk.Position) bool) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l := &life{history: h, source: h.source(h.t, h.config), cancel: cancel, until: until, share: share, died: make(chan struct{}),
		random: rand.New(rand.NewPCG(h.random.Uint64(), 0))}
	h.proxy.Mend()
	h.proxy.Spy(l.hears)
	ended := make(chan error, 1)
	go func() { ended <- l.read(ctx) }()
	err := l.wait(ended, enough)
	l.acks.Wait()
	if what := l.until.what; l.count >= l.until.n && what != "" {
		h.kills[what]++
	} else if enough == nil {
		h.kills["time"]++ // the moment did not come
	}
	h.proxy.Spy(nil)
	for _, u := range l.units {
		h.ledger.take(h.t, u)
	}
	for _, b := range l.pending {
		b.Record.Release()
	}
	if err != nil && l.alive() && sdk.KindOf(err) != sdk.KindRetryable {
		h.t.Fatalf("the read ended by itself: %v", err)
	}
}

func (l *life) inStream() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams && !l.dead
}

func (l *life) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dead
}

// read does as the runtime does: first it repeats the last acknowledgement.
func (l *life) read(ctx context.Context) error {
	at := l.ledger.position
	if at != nil {
		l.ack(ctx, at)
	}
	return l.source.Read(ctx, sdk.ReadRequest{Position: at, Follow: true, Stop: make(chan struct{})}, l)
}

// wait is over when the process has come to its end: by its moment, by enough, or by time.
func (l *life) wait(ended chan error, enough func(sdk.Position) bool) error {
	longest := 4 * time.Second // the moment may not come
	switch {
	case slow() && enough == nil && l.until.what != "time":
		longest = 20 * time.Second
	case enough != nil:
		longest = patience
	case l.until.what == "time":
		longest = time.Duration(l.history.random.IntN(1500)) * time.Millisecond
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	cuts := time.NewTicker(time.Duration(30+l.history.random.IntN(200)) * time.Millisecond)
	defer cuts.Stop()
	for {
		select {
		case <-cuts.C:
			if l.until.cuts && l.inStream() {
				l.proxy.Cut()
				l.proxy.Mend()
			}
			continue
		case err := <-ended:
			return err
		case <-timer.C:
			if enough != nil {
				l.t.Fatalf("the read did not come to the end: %s", l.latest())
			}
			l.kill()
		case <-l.died:
			l.kill()
		case <-look.C:
			if enough == nil || !enough(l.latest()) {
				continue
			}
			l.kill()
		}
		return <-ended
	}
}

func (l *life) latest() sdk.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.units) == 0 {
		return l.ledger.position
	}
	return l.units[len(l.units)-1].position
}

func (l *life) kill() {
	l.mu.Lock()
	if !l.dead {
		l.dead = true
		close(l.died)
	}
	l.mu.Unlock()
	l.proxy.Cut()
	l.cancel()
}

// made says whether there is a slot.
func (h *history) made() bool {
	return one[bool](h.t, h.site, "select exists (select from pg_replication_slots where database = current_database())")
}

// confirmedIsAcked holds the slot against what was acknowledged.
func (h *history) confirmedIsAcked() {
	h.t.Helper()
	var text string
	const sql = "select coalesce(max(confirmed_flush_lsn)::text, '0/0') from pg_replication_slots where database = current_database()"
	if err := h.sql.QueryRow(context.Background(), sql).Scan(&text); err != nil {
		h.t.Fatal(err)
	}
	confirmed, err := pgoutput.ParseLSN(text)
	if err != nil {
		h.t.Fatal(err)
	}
	if stored := h.ledger.position; stored != nil && confirmed > max(h.acked, lsnOf(h.t, stored)) || h.acked > 0 && confirmed > h.acked {
		h.t.Fatalf("the slot is confirmed up to %s, acknowledged was %s, the ledger has %s", confirmed, h.acked, stored)
	}
}

// crash ends the server at once, and starts it again; the process that reads notices, or is killed meanwhile.
func (h *history) crash() {
	h.t.Helper()
	h.server.Crash()
	h.server.Start(h.t)
	h.sql = h.connect(h.t)
}

func newHistory(t *testing.T, seed uint64, server *pgtest.Server) *history {
	t.Helper()
	h := &history{t: t, random: rand.New(rand.NewPCG(seed, 99)), ledger: newLedger(), kills: map[string]int{}}
	if h.server = server; server == nil {
		server = pgtest.Shared(t)
	}
	h.site = newSiteOn(t, server)
	if _, err := h.sql.PgConn().Exec(t.Context(), killSchema).ReadAll(); err != nil {
		t.Fatal(err)
	}
	var through string
	h.proxy, through = pgtest.Through(t, h.dsn)
	h.config = cdc(killTables...)
	h.config.DSN = sdk.Secret(through + "?logical_decoding_work_mem=64kB")
	h.config.ChunkRows = 100
	h.config.Connections = 1 + int(seed%2)
	h.config.Heartbeat = sdk.Duration(100 * time.Millisecond)
	return h
}

// suffer lives through kills, and then compares what was committed with the tables.
func (h *history) suffer(seed uint64, kills int) {
	end := h.writers(h.t, seed, 3*time.Millisecond)
	ended := sync.OnceFunc(end)
	defer ended()
	for i := range kills {
		m := h.some()
		crashed := make(chan struct{})
		if h.server != nil && i%2 == 1 {
			m = moment{what: "time"}
			go func() { defer close(crashed); h.crash() }()
		} else {
			close(crashed)
		}
		h.live(m, 3+h.random.IntN(8), nil)
		<-crashed
		h.confirmedIsAcked()
	}
	ended()
	target, err := pgoutput.ParseLSN(h.target(h.t))
	if err != nil {
		h.t.Fatal(err)
	}
	h.live(moment{}, 10, func(at sdk.Position) bool {
		return streaming(at) && lsnOf(h.t, at) >= target
	})
	h.confirmedIsAcked()
	for _, fault := range h.ledger.missing(h.t, h.site) {
		h.t.Error(fault)
	}
	h.t.Logf("seed %d: %v; %d units, %d of them whole, %d changes", seed, h.kills, h.ledger.units, h.ledger.whole, h.ledger.changes)
}

func slow() bool { return os.Getenv("QANAT_SLOW") != "" }

// A process is killed at moments of all kinds, from the making of the slot to the confirmation of a position, and the server, too, while
// tables are written. What counts is what a ledger has: in the end that is the tables, row for row, and no change came twice.
func TestKilledAtAnyMomentNothingIsLostAndNothingComesTwice(t *testing.T) {
	t.Parallel()
	histories, kills := uint64(3), 5
	if slow() {
		histories, kills = 25, 8
	}
	for seed := range histories {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			var server *pgtest.Server
			if seed%5 == 2 {
				server = pgtest.Own(t, "fsync=on")
			}
			newHistory(t, seed, server).suffer(seed, kills)
		})
	}
}
