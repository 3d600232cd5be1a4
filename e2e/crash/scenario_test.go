package crash_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/qanat-data/qanat/e2e/rig"
)

// scenario is a pipeline of e2e/testdata/crash, and what is known of it beforehand.
type scenario struct {
	name string
	made int64 // rows that the source gives, rejected ones included
	code int   // with which an undisturbed run ends
	// acked is the file in which the source keeps what was acknowledged, empty if it has none.
	acked string
	// final is the file in which the source writes what its tables hold in the end: the flows behind landing replace rows by key, and
	// come to the same.
	final   string
	follows []follower
	// agree is a flow whose followers have one sum of amounts at each of its ledger rows.
	agree string
	// steady says that units are cut alike in every run, so that the net changes are the same, too.
	steady bool
	sinks  map[string]sink // by flow
	// ready prepares a fresh project.
	ready func(*project)
	// recipes lead to points that chance seldom meets.
	recipes []recipe
	plugins []string // the binaries whose processes are killed
}

// follower is a dataset that follows one of the source's tables.
type follower struct {
	table, dataset string
	history        bool // it keeps all versions of the rows
}

// following are the followers of a bank's tables in datasets of the same names.
func following(datasets string, history bool) []follower {
	var all []follower
	for _, table := range []string{"accounts", "branches", "entries", "tellers"} {
		all = append(all, follower{table: table, dataset: datasets + table, history: history})
	}
	return all
}

// sink is where a flow leaves the project.
type sink struct {
	folder   string
	repeats  bool // at_least_once
	replaces bool
}

// step is a run that dies at a point.
type step struct {
	at   string
	env  string // the overlay
	lose bool   // the log is lost before
}

// recipe is a row of steps, each of which must be reached, before the run that nothing disturbs.
type recipe struct {
	name  string
	steps []step
	maybe bool // it depends on which half of the flow is faster whether all steps are reached
	// unknown are flows whose accounts can't be known any more.
	unknown []string
}

const segmentRows, segmentSize = 1200, 250

// narrowLog is what a log of the scenario narrow may hold: far less than a unit has.
const narrowLog = 4 << 20

// booksRows are the changes in the tables of the bank.
const booksRows = 3106

func scenarios() []scenario {
	return []scenario{
		{
			name: "spine", made: 2400, sinks: map[string]sink{"spine.export": {folder: "out/spine"}},
			plugins: []string{"source-generator", "transform-fields", "transform-sql", "check-schema", "sink-file"},
			recipes: []recipe{{
				name: "the sink holds what the log has lost", unknown: []string{"spine.export"},
				steps: []step{{at: "after-sink-commit:1"}, {at: "before-adopt:1", lose: true}, {at: "after-adopt:1", lose: true}},
			}},
		},
		{
			name: "several", made: 3003, acked: "acked",
			plugins: []string{"source-several", "transform-fields"},
			recipes: []recipe{{
				name:  "some datasets hold what the log has lost",
				steps: []step{{at: "after-dataset:1"}, {at: "before-undo:1", lose: true}, {at: "after-undo:1", lose: true}},
			}, {
				name:  "another definition, nothing committed",
				steps: []step{{at: "before-commit:1"}, {at: "before-forget:1", env: "other"}, {at: "after-forget:1", env: "other"}},
			}, {
				name:  "another definition, all is there but the ledger row",
				steps: []step{{at: "before-ledger:1"}, {at: "before-enter-first:1", env: "other"}},
			}},
		},
		{
			name: "sums", made: 1800, sinks: map[string]sink{"sums.report": {folder: "out/sums", replaces: true}},
			plugins: []string{"source-generator", "check-schema", "transform-sql", "sink-file"},
		},
		{
			name: "changes", made: 3812, final: "final", plugins: []string{"source-changes"},
			follows: []follower{
				{table: "accounts", dataset: "processing.changes.accounts"}, {table: "accounts", dataset: "curated.changes.accounts"},
				{table: "accounts", dataset: "processing.changes.history", history: true},
			},
		},
		{
			name: "books", made: booksRows, final: "final", plugins: []string{"source-changes"},
			follows: following("processing.books.", false), agree: "books.fold",
		},
		{
			name: "refused", made: segmentRows, acked: "segments/acked",
			sinks:   map[string]sink{"refused.plain": {folder: "out/plain", repeats: true}, "refused.marked": {folder: "out/marked"}},
			plugins: []string{"source-pruning", "sink-plain"},
			ready: func(p *project) {
				if err := os.CopyFS(filepath.Join(p.Dir, "segments"), os.DirFS(rig.Segments(p.t, segmentRows, segmentSize))); err != nil {
					p.t.Fatal(err)
				}
			},
			recipes: []recipe{{
				name: "a sink without a mark, and no log", unknown: []string{"refused.marked"},
				steps: []step{{at: "after-sink-commit:1"}, {at: "after-sink-commit:1", lose: true}, {at: "before-ledger:4", lose: true}},
			}},
		},
		{
			name: "judged", made: 600, sinks: map[string]sink{"judged.outside": {folder: "out/judged"}},
			plugins: []string{"source-generator", "check-schema", "sink-file"},
		},
		{
			name: "held", made: 600, code: 5, plugins: []string{"source-generator", "check-schema"},
		},
		{
			name: "narrow", made: 10502, acked: "acked", sinks: map[string]sink{"narrow.export": {folder: "out/narrow"}},
			plugins: []string{"source-several", "sink-file"},
			ready:   func(p *project) { p.narrow() },
			recipes: []recipe{{
				name:  "one dataset holds a unit whose frames were purged",
				steps: []step{{at: "after-dataset:1"}, {at: "before-forget:1"}, {at: "after-forget:1"}},
			}, {
				name:  "all datasets hold a unit whose frames were purged",
				steps: []step{{at: "before-ledger:1"}, {at: "before-enter-first:1"}, {at: "before-ledger:1"}},
			}, {
				name:  "the sink holds a unit whose frames were purged",
				steps: []step{{at: "after-sink-commit:1"}, {at: "before-enter-first:1"}},
			}, {
				name: "the same, and another definition of what follows", maybe: true,
				steps: []step{{at: "before-ledger:1"}, {at: "before-forget-rest:1", env: "other"}},
			}, {
				name: "once more", maybe: true,
				steps: []step{{at: "before-ledger:1"}, {at: "after-forget-rest:1", env: "other"}},
			}},
		},
	}
}

func find(t *testing.T, name string) scenario {
	t.Helper()
	for _, s := range scenarios() {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("no scenario %q", name)
	return scenario{}
}
