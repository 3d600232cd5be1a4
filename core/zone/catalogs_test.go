package zone_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/core/instance"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest"
	"github.com/qanat-data/qanat/core/zone/zonetest/restcatalog"
	"github.com/qanat-data/qanat/internal/pgtest"
)

// What commits, fences, takes back, holds and lists depends on the catalog; it is tested on each.
var onOtherCatalogs = map[string]func(*testing.T){
	"TestCommittedUnitIsReadBack":                     TestCommittedUnitIsReadBack,
	"TestUnitIsCommittedOnce":                         TestUnitIsCommittedOnce,
	"TestUnitWithoutRowsMovesTheHead":                 TestUnitWithoutRowsMovesTheHead,
	"TestRacingWritersOfOneUnitCommitItOnce":          TestRacingWritersOfOneUnitCommitItOnce,
	"TestFlowsShareAnAppendDataset":                   TestFlowsShareAnAppendDataset,
	"TestOverwriteSwapsEveryRowInOneSnapshot":         TestOverwriteSwapsEveryRowInOneSnapshot,
	"TestCheckOwnerStopsACommit":                      TestCheckOwnerStopsACommit,
	"TestCancelledCommitLeavesNoDoubt":                TestCancelledCommitLeavesNoDoubt,
	"TestZombieFailsAfterFence":                       TestZombieFailsAfterFence,
	"TestFenceBeatsACommitUnderWay":                   TestFenceBeatsACommitUnderWay,
	"TestAppendFollowsAnotherFlowAndOverwriteDoesNot": TestAppendFollowsAnotherFlowAndOverwriteDoesNot,
	"TestFenceIsIdempotentAndNeverGoesBack":           TestFenceIsIdempotentAndNeverGoesBack,
	"TestMarksOfEveryFlowAreCarriedOn":                TestMarksOfEveryFlowAreCarriedOn,
	"TestUndoKeepsForeignRows":                        TestUndoKeepsForeignRows,
	"TestUndoOfAnOverwriteBringsRowsBack":             TestUndoOfAnOverwriteBringsRowsBack,
	"TestBranchHoldsAUnitUntilItIsReleased":           TestBranchHoldsAUnitUntilItIsReleased,
	"TestZombieCanNotWriteToABranch":                  TestZombieCanNotWriteToABranch,
	"TestReleaseAfterATakeover":                       TestReleaseAfterATakeover,
	"TestDroppedBranchLeavesMain":                     TestDroppedBranchLeavesMain,
	"TestOldAndNewRowsAreReadInTheEvolvedSchema":      TestOldAndNewRowsAreReadInTheEvolvedSchema,
	"TestEvolveTwiceIsTheSameAsOnce":                  TestEvolveTwiceIsTheSameAsOnce,
	"TestScanOfUnitRangesIsExact":                     TestScanOfUnitRangesIsExact,
	"TestDatasetsAreListedAndFound":                   TestDatasetsAreListedAndFound,
	"TestCreateRefuses":                               TestCreateRefuses,
	"TestMetadataStaysBounded":                        TestMetadataStaysBounded,
	"TestDropLeavesNothingAndTouchesNoOtherDataset":   TestDropLeavesNothingAndTouchesNoOtherDataset,
	"TestRebuildReplacesTheFlowsUnitsAndNothingElse":  TestRebuildReplacesTheFlowsUnitsAndNothingElse,
	"TestAnUpsertReplacesDeletesAndAdds":              TestAnUpsertReplacesDeletesAndAdds,
	"TestAnUpsertIsCommittedOnce":                     TestAnUpsertIsCommittedOnce,
	"TestUndoBringsOldVersionsBack":                   TestUndoBringsOldVersionsBack,
	"TestEvolveKeepsTheKey":                           TestEvolveKeepsTheKey,
	"TestAHeldUpsertIsReleased":                       TestAHeldUpsertIsReleased,
	"TestNothingIsLeftOfKeysAndVectors":               TestNothingIsLeftOfKeysAndVectors,
}

const otherCatalogs, onPostgres, onREST = "TestOnOtherCatalogs", "postgres", "rest"

func TestOnOtherCatalogs(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{onPostgres, onREST} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for name, test := range onOtherCatalogs {
				t.Run(name, test)
			}
		})
	}
}

