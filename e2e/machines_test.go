package e2e_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	stdruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/e2e/rig"
)

// park is what machines share: servers of others.
type park struct {
	t       *testing.T
	minio   *rig.MinIOServer
	nats    *rig.NATSServer
	state   *rig.PostgresServer
	catalog *rig.CatalogServer // nil: the catalog lies in the state database
}

func newPark(t *testing.T) *park {
	t.Helper()
	return &park{t: t, minio: rig.MinIO(t), nats: rig.NATS(t), state: rig.Postgres(t)}
}

// withCatalog is the same park with a REST catalog, which may lie.
func (p *park) withCatalog(lies int) *park {
	p.t.Helper()
	with := *p
	with.catalog = rig.Catalog(p.t, p.minio, lies)
	return &with
}

// machines are two machines that run one project: each has a copy of its files and a .qanat of its own.
type machines struct {
	t    *testing.T
	each [2]*flights
	db   *sql.DB
}

// settle gives a project of a name to two machines. Sinks write to a folder that both see.
func (p *park) settle(t *testing.T, name, file string) *machines {
	t.Helper()
	m := &machines{t: t, db: p.state.Open(t, "qanat_"+name)}
	block := p.minio.Objects() + "  bucket_prefix: " + name + "-\n" + p.nats.Block() + p.state.Block()
	env := slices.Concat(p.minio.Env(), p.nats.Env(), p.state.Env())
	if p.catalog != nil {
		block += p.catalog.Block()
		env = append(env, p.catalog.Env()...)
	}
	for i := range m.each {
		f := newFlights(t, file)
		f.Machine = fmt.Sprintf("machine-%c", 'a'+i)
		path := filepath.Join(f.Dir, "qanat.yaml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), "name: flights", "name: "+name, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		use(t, f.Project, block, env)
		m.each[i] = f
	}
	shared := filepath.Join(m.each[0].Dir, "out")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(shared, filepath.Join(m.each[1].Dir, "out")); err != nil {
		t.Fatal(err)
	}
	return m
}

var theRun = []string{"run", "air", "--env", "kills"}

// start runs the pipeline on a machine. If the test fails, it shows what the machine said.
func (m *machines) start(i int) *rig.Running {
	m.t.Helper()
	running := m.each[i].Start(theRun...)
	m.t.Cleanup(func() {
		if m.t.Failed() {
			m.t.Logf("%s has said:\n%s", m.each[i].Machine, running.Err())
		}
	})
	return running
}

// owner is a row of the state database.
type owner struct {
	flow, name string
	epoch      int64
}

func (m *machines) owners(ctx context.Context) ([]owner, error) {
	rows, err := m.db.QueryContext(ctx, `select flow, owner, epoch from qanat_owners order by flow`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []owner
	for rows.Next() {
		var o owner
		if err := rows.Scan(&o.flow, &o.name, &o.epoch); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

// register notes who owned a flow in which epoch, for as long as its test goes on.
type register struct {
	stop  chan struct{}
	group sync.WaitGroup
	seen  map[string]map[string]bool // flow and epoch: names
	moved int                        // how often a flow came to the other machine
}

func (m *machines) watch() *register {
	r := &register{stop: make(chan struct{}), seen: map[string]map[string]bool{}}
	r.group.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		at := map[string]string{}
		for {
			owners, err := m.owners(context.Background())
			for _, o := range owners {
				if machine, _, runs := strings.Cut(o.name, "/"); runs && at[o.flow] != machine {
					if at[o.flow] != "" {
						r.moved++
					}
					at[o.flow] = machine
				}
				key := fmt.Sprintf("%s epoch %d", o.flow, o.epoch)
				if err == nil && o.name != "" {
					if r.seen[key] == nil {
						r.seen[key] = map[string]bool{}
					}
					r.seen[key][o.name] = true
				}
			}
			select {
			case <-ticker.C:
			case <-r.stop:
				return
			}
		}
	})
	return r
}

// check ends the watch. Every epoch had one owner, and epochs of units only go up.
func (r *register) check(m *machines) {
	m.t.Helper()
	close(r.stop)
	r.group.Wait()
	for epoch, names := range r.seen {
		if len(names) > 1 {
			m.t.Errorf("%s had several owners: %v", epoch, names)
		}
	}
	var backward int
	err := m.db.QueryRowContext(m.t.Context(), `select count(*) from qanat_ledger a join qanat_ledger b
		on a.flow = b.flow and b.seq = a.seq + 1 where b.epoch < a.epoch`).Scan(&backward)
	if err != nil || backward > 0 {
		m.t.Errorf("%d units were committed by an older epoch than the unit before them, %v", backward, err)
	}
}

func (m *machines) check() {
	m.t.Helper()
	for _, f := range m.each { // both see the same
		f.check()
	}
}

func (m *machines) on(one machine) *flights {
	return m.each[slices.IndexFunc(m.each[:], func(f *flights) bool { return f.Machine == one.name })]
}

// units are how many a flow has committed.
func (m *machines) units(flow string) int {
	var n int
	if err := m.db.QueryRowContext(m.t.Context(), `select count(*) from qanat_ledger where flow = $1`, flow).Scan(&n); err != nil {
		return 0 // no table yet
	}
	return n
}

var runningLine = regexp.MustCompile(`(?m)^(air\.\w+) +(?:running|done) `)

// runningFlows are those that a command has said to run.
func runningFlows(r *rig.Running) map[string]bool {
	flows := map[string]bool{}
	for _, line := range runningLine.FindAllStringSubmatch(r.Err(), -1) {
		flows[line[1]] = true
	}
	return flows
}

// takenWithin is what the other machine has for taking over all flows of one that was killed: ten seconds of silence, and the rest.
const takenWithin = 15 * time.Second

func TestTheOtherMachineTakesOver(t *testing.T) {
	t.Parallel()
	file := someFlights(t, 1_200_000)
	p := newPark(t)
	for name, p := range map[string]*park{"state": p, "rest": p.withCatalog(0)} {
		t.Run(name, func(t *testing.T) {
			m := p.settle(t, "air"+name, file)
			seen := m.watch()
			first, second := m.startBoth()
			left := m.unreleased(first)
			for flow := range runningFlows(second.running) { // it may have some of its own
				if left[flow] {
					t.Errorf("both machines run %s", flow)
				}
			}
			first.running.Signal(syscall.SIGKILL)
			killed := time.Now()
			eventually(t, "the second machine owns what the first one had", func() bool { return m.have(second, left) })
			owned := time.Since(killed)
			eventually(t, "the second machine runs them", func() bool { return m.goesOn(second, left) })
			took := time.Since(killed)
			t.Logf("%d flows, owned after %v, running after %v", len(left), owned.Round(10*time.Millisecond), took.Round(10*time.Millisecond))
			if busy := overloaded(); owned > takenWithin || took > takenWithin && !busy {
				t.Errorf("the takeover took %v, and %v until all flows ran: at most %v are promised", owned, took, takenWithin)
			}
			if end := second.running.Wait(); end.Code != 0 {
				t.Fatalf("exit %d\n%s\n%s", end.Code, end.Out, end.Err)
			}
			seen.check(m)
			m.check()
		})
	}
}

// machine is one of the two, with what runs on it.
type machine struct {
	name    string
	running *rig.Running
}

// startBoth starts the pipeline on both machines, and returns the one that lands flights first, when the other has said that it waits
// for that and two units have landed.
func (m *machines) startBoth() (first, second machine) {
	m.t.Helper()
	var each [2]machine
	for i := range each {
		each[i] = machine{m.each[i].Machine, m.start(i)}
	}
	eventually(m.t, "a machine lands flights, and the other one waits for it", func() bool {
		for i, one := range each {
			first, second = one, each[1-i]
			if m.units("air.landing") >= 2 && standsBy(second.running, first.name) {
				return true
			}
		}
		return false
	})
	return first, second
}

// standsBy says whether a command has said to wait for a machine to land flights.
func standsBy(r *rig.Running, machine string) bool {
	return regexp.MustCompile(`(?m)^air\.landing +waiting .* waiting: it is run by ` + machine + `/`).MatchString(r.Err())
}

// goesOn says whether a machine runs flows, or has committed units of them.
func (m *machines) goesOn(on machine, flows map[string]bool) bool {
	m.t.Helper()
	runs := runningFlows(on.running)
	rows, err := m.db.QueryContext(m.t.Context(), `select distinct u.flow from qanat_ledger u join qanat_owners o on u.flow = o.flow and u.epoch = o.epoch`)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var flow string
		if err := rows.Scan(&flow); err != nil {
			m.t.Fatal(err)
		}
		runs[flow] = true
	}
	return rows.Err() == nil && covers(runs, flows)
}

// overloaded says whether so much else runs on this machine that starting plugins takes many times as long as it should.
func overloaded() bool {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return false
	}
	var load float64
	_, err = fmt.Sscan(string(text), &load)
	return err == nil && load > 3*float64(stdruntime.NumCPU())
}

