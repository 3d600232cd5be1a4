package broker

import (
	"fmt"
	"testing"
	"time"
)

func TestJournalKeepsWhatIsNotedInItsOrder(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	s := startServer(ctx, t)
	b := connect(ctx, t, Settings{Server: s})
	j, err := b.Journal(ctx, "decisions")
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Read(ctx, time.Time{}, func(e Entry) bool { t.Errorf("there is %+v", e); return true }); err != nil {
		t.Fatal(err)
	}
	const entries = 600
	var middle time.Time
	for n := range entries {
		if err := j.Add(ctx, fmt.Sprint(n), fmt.Appendf(nil, "entry %d", n)); err != nil {
			t.Fatal(err)
		}
		if n == 300 {
			middle = time.Now()
		}
	}
	if err := j.Add(ctx, "599", []byte("again")); err != nil { // an answer that got lost
		t.Fatal(err)
	}
	again, err := connect(ctx, t, Settings{Server: s}).Journal(ctx, "decisions")
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	err = again.Read(ctx, time.Time{}, func(e Entry) bool {
		if e.ID != fmt.Sprint(next) || string(e.Body) != fmt.Sprintf("entry %d", next) || e.Time.IsZero() {
			t.Errorf("entry %d is %q %q", next, e.ID, e.Body)
		}
		next++
		return true
	})
	if err != nil || next != entries {
		t.Errorf("%d entries, %v", next, err)
	}
	var some []string
	err = again.Read(ctx, middle, func(e Entry) bool { some = append(some, e.ID); return len(some) < 2 })
	if err != nil || len(some) != 2 || some[0] != "301" {
		t.Errorf("from the middle: %q, %v", some, err)
	}
	if logs, err := b.Logs(ctx); err != nil || len(logs) != 0 {
		t.Errorf("a journal is no log: %q, %v", logs, err)
	}
	b.Close()
	if err := j.Add(ctx, "x", nil); err == nil {
		t.Error("a journal without a connection takes entries")
	}
}
