package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/e2e/rig"
)

// The cleaning as it is in the file, and as it should be.
const (
	wrongCleaning = "select id, region, amount * 2 as amount from input"
	rightCleaning = "select id, region, amount from input where amount >= 1"
)

// remade is a project whose cleaning turns out to be wrong after it has run.
type remade struct {
	*rig.Project
	t *testing.T
}

// newRemade has run the pipeline as it is, and then corrected it.
func newRemade(t *testing.T) *remade {
	t.Helper()
	s := &remade{Project: rig.New(t, "replay"), t: t}
	s.Must("run", "shop")
	s.same("processing.shop.orders", doubled("true"))
	s.define(rightCleaning)
	return s
}

// define changes the cleaning, whatever it is.
func (s *remade) define(cleaning string) {
	s.t.Helper()
	s.edit("pipelines/shop.yaml", func(text string) string {
		return strings.NewReplacer(wrongCleaning, cleaning, rightCleaning, cleaning).Replace(text)
	})
}

func (s *remade) edit(file string, change func(string) string) {
	s.t.Helper()
	path := filepath.Join(s.Dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(change(string(text))), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// doubled and right are what the two definitions make of landed orders.
func doubled(where string) string {
	return "select id, region, amount * 2 as amount from landing.shop.orders where amount * 2 <= 1500 and " + where
}

func right(where string) string {
	return "select id, region, amount from landing.shop.orders where amount >= 1 and " + where
}

// same holds what a dataset has against a query, as multisets.
func (s *remade) same(dataset, want string) {
	s.t.Helper()
	have := "select id, region, amount from " + dataset
	found := s.Query(fmt.Sprintf("select (select count(*) from (%[1]s)) as rows, (select count(*) from ((%[1]s) except all (%[2]s))) as more, "+
		"(select count(*) from ((%[2]s) except all (%[1]s))) as less", have, want))
	if found[0]["more"] != 0.0 || found[0]["less"] != 0.0 || found[0]["rows"] == 0.0 {
		s.t.Errorf("%s: %v rows, of them %v too many, and %v missing", dataset, found[0]["rows"], found[0]["more"], found[0]["less"])
	}
}

func (s *remade) number(query string) int64 {
	s.t.Helper()
	n, ok := s.Query("select (" + query + ")::bigint as n")[0]["n"].(float64)
	if !ok {
		s.t.Fatalf("%s gives no number", query)
	}
	return int64(n)
}

// exported counts the rows that the sink has written.
func (s *remade) exported() int64 {
	s.t.Helper()
	n := int64(0)
	duck := openDuck(s.t)
	duck.ints(fmt.Sprintf("select count(*) from read_csv('%s')", filepath.Join(s.Dir, "out/orders/*.csv")), &n)
	return n
}

// balanced holds the accounts of the cleaning against what is there.
func (s *remade) balanced() {
	s.t.Helper()
	var st status
	s.JSON(&st, "status", "shop")
	rows, aside := s.number("select count(*) from processing.shop.orders"), s.number("select count(*) from quarantine.shop.clean")
	stages := st.accounts()["shop.clean"]
	var rejected, filtered int64
	for i, stage := range stages {
		rejected, filtered = rejected+stage.Rejected, filtered+stage.Filtered
		if i > 0 && stages[i-1].Out != stage.In {
			s.t.Errorf("%s took in %d rows, %s gave out %d", stage.Name, stage.In, stages[i-1].Name, stages[i-1].Out)
		}
	}
	if first, last := stages[0], stages[len(stages)-1]; first.In != 60_000 || last.Out != rows || rejected != aside ||
		first.In != rows+rejected+filtered {
		s.t.Errorf("the accounts are %+v; there are %d rows and %d in quarantine", stages, rows, aside)
	}
}

// clear makes sure that nothing is left beside the datasets.
func (s *remade) clear() {
	s.t.Helper()
	var st struct {
		Datasets []struct{ Name string }
		Replays  []any
	}
	s.JSON(&st, "status")
	for _, d := range st.Datasets {
		if strings.Contains(d.Name, "__") {
			s.t.Errorf("dataset %s is left", d.Name)
		}
	}
	if len(st.Replays) > 0 {
		s.t.Errorf("replays left: %v", st.Replays)
	}
}

// replaySummary is what replay prints as JSON.
type replaySummary struct {
	Unit  int64
	Rows  map[string]struct{ Before, After int64 }
	Diff  *replayDiff
	Units []struct{ First, Last int64 }
	Plan  struct {
		Again []struct{ First, Last int64 }
	}
	Downstream []struct {
		Flow, Becomes string
		Unit          int64
	}
}

type replayDiff struct {
	Datasets []struct {
		Dataset    string
		Before     int64 `json:"rows_before"`
		After      int64 `json:"rows_after"`
		Unchanged  int64
		OnlyBefore int64 `json:"only_before"`
		OnlyAfter  int64 `json:"only_after"`
		Changed    int64
		Columns    []struct {
			Column string
			Rows   int64
		}
		Samples []json.RawMessage
	}
	Quarantine []struct {
		Code          string
		Before, After int64
	}
}

func (s *remade) replay(args ...string) replaySummary {
	s.t.Helper()
	var summary replaySummary
	s.JSON(&summary, append([]string{"replay"}, args...)...)
	return summary
}

func TestReplayMakesTheTargetAsTheCorrectedPipelineWouldHave(t *testing.T) {
	t.Parallel()
	s := newRemade(t)
	written := s.exported()
	// Whoever asked the source now would be told of other rows.
	s.edit("pipelines/shop.yaml", func(text string) string { return strings.Replace(text, "seed: 3", "seed: 99", 1) })
	out := s.Must("replay", "shop.clean")
	for _, want := range []string{"units 1-6", "swapped in by unit 7", "shop.totals  reads everything again", "shop.copy  keeps what it has made"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	s.same("processing.shop.orders", right("true"))
	s.balanced()
	s.clear()
	if n := s.number("select count(*) from quarantine.shop.clean"); n != 0 {
		t.Errorf("%d rows are in quarantine, none would be", n)
	}
	if said := s.Must("status", "shop"); !strings.Contains(said, "shop.copy: stale: it has read units 1 to 6 of shop.clean") {
		t.Errorf("status does not say that the copy is stale:\n%s", said)
	}
	s.edit("pipelines/shop.yaml", func(text string) string { return strings.Replace(text, "seed: 99", "seed: 3", 1) })
	s.Must("run", "shop") // nothing new for the flows that read by unit, everything for the one that sums up
	s.same("processing.shop.copies", doubled("true"))
	if n := s.exported(); n != written {
		t.Errorf("the sink has %d rows, it had %d", n, written)
	}
	diff := s.number("select count(*) from (from curated.shop.totals t full join (select region, count(*) as orders, sum(amount)::decimal(18,2) as amount " +
		"from processing.shop.orders group by all) o using (region, orders, amount) where t.region is null or o.region is null)")
	if diff != 0 {
		t.Errorf("%d of the sums are not those of the new rows", diff)
	}
	s.Must("replay", "shop.copy", "--yes")
	s.same("processing.shop.copies", right("true"))
	if said := s.Must("status", "shop"); strings.Contains(said, "shop.copy: stale") {
		t.Errorf("the copy still counts as stale:\n%s", said)
	}
}

func TestReplayWithDownstreamTakesTheFlowsBehindAlong(t *testing.T) {
	t.Parallel()
	s := newRemade(t)
	summary := s.replay("shop.clean", "--downstream", "--units", "2..3")
	becomes := map[string]string{}
	for _, d := range summary.Downstream {
		becomes[d.Flow] = d.Becomes
	}
	want := map[string]string{"shop.copy": "replayed", "shop.totals": "runs_again", "shop.export": "not_replayed"}
	if diff := cmp.Diff(want, becomes); diff != "" {
		t.Error(diff)
	}
	part := "id >= 10000 and id < 30000"
	mixed := fmt.Sprintf("(%s) union all (%s)", right(part), doubled("not ("+part+")"))
	s.same("processing.shop.orders", mixed)
	s.same("processing.shop.copies", mixed)
	s.clear()
}

func TestReplayOfARangeOfTheInput(t *testing.T) {
	t.Parallel()
	s := newRemade(t)
	s.define(wrongCleaning)
	s.edit("pipelines/shop.yaml", func(text string) string { return strings.Replace(text, "rows: 60000", "rows: 80000", 1) })
	before := s.Query("select now() at time zone 'UTC' as t")[0]["t"].(string)
	s.Must("run", "shop")
	s.define(rightCleaning)
	since := strings.Replace(before, " ", "T", 1)
	if !strings.HasSuffix(since, "Z") {
		since += "Z"
	}
	summary := s.replay("shop.clean", "--since", since)
	if diff := cmp.Diff("[{7 8}]", fmt.Sprint(summary.Units)); diff != "" {
		t.Error(diff)
	}
	s.same("processing.shop.orders", fmt.Sprintf("(%s) union all (%s)", right("id >= 60000"), doubled("id < 60000")))
	s.clear()
}

func TestReplayIntoAnotherDataset(t *testing.T) {
	t.Parallel()
	s := newRemade(t)
	const into = "processing.shop.orders_try"
	s.Must("replay", "shop.clean", "--into", into)
	s.same(into, right("true"))
	s.same("processing.shop.orders", doubled("true"))
	if r := s.Run("replay", "shop.clean", "--into", "processing.shop.copies"); r.Code == 0 || !strings.Contains(r.Err, "exists") {
		t.Errorf("exit %d into a dataset of another flow\n%s", r.Code, r.Err)
	}
	// A sink can't be taken back, but what it would be given can be looked at.
	if r := s.Run("replay", "shop.export"); r.Code == 0 || !strings.Contains(r.Err, "--into") {
		t.Errorf("exit %d of a sink\n%s", r.Code, r.Err)
	}
	s.Must("replay", "shop.export", "--into", "processing.shop.exported", "--units", "1..2")
	s.same("processing.shop.exported", doubled("id < 40000"))
	for _, args := range [][]string{{"shop.clean", "--into", into}, {"shop.export", "--into", "processing.shop.exported"}} {
		s.Must(append([]string{"replay", "--abandon"}, args...)...)
	}
	var st status
	s.JSON(&st, "status")
	for _, d := range st.Datasets {
		if d.Name == into || d.Name == "processing.shop.exported" {
			t.Errorf("%s is still there", d.Name)
		}
	}
}

func TestReplayDiffSaysExactlyWhatWouldChange(t *testing.T) {
	t.Parallel()
	s := newRemade(t)
	summary := s.replay("shop.clean", "--diff", "--key", "id", "--samples", "2")
	got := summary.Diff.Datasets[0]
	now, after := s.number("select count(*) from ("+doubled("true")+")"), s.number("select count(*) from ("+right("true")+")")
	both := s.number("select count(*) from landing.shop.orders where amount * 2 <= 1500 and amount >= 1")
	same := s.number("select count(*) from landing.shop.orders where amount * 2 <= 1500 and amount >= 1 and amount * 2 = amount")
	want := []int64{now, after, same, now - both, after - both, both - same}
	if diff := cmp.Diff(want, []int64{got.Before, got.After, got.Unchanged, got.OnlyBefore, got.OnlyAfter, got.Changed}); diff != "" {
		t.Errorf("rows now, after, unchanged, only now, only after, changed:\n%s", diff)
	}
	if len(got.Columns) != 1 || got.Columns[0].Column != "amount" || got.Columns[0].Rows != both-same || len(got.Samples) != 6 {
		t.Errorf("columns %+v, %d samples", got.Columns, len(got.Samples))
	}
	aside := s.number("select count(*) from landing.shop.orders where amount * 2 > 1500")
	if q := summary.Diff.Quarantine; len(q) != 1 || q[0].Code != "range" || q[0].Before != aside || q[0].After != 0 {
		t.Errorf("quarantine %+v, expected %d rows now and none after", q, aside)
	}
	s.same("processing.shop.orders", doubled("true"))
	s.clear()
	said := s.Must("replay", "shop.totals", "--diff", "--key", "region")
	if !strings.Contains(said, "unchanged") {
		t.Errorf("%s", said)
	}
	s.clear()
}

func TestReplayOfAFlowThatWritesItsTargetAsAWhole(t *testing.T) {
	t.Parallel()
	s := newRemade(t)
	s.edit("pipelines/shop.yaml", func(text string) string {
		return strings.Replace(text, "count(*) as orders", "count(*) + 1 as orders", 1)
	})
	before := s.number("select sum(orders) from curated.shop.totals")
	s.Must("replay", "shop.totals", "--yes")
	regions := s.number("select count(*) from curated.shop.totals")
	if after := s.number("select sum(orders) from curated.shop.totals"); after != before+regions {
		t.Errorf("%d orders, expected %d", after, before+regions)
	}
	if out := s.Must("run", "shop"); !strings.Contains(out, "shop.totals") {
		t.Error(out)
	}
	if after := s.number("select sum(orders) from curated.shop.totals"); after != before+regions {
		t.Errorf("%d orders after another run, expected %d", after, before+regions)
	}
}

// The command is killed in the middle; the same command ends what it had begun, and status says meanwhile how it stands.
func TestKilledReplayCommandIsRepeated(t *testing.T) {
	t.Parallel()
	s := newRemade(t)
	versions, current := []string{wrongCleaning, rightCleaning}, 0
	queries := []func(string) string{doubled, right}
	for _, point := range []string{"after-ledger:4", "after-rebuild:1", "before-swap-ledger", "after-swap-ledger", "after-drop-name"} {
		next := 1 - current
		s.define(versions[next])
		env := s.Env
		s.Env = append(append([]string{}, env...), "QANAT_KILL_AT="+point)
		if r := s.Run("replay", "shop.clean", "--yes"); r.Code != -1 {
			t.Fatalf("%s: exit %d instead of being killed\n%s", point, r.Code, r.Err)
		}
		s.Env = env
		visible := queries[current]
		if point == "after-swap-ledger" || point == "after-drop-name" {
			visible = queries[next]
		}
		s.same("processing.shop.orders", visible("true"))
		if said := s.Must("status", "shop"); !strings.Contains(said, "shop.clean: a replay of units 1-") {
			t.Errorf("%s: status does not tell of the replay:\n%s", point, said)
		}
		s.Must("replay", "shop.clean", "--yes")
		s.same("processing.shop.orders", queries[next]("true"))
		s.clear()
		current = next
		if t.Failed() {
			t.Fatalf("after %s", point)
		}
	}
	s.Env = append(s.Env, "QANAT_KILL_AT=before-swap-ledger")
	s.Run("replay", "shop.clean", "--yes")
	s.Env = s.Env[:len(s.Env)-1]
	s.Must("replay", "shop.clean", "--abandon")
	s.clear()
	s.Must("run", "shop")
	s.same("processing.shop.orders", queries[current]("true"))
}

func TestReplayRefusesWhatItCanNotDo(t *testing.T) {
	t.Parallel()
	s := newRemade(t)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{1, "reads from the source", []string{"shop.landing"}},
		{1, "has no flow \"nope\"", []string{"shop.nope"}},
		{2, "expected PIPELINE.FLOW", []string{"shop"}},
		{2, "expected A..B", []string{"shop.clean", "--units", "x"}},
		{2, "the last one is 6", []string{"shop.clean", "--units", "9"}},
		{2, "exclude each other", []string{"shop.clean", "--units", "1", "--since", "1h"}},
		{2, "exclude each other", []string{"shop.clean", "--into", "a.b.c", "--diff"}},
		{1, "processing, curated or serving", []string{"shop.clean", "--into", "landing.shop.x"}},
		{1, "writes its target as a whole", []string{"shop.totals", "--units", "1"}},
		{1, "writes its target as a whole", []string{"shop.totals", "--since", "1h"}},
		{2, "expected a time such as", []string{"shop.clean", "--since", "yesterday"}},
	} {
		r := s.Run(append([]string{"replay"}, c.args...)...)
		if r.Code != c.code || !strings.Contains(r.Err, c.says) {
			t.Errorf("replay %s: exit %d\n%s\nwant exit %d and %q", strings.Join(c.args, " "), r.Code, r.Err, c.code, c.says)
		}
	}
	s.same("processing.shop.orders", doubled("true"))
}

// Real flights, whose file is gone by the time of the replay: the target ends as DuckDB says of the file, and the accounts as if the
// pipeline had been right from the start.
func TestReplayOfFlightsNeedsNoSource(t *testing.T) {
	t.Parallel()
	file := someFlights(t, 300_000)
	f := newFlights(t, file)
	landed := filepath.Join(t.TempDir(), "landed.parquet")
	copyFile(t, file, landed)
	f.Env = append(f.Env, "FLIGHTS_FILE="+landed)
	s := &remade{Project: f.Project, t: t}
	const wrong, correct = "delay between 0 and 600", "delay between -60 and 600"
	s.edit("pipelines/air.yaml", func(text string) string { return strings.Replace(text, correct, wrong, 1) })
	f.Must("run", "air", "--env", "kills")
	s.edit("pipelines/air.yaml", func(text string) string { return strings.Replace(text, wrong, correct, 1) })
	if err := os.Remove(landed); err != nil {
		t.Fatal(err)
	}
	f.Must("replay", "air.flights", "--env", "kills", "--yes")
	if diff := cmp.Diff(f.duck.line(digest("clean", cleanColumns)), f.answer(digest("processing.air.flights", cleanColumns))); diff != "" {
		t.Errorf("count, sums and digest (- expected, + there):\n%s", diff)
	}
	f.checkQuarantine()
	if diff := cmp.Diff(f.expected()["air.flights"], f.status().accounts()["air.flights"]); diff != "" {
		t.Errorf("the accounts differ (- expected, + of qanat status):\n%s", diff)
	}
	f.Must("replay", "air.daily", "--env", "kills", "--yes")
	f.duck.same("days", "daily", f.table("curated.air.daily", dailyColumns))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
