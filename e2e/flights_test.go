package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/e2e/rig"
)

// flights is a project that runs the flights pipeline over a file of flights, and DuckDB's own view of the same files.
type flights struct {
	*rig.Project
	t    *testing.T
	duck *duck
}

// Columns of the files, as name and type.
var (
	airportColumns = []string{"iata VARCHAR", "name VARCHAR", "city VARCHAR", "state VARCHAR", "country VARCHAR", "latitude DOUBLE", "longitude DOUBLE"}
	zipColumns     = []string{"zip_code VARCHAR", "latitude DOUBLE", "longitude DOUBLE", "city VARCHAR", "state VARCHAR", "county VARCHAR"}
	weatherColumns = []string{
		"location VARCHAR", "date DATE", "precipitation DOUBLE", "temp_max DOUBLE", "temp_min DOUBLE", "wind DOUBLE", "weather VARCHAR",
	}
	dailyColumns = []string{
		"origin VARCHAR", "city VARCHAR", "state VARCHAR", "day DATE", "flights BIGINT", "delay BIGINT", "distance BIGINT",
	}
)

// newFlights readies a project over a Parquet file of flights; the small tables are read as they lie.
func newFlights(t *testing.T, file string) *flights {
	t.Helper()
	data := rig.Data(t)
	f := &flights{Project: rig.New(t, "flights"), t: t, duck: openDuck(t)}
	f.Limit = 3 * time.Minute
	f.Env = append(f.Env, "FLIGHTS_DATA="+data, "FLIGHTS_FILE="+file)
	f.duck.exec(fmt.Sprintf("create view flights as from read_parquet('%s')", file))
	for name, columns := range map[string][]string{"airports": airportColumns, "zipcodes": zipColumns, "weather": weatherColumns} {
		f.duck.exec(fmt.Sprintf("create table %s as from %s", name, csvFiles(filepath.Join(data, name+".csv"), columns...)))
	}
	f.duck.exec(`create view clean as select date as departed, date::date as day, origin, destination, delay::int as delay, distance::int as distance
		from flights where delay between -60 and 600 and distance >= 31`)
	f.duck.exec(`create view known as from airports where length(city) > 2 and country = 'USA'`)
	f.duck.exec(`create view daily as
		select c.origin, k.city, k.state, c.day, count(*) as flights, sum(c.delay)::bigint as delay, sum(c.distance)::bigint as distance
		from clean c left join known k on k.iata = c.origin group by all`)
	return f
}

// allFlights is the project over all three million flights.
func allFlights(t *testing.T) *flights {
	t.Helper()
	return newFlights(t, filepath.Join(rig.Data(t), "flights-3m.parquet"))
}

// someFlights cuts the first flights off into a file of their own.
func someFlights(t *testing.T, rows int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flights.parquet")
	openDuck(t).exec(fmt.Sprintf("copy (from read_parquet('%s') limit %d) to '%s' (row_group_size 50000)",
		filepath.Join(rig.Data(t), "flights-3m.parquet"), rows, path))
	return path
}

// account is a stage's account over all units of a flow.
type account struct {
	Name                        string
	In, Out, Rejected, Filtered int64
}

// status is what qanat status says.
type status struct {
	Flows []struct {
		Flow, State string
		Seq         int64
		Epoch       uint64
		Totals      []account
	}
	Datasets []struct {
		Name     string
		Rows     int64
		Snapshot int64
	}
}

func (f *flights) status() status {
	f.t.Helper()
	var s status
	f.JSON(&s, "status", "air")
	return s
}

func (s status) accounts() map[string][]account {
	all := map[string][]account{}
	for _, f := range s.Flows {
		all[f.Flow] = f.Totals
	}
	return all
}

