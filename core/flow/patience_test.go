package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/progress"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

func TestFailuresAreBlamedOnWhoeverCausedThem(t *testing.T) {
	t.Parallel()
	store := &zone.UnavailableError{Server: "s3:9000", Passing: true, Err: errors.New("503 SlowDown")}
	for name, c := range map[string]struct {
		err          error
		what         string // empty: not the surroundings
		passes, last bool   // it may pass; nothing else makes it worth another try
	}{
		"the store":                 {err: fmt.Errorf("commit: %w", store), what: "the object store at s3:9000", passes: true},
		"wrong keys":                {err: &zone.UnavailableError{Server: "s3:9000", Err: errors.New("403")}, what: "the object store at s3:9000"},
		"NATS":                      {err: &broker.UnavailableError{Server: "NATS at n:4222", Err: io.EOF}, what: "NATS at n:4222", passes: true},
		"NATS while cancelled":      {err: &broker.UnavailableError{Server: "NATS at n:4222", Err: context.Canceled}, what: "NATS at n:4222", passes: true},
		"a full disk":               {err: &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, what: "room on the disk", passes: true},
		"a plugin's full disk":      {err: sdk.Fatal(errors.New("write /out/x: no space left on device")), what: "room on the disk", passes: true},
		"a file of somebody else":   {err: &fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, what: "the file system"},
		"the network":               {err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, what: state, passes: true},
		"a runner that was cut off": {err: &tenure.CutOffError{Flow: "f", Err: io.EOF}, what: state, passes: true},
		"a plugin's word":           {err: sdk.Retryable(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, 0), passes: true},
		"a plugin's last word":      {err: sdk.Fatal(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), last: true},
		"a crash":                   {err: &pluginhost.CrashError{Kind: "sink", Name: "x"}, passes: true},
		"too much memory":           {err: &pluginhost.MemoryError{Kind: "sink", Name: "x"}, last: true},
		"a lost log":                {err: fmt.Errorf("read: %w", broker.ErrLogNotFound), passes: true},
		"a gap":                     {err: &broker.GapError{First: 1, Last: 2}, passes: true},
		"a cancelled context":       {err: context.Canceled, last: true},
		"a fence":                   {err: errors.Join(ledger.ErrFenced, store), last: true, what: "the object store at s3:9000"},
		"a hold":                    {err: &HeldError{Flow: "f", Seq: 1}, last: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by, theirs := surroundings(c.err)
			if theirs != (c.what != "") || by.what != c.what {
				t.Errorf("blamed on %q (%v), want %q", by.what, theirs, c.what)
			}
			if got, want := transient(c.err), c.passes && !c.last; got != want {
				t.Errorf("transient: %v, want %v", got, want)
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
				gaveUp, ok := errors.AsType[*SurroundingsError](end)
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
		if end == nil || Surroundings(end) || !errors.Is(end, failure) {
			t.Errorf("it ended with %v", end)
		}
	})
}

func TestWhatDoesNotPassIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	_, end := testTries(time.Hour).next(&zone.UnavailableError{Server: "s3:9000", Err: errors.New("403 AccessDenied")})
	if end == nil || !Surroundings(end) || end.Error() != "the object store at s3:9000: object store at s3:9000: 403 AccessDenied" {
		t.Errorf("it ended with %v", end)
	}
}
