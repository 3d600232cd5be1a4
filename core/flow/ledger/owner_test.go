package ledger_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qanat-data/qanat/core/flow/ledger"
)

func owner(t *testing.T, l *ledger.Ledger, flow string) ledger.Owner {
	t.Helper()
	o, _, err := l.Owner(t.Context(), flow)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAFlowIsTakenOnlyFromTheOwnerThatWasJudged(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		one, other := d.ledger(t), d.ledger(t)
		epoch, err := one.TakeOver(t.Context(), "p.f", "one", 0, ledger.Owner{})
		if err != nil {
			t.Fatal(err)
		}
		judged := owner(t, other, "p.f")
		if judged.Silent < 0 || judged.Silent > time.Minute {
			t.Errorf("silent for %s after a sign of life just now", judged.Silent)
		}
		if err := one.Beat(t.Context(), "p.f", epoch); err != nil {
			t.Fatal(err)
		}
		_, err = other.TakeOver(t.Context(), "p.f", "other", 0, judged)
		if owned, ok := errors.AsType[*ledger.OwnedError](err); !ok || owned.Owner.Name != "one" {
			t.Fatalf("an owner that was heard meanwhile: %v, expected an OwnedError of it", err)
		}
		if err := one.Check(t.Context(), "p.f", epoch); err != nil {
			t.Fatalf("after a takeover that was refused: %v", err)
		}
		if now, err := other.TakeOver(t.Context(), "p.f", "other", 0, owner(t, other, "p.f")); err != nil || now <= epoch {
			t.Fatalf("epoch %d after %d, %v", now, epoch, err)
		}
		if err := one.Beat(t.Context(), "p.f", epoch); !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("the owner before: %v, expected it to be fenced out", err)
		}
	})
}

func TestAReleasedFlowAndAnOwnOneAreFree(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		first := takeOver(t, l, "p.f")
		again, err := l.TakeOver(t.Context(), "p.f", "me", 0, ledger.Owner{})
		if err != nil || again <= first {
			t.Fatalf("again by its owner: epoch %d after %d, %v", again, first, err)
		}
		if err := l.Release(t.Context(), "p.f", again); err != nil {
			t.Fatal(err)
		}
		if o := owner(t, l, "p.f"); o.Name != "" || o.Epoch != again {
			t.Errorf("after the release: %+v", o)
		}
		if _, err := l.TakeOver(t.Context(), "p.f", "other", 0, ledger.Owner{}); err != nil {
			t.Errorf("a released flow: %v", err)
		}
	})
}

func TestOfRunnersThatComeAtOnceOneTakesTheFlow(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		takeOver(t, l, "p.f")
		judged := owner(t, l, "p.f")
		const runners = 8
		var mu sync.Mutex
		taken := map[string]error{}
		var all sync.WaitGroup
		for i := range runners {
			name, other := strings.Repeat("x", i+1), d.ledger(t)
			all.Go(func() {
				_, err := other.TakeOver(t.Context(), "p.f", name, 0, judged)
				mu.Lock()
				defer mu.Unlock()
				taken[name] = err
			})
		}
		all.Wait()
		winner := owner(t, l, "p.f").Name
		for name, err := range taken {
			_, refused := errors.AsType[*ledger.OwnedError](err)
			if refused == (name == winner) {
				t.Errorf("%s: %v, and the flow is run by %s", name, err, winner)
			}
		}
	})
}

func TestNoUnitIsCommittedBehindATakeOver(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		writing, taking := d.ledger(t), d.ledger(t)
		for range 5 {
			epoch, err := writing.TakeOver(t.Context(), "p.f", "writer", 0, owner(t, writing, "p.f"))
			if err != nil {
				t.Fatal(err)
			}
			last, _, err := writing.Last(t.Context(), "p.f")
			if err != nil {
				t.Fatal(err)
			}
			began := make(chan struct{})
			var writer sync.WaitGroup
			writer.Go(func() {
				var once sync.Once
				for seq := last.Seq + 1; err == nil; seq++ {
					err = writing.Append(t.Context(), unit("p.f", epoch, seq))
					once.Do(func() { close(began) })
				}
			})
			<-began
			for tried := true; tried; { // SQLite doesn't queue those who wait for it: a busy writer can keep one away for long
				_, err := taking.TakeOver(t.Context(), "p.f", "taker", 0, owner(t, taking, "p.f"))
				if tried = ledger.Busy(err); err != nil && !tried {
					t.Fatal(err)
				}
			}
			seen, _, lookErr := taking.Last(t.Context(), "p.f")
			writer.Wait()
			if !errors.Is(err, ledger.ErrFenced) || lookErr != nil {
				t.Fatalf("the writer ended with %v, the look with %v", err, lookErr)
			}
			if now, _, err := taking.Last(t.Context(), "p.f"); err != nil || now.Seq != seen.Seq {
				t.Fatalf("unit %d was the last after the takeover, now it is %d (%v)", seen.Seq, now.Seq, err)
			}
		}
	})
}

func TestOfFlowsThatWouldWriteLandingAtOnceOneMay(t *testing.T) {
	onEach(t, func(t *testing.T, d database) {
		l := d.ledger(t)
		for _, dataset := range []string{"landing.a.b", "landing.a.c", "landing.a.d"} {
			var all sync.WaitGroup
			for _, flow := range []string{"p.one", "p.two", "p.three", "p.four"} {
				all.Go(func() {
					err := l.AddWriter(t.Context(), ledger.Writer{Dataset: dataset, Flow: flow, Mode: "append"})
					if err != nil && !strings.Contains(err.Error(), "is written by flow") {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if writers, err := l.Writers(t.Context(), dataset); err != nil || len(writers) != 1 {
				t.Errorf("%s has the writers %v, %v", dataset, writers, err)
			}
		}
	})
}
