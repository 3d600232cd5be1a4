package crash_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/qanat-data/qanat/e2e/rig"
)

// project is the folder of a scenario, which outlives the processes that run in it.
type project struct {
	*rig.Project
	t    *testing.T
	s    scenario
	runs int
	nats *rig.NATSServer // nil where qanat runs its own
}

// open makes a fresh project. One that has run before gives its copies of the plugins, which take longer to make than a run.
func (s scenario) open(t *testing.T, before *project) *project {
	t.Helper()
	p := &project{Project: rig.New(t, "crash"), t: t, s: s}
	p.Limit = 2 * time.Minute
	p.Env = append(p.Env, "QANAT_TEST_PLUGINS="+rig.TestPlugins(t), "ACKED="+filepath.Join(p.Dir, "acked"),
		"SEGMENTS="+filepath.Join(p.Dir, "segments"), "FINAL="+filepath.Join(p.Dir, "final"))
	if before != nil {
		p.inherit(before)
	}
	if s.ready != nil {
		s.ready(p)
	}
	return p
}

func (p *project) inherit(before *project) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Join(p.Dir, ".qanat", "plugins"), 0o700); err != nil {
		p.t.Fatal(err)
	}
	copies, err := filepath.Glob(filepath.Join(before.Dir, ".qanat", "plugins", "*"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, path := range append(copies, filepath.Join(before.Dir, "qanat.lock")) {
		relative, err := filepath.Rel(before.Dir, path)
		if err == nil {
			err = os.Link(path, filepath.Join(p.Dir, relative))
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// narrow puts the logs on a server of the test's own, and makes them small before anything is in them.
func (p *project) narrow() {
	p.t.Helper()
	p.nats = rig.NATS(p.t)
	p.Env = append(p.Env, p.nats.Env()...)
	file := filepath.Join(p.Dir, "qanat.yaml")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(text, p.nats.Block()...), 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if !p.die(step{at: "after-log:3"}) {
		p.t.Fatal("it did not die when all logs had been made")
	}
	p.nats.Limit(p.t, narrowLog)
}

// life is what is known of a run when it has ended.
type life struct {
	rig.Result
	trail  []string       // points, in order
	passes map[string]int // by point
}

// start starts the pipeline. The file of the trace is of this run alone.
func (p *project) start(overlay string, env ...string) (running *rig.Running, trace string) {
	p.t.Helper()
	p.runs++
	trace = filepath.Join(p.Dir, fmt.Sprintf("trace-%d", p.runs))
	args := []string{"run", p.s.name}
	if overlay != "" {
		args = append(args, "--env", overlay)
	}
	return p.With(append(env, "QANAT_KILL_TRACE="+trace)...).Start(args...), trace
}

func (p *project) end(running *rig.Running, trace string) life {
	p.t.Helper()
	l := life{Result: running.Wait(), trail: p.trail(trace), passes: map[string]int{}}
	for _, point := range l.trail {
		l.passes[point]++
	}
	book.ran(l.passes)
	return l
}

// trail is the points that a run has passed, in order.
func (p *project) trail(trace string) []string {
	p.t.Helper()
	text, err := os.ReadFile(trace)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// finish runs the pipeline to its end.
func (p *project) finish() life {
	p.t.Helper()
	l := p.end(p.start(""))
	if l.Code != p.s.code {
		p.t.Fatalf("%s: exit %d, expected %d\n%s\n%s", p.s.name, l.Code, p.s.code, l.Out, l.Err)
	}
	p.look()
	return l
}

// die runs the pipeline until it dies at a point; false if it ended before.
func (p *project) die(at step) bool {
	p.t.Helper()
	_, ok := p.dies(at)
	return ok
}

func (p *project) dies(at step) (life, bool) {
	p.t.Helper()
	if at.lose {
		if err := os.RemoveAll(filepath.Join(p.Dir, ".qanat", "nats")); err != nil {
			p.t.Fatal(err)
		}
	}
	running, trace := p.start(at.env, "QANAT_KILL_AT="+at.at)
	l := p.end(running, trace)
	switch l.Code {
	case -1:
	case p.s.code:
		return l, false
	default:
		p.t.Fatalf("%s: exit %d instead of dying at %s\n%s\n%s", p.s.name, l.Code, at.at, l.Out, l.Err)
	}
	point, pass, _ := strings.Cut(at.at, ":")
	if strconv.Itoa(l.passes[point]) != pass {
		p.t.Fatalf("%s: it died elsewhere than at %s, after %v\n%s", p.s.name, at.at, l.passes, l.Err)
	}
	book.strike(p.s.name, killed, point)
	p.look()
	p.glance()
	return l, true
}

// look holds what the source was told to forget against the ledger. The source acknowledges row numbers.
func (p *project) look() {
	p.t.Helper()
	if p.s.acked == "" {
		return
	}
	text, err := os.ReadFile(filepath.Join(p.Dir, p.s.acked))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		p.t.Fatal(err)
	}
	acked, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	book.looked()
	if durable := p.position(p.s.name + ".landing"); acked > durable {
		p.t.Fatalf("acknowledged early: the source was told that everything before row %d is durable, by the ledger it is before %d", acked, durable)
	}
}

// state opens the state database beside the processes that use it.
func (p *project) state() *sql.DB {
	p.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.Dir, ".qanat", "state.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		p.t.Fatal(err)
	}
	return db
}

// position is how far a flow's last ledger row goes.
func (p *project) position(flow string) int64 {
	p.t.Helper()
	db := p.state()
	defer func() { _ = db.Close() }()
	var text []byte
	err := db.QueryRowContext(context.Background(), "select position from qanat_ledger where flow = ? order by seq desc limit 1", flow).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0
	}
	at, parseErr := strconv.ParseInt(string(text), 10, 64)
	if err := errors.Join(err, parseErr); err != nil {
		p.t.Fatal(err)
	}
	return at
}
