package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/surroundings"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

func TestFailuresThatMayPassAreTriedAgain(t *testing.T) {
	t.Parallel()
	store := &zone.UnavailableError{Server: "s3:9000", Passing: true, Err: errors.New("503 SlowDown")}
	for name, c := range map[string]struct {
		err   error
		again bool
	}{
		"surroundings that come back":        {err: fmt.Errorf("commit: %w", store), again: true},
		"surroundings that stay as they are": {err: &zone.UnavailableError{Server: "s3:9000", Err: errors.New("403")}},
		"a runner that was cut off":          {err: &tenure.CutOffError{Flow: "f", Err: io.EOF}, again: true},
		"a plugin's word":                    {err: sdk.Retryable(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, 0), again: true},
		"a plugin's last word":               {err: sdk.Fatal(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})},
		"a crash":                            {err: &pluginhost.CrashError{Kind: "sink", Name: "x"}, again: true},
		"too much memory":                    {err: &pluginhost.MemoryError{Kind: "sink", Name: "x"}},
		"a lost log":                         {err: fmt.Errorf("read: %w", broker.ErrLogNotFound), again: true},
		"a gap":                              {err: &broker.GapError{First: 1, Last: 2}, again: true},
		"a cancelled context":                {err: context.Canceled},
		"a fence":                            {err: errors.Join(ledger.ErrFenced, store)},
		"a hold":                             {err: &HeldError{Flow: "f", Seq: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := transient(c.err); got != c.again {
				t.Errorf("transient: %v, want %v", got, c.again)
			}
		})
	}
}

func testTries(patience time.Duration) *tries {
	return newTries("f", &Runtime{Progress: progress.New("f"), Patience: patience})
}

var errStore = &zone.UnavailableError{Server: "s3:9000", Passing: true, Err: errors.New("503 SlowDown")}

func TestSurroundingsAreWaitedForAsLongAsThePatienceLasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const patience = time.Minute
		tries, began := testTries(patience), time.Now()
		for {
			tries.began = time.Now()
			time.Sleep(time.Second) // the session
			pause, end := tries.next(errStore)
			if end != nil {
				gaveUp, ok := errors.AsType[*surroundings.Error](end)
				if !ok || gaveUp.For < patience || !errors.Is(end, error(errStore)) || !strings.Contains(end.Error(), "s3:9000 for 1m") {
					t.Errorf("it ended with %v", end)
				}
				break
			}
			if note := tries.runtime.Progress.Of("f").Note; note != "waiting for the object store at s3:9000, trying again: 503 SlowDown" {
				t.Errorf("the note is %q", note)
			}
			time.Sleep(pause)
		}
		if waited := time.Since(began); waited < patience || waited > patience+10*time.Second {
			t.Errorf("it waited for %v, want %v", waited, patience)
		}
	})
}

func TestAFlowThatComesFurtherBeginsToCountAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const patience = time.Minute
		tries := testTries(patience)
		for range 20 { // an outage of half a minute, and then a unit
			for range 3 {
				if _, end := tries.next(errStore); end != nil {
					t.Fatal(end)
				}
				time.Sleep(10 * time.Second)
			}
			tries.progress()
		}
		for range 5 { // or a session that has gone well for long, without a unit
			tries.began = time.Now()
			time.Sleep(patience + recovered + time.Second)
			if _, end := tries.next(errStore); end != nil {
				t.Fatal(end)
			}
		}
	})
}

func TestPluginsHaveAttemptsAndNotTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries, failure := testTries(time.Millisecond), sdk.Retryable(errors.New("not now"), 0)
		for range 6 {
			pause, end := tries.next(failure)
			if end != nil {
				t.Fatal(end)
			}
			time.Sleep(pause)
		}
		_, end := tries.next(failure)
		if end == nil || surroundings.Caused(end) || !errors.Is(end, failure) {
			t.Errorf("it ended with %v", end)
		}
	})
}

func TestWhatDoesNotPassIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	_, end := testTries(time.Hour).next(&zone.UnavailableError{Server: "s3:9000", Err: errors.New("403 AccessDenied")})
	if end == nil || !surroundings.Caused(end) || end.Error() != "the object store at s3:9000: object store at s3:9000: 403 AccessDenied" {
		t.Errorf("it ended with %v", end)
	}
}
