package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qanat-data/qanat/sdk"
)

func TestBackoffDoublesUpToItsBoundAndEnds(t *testing.T) {
	t.Parallel()
	r := Backoff{Attempts: 5, Base: time.Second, Max: 5 * time.Second}.Begin()
	var waits []time.Duration
	for {
		wait, again := r.Next(&CrashError{})
		if !again {
			break
		}
		waits = append(waits, wait)
	}
	want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Error(diff)
	}
	r.Progress()
	if wait, again := r.Next(&CrashError{}); !again || wait != time.Second {
		t.Errorf("after progress: %v, %v", wait, again)
	}
}

func TestBackoffWaitsAsLongAsThePluginAsks(t *testing.T) {
	t.Parallel()
	r := Backoff{Attempts: 1, Base: time.Second, Max: 2 * time.Second, Jitter: 1}.Begin()
	wait, again := r.Next(fmt.Errorf("wrapped: %w", sdk.Retryable(errors.New("later"), time.Hour)))
	if !again || wait != time.Hour {
		t.Errorf("got %v, %v", wait, again)
	}
}

func TestJitterTakesOnlyItsPart(t *testing.T) {
	t.Parallel()
	for range 100 {
		wait, _ := Backoff{Attempts: 1, Base: time.Second, Max: time.Minute, Jitter: 0.2}.Begin().Next(&CrashError{})
		if wait < 800*time.Millisecond || wait > time.Second {
			t.Fatalf("got %v, want 0.8 s to 1 s", wait)
		}
	}
}

func TestWaitReturnsErrorsThatNoAttemptWillMend(t *testing.T) {
	t.Parallel()
	r := DefaultBackoff().Begin()
	for _, err := range []error{
		sdk.Fatal(errors.New("no")), sdk.ConfigError("/path", "no"), sdk.Fenced(3), &ProtocolError{}, &MemoryError{}, context.Canceled, ErrClosed,
	} {
		if got := r.Wait(t.Context(), err); !errors.Is(got, err) {
			t.Errorf("%T: got %v", err, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Wait(ctx, &DeadlineError{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := (Backoff{Attempts: 1}).Begin().Wait(t.Context(), &DeadlineError{}); err != nil {
		t.Errorf("got %v after the wait", err)
	}
}