// expected are the accounts that follow from the files.
func (f *flights) expected() map[string][]account {
	f.t.Helper()
	var raw, kept, clean, airports, known, others, days int64
	f.duck.ints(`select (select count(*) from flights), (select count(*) from flights where delay between -60 and 600),
		(select count(*) from clean), (select count(*) from airports), (select count(*) from known),
		(select count(*) from zipcodes) + (select count(*) from weather), (select count(*) from daily)`,
		&raw, &kept, &clean, &airports, &known, &others, &days)
	all := raw + airports + others
	passed := func(name string, rows int64) account { return account{Name: name, In: rows, Out: rows} }
	return map[string][]account{
		"air.landing": {passed("source", all), passed("target", all), passed("log", all), passed("commit", all)},
		"air.flights": {
			passed("read", raw), passed("transform:fields", raw), {Name: "transform:sql", In: raw, Out: kept, Filtered: raw - kept},
			{Name: "checks", In: kept, Out: clean, Rejected: kept - clean}, passed("target", clean), passed("log", clean), passed("commit", clean),
		},
		"air.airports": {
			passed("read", airports), {Name: "checks", In: airports, Out: known, Rejected: airports - known}, passed("target", known),
			passed("log", known), passed("commit", known),
		},
		"air.daily": {
			passed("read", clean+known), {Name: "transform:sql", In: clean + known, Out: days}, passed("target", days),
			passed("log", days), passed("commit", days),
		},
		"air.export":  {passed("read", days), passed("log", days), passed("commit", days)},
		"air.archive": {passed("read", clean), passed("log", clean), passed("commit", clean)},
	}
}

// digest is a query for what a table holds in one row: count, sums, and a sum of hashes that differs if any row does.
func digest(from string, columns string) string {
	return fmt.Sprintf("select count(*) as n, sum(delay)::bigint as delay, sum(distance)::bigint as distance, "+
		"sum(hash(%s)::hugeint)::varchar as rows from %s", columns, from)
}

const (
	rawColumns   = "date, delay, distance, origin, destination"
	cleanColumns = "departed, day, origin, destination, delay, distance"
)

// answer is what qanat query says, without the header.
func (f *flights) answer(query string) string {
	f.t.Helper()
	_, body, _ := strings.Cut(f.Must("query", "-o", "csv", query), "\n")
	return strings.TrimSpace(body)
}

// table is what a dataset holds, as an expression for the test's DuckDB.
func (f *flights) table(dataset string, columns []string) string {
	f.t.Helper()
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i], _, _ = strings.Cut(column, " ")
	}
	return f.duck.csv(f.Must("query", "-o", "csv", fmt.Sprintf("select %s from %s", strings.Join(names, ", "), dataset)), columns...)
}

// check holds everything that the pipeline has left against what DuckDB says of the files.
func (f *flights) check() {
	f.t.Helper()
	if diff := cmp.Diff(f.expected(), f.status().accounts()); diff != "" {
		f.t.Errorf("the accounts differ (- expected, + of qanat status):\n%s", diff)
	}
	for _, of := range []struct{ dataset, view, columns string }{
		{"landing.air.flights", "flights", rawColumns}, {"processing.air.flights", "clean", cleanColumns},
	} {
		if diff := cmp.Diff(f.duck.line(digest(of.view, of.columns)), f.answer(digest(of.dataset, of.columns))); diff != "" {
			f.t.Errorf("count, sums and digest of %s (- expected, + there):\n%s", of.dataset, diff)
		}
	}
	f.duck.same("landed airports", "airports", f.table("landing.air.airports", airportColumns))
	f.duck.same("landed ZIP codes", "zipcodes", f.table("landing.air.zipcodes", zipColumns))
	f.duck.same("landed weather", "weather", f.table("landing.air.weather", weatherColumns))
	f.duck.same("clean airports", "known", f.table("processing.air.airports", airportColumns))
	f.duck.same("days", "daily", f.table("curated.air.daily", dailyColumns))
	f.checkQuarantine()
	f.checkFiles()
}

func (f *flights) checkQuarantine() {
	f.t.Helper()
	want := f.duck.line(`select (select count(*) from flights where delay between -60 and 600 and distance < 31),
		(select count(*) from airports where length(city) <= 2 or country <> 'USA')`)
	got := f.answer(`select (select count(*) from quarantine.air.flights where code = 'range'), (select count(*) from quarantine.air.airports)`)
	if want != got {
		f.t.Errorf("rows of flights and of airports in quarantine: %s, expected %s", got, want)
	}
}