// unreleased are the flows that a machine owns.
func (m *machines) unreleased(of machine) map[string]bool {
	m.t.Helper()
	owners, err := m.owners(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	flows := map[string]bool{}
	for _, o := range owners {
		if strings.HasPrefix(o.name, of.name+"/") {
			flows[o.flow] = true
		}
	}
	if len(flows) == 0 {
		m.t.Fatalf("%s has no flows any more", of.name)
	}
	return flows
}

func (m *machines) have(of machine, flows map[string]bool) bool {
	m.t.Helper()
	owners, err := m.owners(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	for _, o := range owners {
		if flows[o.flow] && !strings.HasPrefix(o.name, of.name+"/") {
			return false
		}
	}
	return true
}

func covers(have, want map[string]bool) bool {
	for flow := range want {
		if !have[flow] {
			return false
		}
	}
	return true
}

func TestAMachineThatIsStoppedHandsItsFlowsOver(t *testing.T) {
	t.Parallel()
	m := newPark(t).settle(t, "handed", someFlights(t, 1_200_000))
	seen := m.watch()
	first, second := m.startBoth()
	left := m.unreleased(first)
	first.running.Signal(syscall.SIGINT)
	if end := first.running.Wait(); end.Code != 0 {
		t.Errorf("the first machine: exit %d\n%s", end.Code, end.Err)
	}
	stopped := time.Now()
	eventually(t, "the second machine runs what the first one had", func() bool { return m.goesOn(second, left) })
	t.Logf("%d flows ran elsewhere %v after the first machine had stopped", len(left), time.Since(stopped).Round(10*time.Millisecond))
	if end := second.running.Wait(); end.Code != 0 {
		t.Fatalf("exit %d\n%s\n%s", end.Code, end.Out, end.Err)
	}
	seen.check(m)
	m.check()
	m.each[0].Must(theRun...) // and finds nothing to do
	m.check()
}

// A machine that sleeps, and wakes up when another one has taken over, does nothing any more.
func TestAMachineThatSleptIsFencedOut(t *testing.T) {
	t.Parallel()
	p := newPark(t)
	m := p.withCatalog(0).settle(t, "slept", someFlights(t, 1_200_000))
	seen := m.watch()
	first, second := m.startBoth()
	left := m.unreleased(first)
	first.running.Signal(syscall.SIGSTOP)
	slept := time.Now()
	eventually(t, "the second machine owns what the first one had", func() bool { return m.have(second, left) })
	if took := time.Since(slept); took > takenWithin {
		t.Errorf("the takeover took %v, at most %v are promised", took, takenWithin)
	}
	if end := second.running.Wait(); end.Code != 0 {
		t.Fatalf("exit %d\n%s\n%s", end.Code, end.Out, end.Err)
	}
	m.on(second).check()
	before := m.ledger()
	first.running.Signal(syscall.SIGCONT)
	if end := first.running.Wait(); end.Code != 1 || !strings.Contains(end.Err, "taken over") {
		t.Errorf("exit %d, expected 1 and words on having been taken over\n%s", end.Code, end.Err)
	}
	if diff := cmp.Diff(before, m.ledger()); diff != "" {
		t.Errorf("what woke up has committed something:\n%s", diff)
	}
	seen.check(m)
	m.check()
}

// ledger are the rows of all flows.
func (m *machines) ledger() []string {
	m.t.Helper()
	rows, err := m.db.QueryContext(m.t.Context(), `select flow || ' ' || seq || ' ' || epoch || ' ' || unit from qanat_ledger order by flow, seq`)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			m.t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		m.t.Fatal(err)
	}
	return lines
}

// crashes kill what runs on two machines.
type crashes struct {
	t      *testing.T
	points []string

	mu    sync.Mutex
	kills map[string]int
}

func (c *crashes) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kills[what]++
}