// catalogOf is the catalog that a test is run on, by the name it is run by.
func catalogOf(t testing.TB) []zonetest.Option {
	t.Helper()
	switch {
	case strings.HasPrefix(t.Name(), otherCatalogs+"/"+onPostgres+"/"):
		return []zonetest.Option{postgres(t)}
	case strings.HasPrefix(t.Name(), otherCatalogs+"/"+onREST+"/"):
		return []zonetest.Option{zonetest.WithREST(t, nil)}
	}
	return nil
}

func postgres(t testing.TB) zonetest.Option {
	t.Helper()
	return func(s *zone.Settings) {
		db, err := instance.OpenPostgres(t.Context(), pgtest.Shared(t).Database(t), "qanat_test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		s.DB, s.Dialect = db, zone.Postgres
	}
}

func TestProcessesMayOpenACatalogInPostgresAtOnce(t *testing.T) {
	t.Parallel()
	settings := server(t, postgres(t))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			z, err := zone.Open(t.Context(), settings)
			if err != nil {
				t.Error(err)
				return
			}
			n := zone.Name{Zone: zone.Processing, Namespace: "shop", Dataset: "orders"}
			if _, err := z.Create(t.Context(), n, orders, zone.CreateOptions{}); err != nil && !errors.Is(err, zone.ErrExists) {
				t.Error(err)
			}
			if err := z.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A unit that the catalog has taken is there once, whatever the catalog said of it; one that it has not taken can be committed again.
func TestACatalogThatLiesIsLookedAt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault restcatalog.Fault
		there bool // the first commit goes through
	}{
		"it fails after it has committed":         {restcatalog.Fault{Status: 500, Done: true}, true},
		"it is overloaded after it has committed": {restcatalog.Fault{Status: 503, Done: true}, true},
		"a gateway gives up on it":                {restcatalog.Fault{Status: 504, Done: true}, true},
		"the connection ends after the commit":    {restcatalog.Fault{Cut: true, Done: true}, true},
		"it calls its own commit a conflict":      {restcatalog.Fault{Status: 409, Done: true}, true},
		"it sees a conflict where there is none":  {restcatalog.Fault{Status: 409}, true},
		"it is overloaded":                        {restcatalog.Fault{Status: 503}, false},
		"it is asked too often":                   {restcatalog.Fault{Status: 429}, false},
		"it fails":                                {restcatalog.Fault{Status: 500}, false},
		"the connection ends before the commit":   {restcatalog.Fault{Cut: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lies atomic.Int32
			z := zonetest.Open(t, server(t, zonetest.WithREST(t, func(s *restcatalog.Settings, _ *zone.REST) {
				s.Fault = func(o restcatalog.Operation) restcatalog.Fault {
					if o == restcatalog.Commit && lies.Add(-1) == 0 {
						return test.fault
					}
					return restcatalog.Fault{}
				}
			})))
			d := create(t, z, "processing.shop.orders", orders)
			mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1)
			lies.Store(1)
			second := zone.Mark{Flow: "f", Epoch: 1, Seq: 2}
			_, err := unit(t, d, second, zone.Append, 2, 3)
			if there := err == nil; there != test.there {
				t.Fatalf("the commit ended with %v", err)
			}
			if err != nil && !zone.CatalogBusy(err) {
				t.Errorf("%v, expected a failure that may pass", err)
			}
			if _, err := unit(t, d, second, zone.Append, 2, 3); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]int64{1, 2, 3}, ids(t, d, zone.ScanRequest{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A commit that the catalog carries out long after its runner was given up must not come behind the fence.
func TestACommitThatComesLateIsFencedOut(t *testing.T) {
	t.Parallel()
	var late atomic.Bool
	arrived := make(chan struct{})
	z := zonetest.Open(t, server(t, zonetest.WithREST(t, func(s *restcatalog.Settings, _ *zone.REST) {
		s.Fault = func(o restcatalog.Operation) restcatalog.Fault {
			if o == restcatalog.Commit && late.CompareAndSwap(true, false) {
				close(arrived)
				return restcatalog.Fault{Delay: 300 * time.Millisecond}
			}
			return restcatalog.Fault{}
		}
	})))
	d := create(t, z, "processing.shop.orders", orders)
	mustUnit(t, d, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1)
	b := orderBatch(memory.DefaultAllocator, 2)
	defer b.Release()
	files := stage(t, d, "f", 2, b)
	late.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := d.Commit(ctx, zone.CommitRequest{Files: files, Mark: zone.Mark{Flow: "f", Epoch: 1, Seq: 2}}); err == nil {
		t.Fatal("the commit went through")
	}
	taker, err := d.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := taker.Fence(t.Context(), "f", 2); err != nil {
		t.Fatal(err)
	}
	mustUnit(t, taker, zone.Mark{Flow: "f", Epoch: 2, Seq: 2}, zone.Append, 20)
	for until := time.Now().Add(time.Second); time.Now().Before(until); { // the late commit comes meanwhile
		if diff := cmp.Diff([]int64{1, 20}, ids(t, taker, zone.ScanRequest{})); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestACatalogThatPutsTablesElsewhereIsRefused(t *testing.T) {
	t.Parallel()
	elsewhere := ""
	z := zonetest.Open(t, server(t, zonetest.WithREST(t, func(s *restcatalog.Settings, _ *zone.REST) {
		s.Locate = func(_ []string, name, wanted string) string {
			if name == "inside" {
				return wanted + "/as/the/catalog/likes"
			}
			return elsewhere
		}
	})))
	inside := create(t, z, "processing.shop.inside", orders)
	mustUnit(t, inside, zone.Mark{Flow: "f", Epoch: 1, Seq: 1}, zone.Append, 1, 2)
	if !strings.HasSuffix(inside.Location(), "/as/the/catalog/likes") {
		t.Errorf("it lies at %q", inside.Location())
	}
	// In the bucket of another zone, whose retention and rights are others.
	elsewhere = strings.Replace(inside.Location(), "processing", "landing", 1)
	n := zone.Name{Zone: zone.Processing, Namespace: "shop", Dataset: "outside"}
	if _, err := z.Create(t.Context(), n, orders, zone.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "allow that location") {
		t.Errorf("%v, expected words on the location", err)
	}
	if _, err := z.Dataset(t.Context(), n); !errors.Is(err, zone.ErrNotFound) {
		t.Errorf("what was refused: %v, expected it to be gone", err)
	}
}

func TestDatasetsOfAnotherProjectInTheCatalogAreRefused(t *testing.T) {
	t.Parallel()
	settings := server(t, zonetest.WithREST(t, nil))
	settings.Project = "one"
	create(t, zonetest.Open(t, settings), "processing.shop.orders", orders)
	n := zone.Name{Zone: zone.Processing, Namespace: "shop", Dataset: "orders"}
	for project, refused := range map[string]bool{"one": false, "other": true} {
		settings.Project = project
		_, err := zonetest.Open(t, settings).Dataset(t.Context(), n)
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), `belongs to project "one"`) {
			t.Errorf("project %s: %v", project, err)
		}
	}
}

func TestRESTCatalogsAreReachedAsTheyWant(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-the-catalog"
	protected := func(s *restcatalog.Settings) { s.Token, s.ID, s.Secret = "token-of-the-catalog", "qanat", secret }
	for name, change := range map[string]func(*restcatalog.Settings, *zone.REST){
		"open":       nil,
		"prefix":     func(s *restcatalog.Settings, _ *zone.REST) { s.Prefix = "some/catalog" },
		"warehouse":  func(s *restcatalog.Settings, r *zone.REST) { s.Warehouse, r.Warehouse = "lake", "lake" },
		"token":      func(s *restcatalog.Settings, r *zone.REST) { protected(s); r.Token = s.Token },
		"credential": func(s *restcatalog.Settings, r *zone.REST) { protected(s); r.Credential = "qanat:" + secret },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := zonetest.Open(t, server(t, zonetest.WithREST(t, change)))
			var want []string
			for i := range 23 { // more than one page
				n := fmt.Sprintf("processing.shop.orders_%02d", i)
				create(t, z, n, orders)
				want = append(want, n)
			}
			names, err := z.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range names {
				got = append(got, n.String())
			}
			if diff := cmp.Diff(want, slices.Sorted(slices.Values(got))); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, change := range map[string]func(*restcatalog.Settings, *zone.REST){
		"no token":           func(s *restcatalog.Settings, _ *zone.REST) { protected(s) },
		"a wrong token":      func(s *restcatalog.Settings, r *zone.REST) { protected(s); r.Token = "wrong-" + secret },
		"a wrong credential": func(s *restcatalog.Settings, r *zone.REST) { protected(s); r.Credential = "qanat:wrong-" + secret },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := zone.Open(t.Context(), server(t, zonetest.WithREST(t, change)))
			failure, ok := errors.AsType[*zone.CatalogError](err)
			if !ok || failure.Passing || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "iceberg catalog at http://127") {
				t.Errorf("%v, expected the catalog to be blamed, without secrets", err)
			}
		})
	}
}
