package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/qanat-data/qanat/core/engine"
	"github.com/qanat-data/qanat/core/zone"
)

const often = `upkeep:
- datasets: [landing.*.*, processing.*.*]
  every: 5
  compact: {files: 2}
  snapshots: {keep: 1, younger_than: 1ms, most: 1}
`

// smallUnits makes the pipeline commit often.
func smallUnits() string {
	text := strings.Replace(pipeline, "rows: 5000", "rows: 5000, batch_rows: 100, checkpoint_rows: 100", 1)
	text = strings.Replace(text, `landing: {dataset: "landing.e.{stream}"}`, `landing: {dataset: "landing.e.{stream}", commit: {rows: 100}}`, 1)
	return text + "  commit: {rows: 100}\n"
}

func started(t *testing.T, files map[string]string) *engine.Project {
	t.Helper()
	project, err := openProject(t, files)
	if err != nil {
		t.Fatal(err)
	}
	if err := project.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return project
}

func runOnce(t *testing.T, project *engine.Project) {
	t.Helper()
	run, _, err := project.Prepare(t.Context(), project.Bundle.Pipelines[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Go(t.Context(), make(chan struct{})); err != nil {
		t.Fatal(err)
	}
}

func TestARunLooksAfterItsDatasets(t *testing.T) {
	project := started(t, map[string]string{"qanat.yaml": projectFile(often), "p.yaml": smallUnits()})
	runOnce(t, project)
	for _, text := range []string{"landing.e.events", "processing.e.events"} {
		name, err := zone.ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		dataset, err := project.Zones().Dataset(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		commits, err := dataset.Commits(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last, ours, err := project.Ledger().TakeUpkeep(t.Context(), text, "test", time.Minute)
		if err != nil || !ours || commits < 10 || commits-last.Commits >= 5 {
			t.Errorf("%s: %d commits, %d when it was last looked after by %q (%v)", text, commits, last.Commits, last.Owner, err)
		}
		view, err := project.Ledger().View(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		files, err := dataset.Files(t.Context(), view.Snapshot) // readers gain from what upkeep did
		if err != nil || len(files) > 8 {
			t.Errorf("%s: readers are sent to %d files, %v", text, len(files), err)
		}
		var rows int64
		for _, f := range files {
			rows += f.Rows
		}
		if rows != 4950 {
			t.Errorf("%s: %d rows", text, rows)
		}
	}
}

func TestUpkeepReportsEveryDataset(t *testing.T) {
	project := started(t, map[string]string{"qanat.yaml": projectFile(often), "p.yaml": pipeline})
	runOnce(t, project)
	dry, err := project.Upkeep(t.Context(), engine.UpkeepRequest{DryRun: true})
	if err != nil || len(dry.Datasets) != 3 || !dry.Datasets[0].DryRun {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	report, err := project.Upkeep(t.Context(), engine.UpkeepRequest{Datasets: []string{"landing.*.*"}})
	if err != nil || len(report.Datasets) != 1 || report.Datasets[0].Dataset != "landing.e.events" {
		t.Errorf("report: %+v, %v", report, err)
	}
	for _, patterns := range [][]string{{"landing"}, {"curated.*.*"}} {
		if _, err := project.Upkeep(t.Context(), engine.UpkeepRequest{Datasets: patterns}); err == nil {
			t.Errorf("patterns %q were taken", patterns)
		}
	}
	if _, ours, err := project.Ledger().TakeUpkeep(t.Context(), "landing.e.events", "somebody", time.Minute); err != nil || !ours {
		t.Fatal(ours, err)
	}
	report, err = project.Upkeep(t.Context(), engine.UpkeepRequest{Datasets: []string{"landing.e.events"}})
	if err != nil || len(report.Datasets[0].Kept) != 1 || !strings.Contains(report.Datasets[0].Kept[0], "somebody") {
		t.Errorf("report: %+v, %v", report, err)
	}
}

// A dataset with a key is looked after by its commits though others, by the same policy, are not yet.
func TestARunAppliesTheKeysOfUpsertsInTime(t *testing.T) {
	text := strings.Replace(smallUnits(), "rows: 5000", "rows: 3000", 1) + "  write: {mode: upsert, key: [region]}\n"
	project := started(t, map[string]string{"qanat.yaml": projectFile(""), "p.yaml": text})
	runOnce(t, project)
	for text, due := range map[string]int64{"landing.e.events": 50, "processing.e.events": 10} {
		name, err := zone.ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		dataset, err := project.Zones().Dataset(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		commits, err := dataset.Commits(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last, ours, err := project.Ledger().TakeUpkeep(t.Context(), text, "test", time.Minute)
		if err != nil || !ours || commits < 10 || commits-last.Commits >= due || (due == 50) != (last.Commits == 0) {
			t.Errorf("%s: %d commits, %d when it was last looked after (%t, %v)", text, commits, last.Commits, ours, err)
		}
		if keys := dataset.Head().Keys; keys >= 5*due {
			t.Errorf("%s: %d keys wait", text, keys)
		}
	}
	report, err := project.Status(t.Context(), "p.")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for _, d := range report.Datasets {
		rows[d.Name] = d.Rows
	}
	if rows["processing.e.events"] != 5 || rows["landing.e.events"] != 2970 {
		t.Errorf("rows by the report: %v", rows)
	}
}