func (c *crashes) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := 0
	for what, n := range c.kills {
		if !strings.HasPrefix(what, "not ") {
			sum += n
		}
	}
	return sum
}

// live runs the pipeline on a machine, again and again, until it ends by itself: so many of the times it is killed, at a point or, if
// it does not come there in time, wherever it is; or one of its plugins is.
func (c *crashes) live(f *flights, random *rand.Rand, kills int) {
	for {
		var d doom
		if kills > 0 {
			d = doom{after: time.Second/4 + time.Duration(random.Int64N(int64(2*time.Second))), plugin: random.IntN(4) == 0}
			if !d.plugin && random.IntN(2) == 0 {
				d.point, d.after = c.points[random.IntN(len(c.points))], 4*time.Second
			}
			kills--
		}
		end := c.life(f, random, d)
		switch {
		case end.Code == 0:
			return
		case end.Code == -1 && d.after > 0:
		case end.Code == 1 && strings.Contains(end.Err, "taken over"):
			c.count("not killed, but taken over")
		default:
			c.t.Errorf("%s: exit %d with %+v\n%s", f.Machine, end.Code, d, end.Err)
			return
		}
		if random.IntN(6) == 0 { // long enough for the other machine to take over
			<-time.After(11 * time.Second)
		}
	}
}

