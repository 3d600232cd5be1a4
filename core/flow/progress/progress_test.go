package progress

import "testing"

func TestWhoeverWaitsIsWokenByAnUpdateAndNotByANote(t *testing.T) {
	t.Parallel()
	p := New("f")
	changed := p.Changes()
	p.Note("f", func(s *Status) { s.Reading = 5 })
	select {
	case <-changed:
		t.Fatal("a note has woken those who wait")
	default:
	}
	p.Update("f", func(s *Status) { s.State = Running })
	<-changed
	if s := p.Of("f"); s.Reading != 5 || s.State != Running {
		t.Errorf("%+v", s)
	}
}

func TestFlowsHaveEndedWhenEachOfThemHas(t *testing.T) {
	t.Parallel()
	p := New("a", "b")
	set := func(flow string, state State) { p.Update(flow, func(s *Status) { s.State = state }) }
	both := []string{"a", "b"}
	set("a", Failed)
	if all, failed := p.Ended(both); all || failed != "a" {
		t.Errorf("one has failed, the other waits: %v, %q", all, failed)
	}
	set("a", Stopped)
	set("b", Done)
	if all, failed := p.Ended(both); !all || failed != "" {
		t.Errorf("both have ended well: %v, %q", all, failed)
	}
	if all, _ := p.Ended([]string{"a", "later"}); all {
		t.Error("a flow that is not known yet has ended")
	}
}