// checkFiles compares what the sinks have written.
func (f *flights) checkFiles() {
	f.t.Helper()
	f.duck.same("exported days", "daily", csvFiles(filepath.Join(f.Dir, "out/daily/daily/*.csv"), dailyColumns...))
	archived := fmt.Sprintf("read_parquet('%s')", filepath.Join(f.Dir, "out/archive/flights/*.parquet"))
	if diff := cmp.Diff(f.duck.line(digest("clean", cleanColumns)), f.duck.line(digest(archived, cleanColumns))); diff != "" {
		f.t.Errorf("count, sums and digest of the archive (- expected, + there):\n%s", diff)
	}
}

func TestFlightsEndAsDuckDBSaysOfTheFiles(t *testing.T) {
	t.Parallel()
	f := allFlights(t)
	f.Must("run", "air")
	f.check()
	const zeros = "select count(*) as n, min(zip_code) as first from %s where zip_code like '0%%'"
	want, got := f.duck.line(fmt.Sprintf(zeros, "zipcodes")), f.answer(fmt.Sprintf(zeros, "landing.air.zipcodes"))
	if want != got || !strings.HasSuffix(got, ",00501") {
		t.Errorf("ZIP codes with leading zeros: %s, expected %s", got, want)
	}
	if again := f.Must("run", "air"); !strings.Contains(again, "air.daily     done   0 ") {
		t.Errorf("a second run has read again what had not changed:\n%s", again)
	}
	f.check()
}

func TestStatusAndQueryAnswerWhileARunGoesOn(t *testing.T) {
	t.Parallel()
	f := newFlights(t, someFlights(t, 1_000_000))
	running := f.Start("run", "air", "--env", "kills")
	eventually(t, "the first unit has landed", func() bool {
		f.alive(running)
		return strings.Contains(running.Err(), "air.landing") && len(f.status().landed()) > 0
	})
	var seen beside
	for answers := 0; ; answers++ {
		select {
		case <-running.Done():
			if end := running.Wait(); end.Code != 0 || answers < 2 {
				t.Errorf("the run: exit %d, answers beside it: %d\n%s", end.Code, answers, end.Err)
			}
			t.Logf("answers beside the run: %d", answers)
			f.check()
			return
		default:
			seen = f.answersAfter(seen)
		}
	}
}

// alive fails the test if the command has ended.
func (f *flights) alive(running *rig.Running) {
	f.t.Helper()
	select {
	case <-running.Done():
		f.t.Fatalf("it ended too early\n%s", running.Err())
	default:
	}
}

// landed are the rows of the landing zone by dataset, of those that have any.
func (s status) landed() map[string]int64 {
	rows := map[string]int64{}
	for _, d := range s.Datasets {
		if strings.HasPrefix(d.Name, "landing.") && d.Rows > 0 {
			rows[d.Name] = d.Rows
		}
	}
	return rows
}

// beside is what status and query have said beside a run.
type beside struct {
	status status
	landed int64
}

// answersAfter asks both, and holds the answers against the last ones: nothing may become less, and status counts what query sees.
func (f *flights) answersAfter(last beside) beside {
	f.t.Helper()
	now := beside{status: f.status()}
	if _, err := fmt.Sscan(f.answer("select count(*) from landing.air.flights"), &now.landed); err != nil {
		f.t.Fatal(err)
	}
	if shown := now.status.landed()["landing.air.flights"]; now.landed < last.landed || now.landed < shown {
		f.t.Errorf("query counts %d flights, before %d, status before %d", now.landed, last.landed, shown)
	}
	before := last.status.accounts()
	for _, flow := range now.status.Flows {
		for i, stage := range before[flow.Flow] {
			if after := flow.Totals[i]; after.Name != stage.Name || after.In < stage.In || after.Out < stage.Out || after.In < after.Out {
				f.t.Errorf("flow %s: status says %+v after %+v", flow.Flow, after, stage)
			}
		}
	}
	return now
}