// doom is how a process is to end; the zero value lets it live.
type doom struct {
	point  string        // to die at
	after  time.Duration // of running, to be killed at the latest
	plugin bool          // kill one of its plugins instead, which the flow is to get over
}

// life is one process.
func (c *crashes) life(f *flights, random *rand.Rand, d doom) rig.Result {
	running := f.With("QANAT_KILL_AT=" + d.point).Start(theRun...)
	if d.after == 0 {
		return running.Wait()
	}
	eventually(c.t, "the run has begun, or ended", func() bool {
		select {
		case <-running.Done():
			return true
		default: // before that, plugins are only asked what they are
			return strings.Contains(running.Err(), "air.landing")
		}
	})
	select {
	case <-running.Done():
		if end := running.Wait(); end.Code != -1 {
			return end
		}
		c.count(f.Machine + " at points")
		return running.Wait()
	case <-time.After(d.after):
	}
	var pids []int
	if d.plugin {
		for _, of := range running.Plugins() {
			pids = append(pids, of...)
		}
	}
	if len(pids) > 0 && syscall.Kill(pids[random.IntN(len(pids))], syscall.SIGKILL) == nil {
		c.count(f.Machine + "'s plugins")
		return running.Wait()
	}
	running.Signal(syscall.SIGKILL)
	end := running.Wait()
	if end.Code == -1 {
		c.count(f.Machine + " at a time")
	}
	return end
}

// pointsOf are the kill points that an undisturbed run passes, with passes to die at.
func pointsOf(t *testing.T, trace string) []string {
	t.Helper()
	file, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	passes := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		passes[lines.Text()]++
	}
	var points []string
	for name, n := range passes {
		for pass := range min(n, 3) {
			points = append(points, fmt.Sprintf("%s:%d", name, pass+1))
		}
	}
	slices.Sort(points)
	return points
}

func TestTwoMachinesThatCrashEndAsUndisturbedOnes(t *testing.T) {
	t.Parallel()
	enough, rounds := 15, 10
	if slow() {
		enough, rounds = 100, 60
	}
	seed := uint64(20240601)
	if text := os.Getenv("QANAT_KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("QANAT_KILL_SEED: %v", err)
		}
	}
	t.Logf("QANAT_KILL_SEED=%d", seed)
	file := someFlights(t, 400_000)
	p := newPark(t)
	trace := filepath.Join(t.TempDir(), "trace")
	calm := p.settle(t, "calm", file)
	calm.each[0].With("QANAT_KILL_TRACE=" + trace).Must(theRun...)
	calm.check()

	c := &crashes{t: t, points: pointsOf(t, trace), kills: map[string]int{}}
	moved := 0
	for round := 0; round < rounds && c.total() < enough && !t.Failed(); round++ {
		of := p
		if round%2 == 1 {
			of = p.withCatalog(7)
		}
		m := of.settle(t, fmt.Sprintf("crash%d", round), file)
		seen := m.watch()
		started := time.Now()
		var both sync.WaitGroup
		for i, f := range m.each {
			random := rand.New(rand.NewPCG(seed, uint64(2*round+i)))
			both.Go(func() { c.live(f, random, 6) })
		}
		both.Wait()
		seen.check(m)
		m.check()
		moved += seen.moved
		t.Logf("round %d ended after %v; kills by now: %v; flows went to the other machine %d times", round,
			time.Since(started).Round(100*time.Millisecond), c.kills, moved)
	}
	if c.total() < enough || moved == 0 {
		t.Errorf("too few kills or takeovers to say anything: %v, %d", c.kills, moved)
	}
}
