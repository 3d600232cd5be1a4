package process

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
)

func TestLinesAreCutWhereTheyEndOrGetTooLong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine)
	cases := map[string]struct {
		writes []string
		want   []string
	}{
		"whole":     {[]string{"a\nb\n"}, []string{"a", "b"}},
		"in pieces": {[]string{"a", "b\nc", "d\n"}, []string{"ab", "cd"}},
		"no end":    {[]string{"a\nb"}, []string{"a", "b"}},
		"blank":     {[]string{"\n\na\r\n"}, []string{"a"}},
		"too long":  {[]string{long, "y", "z\nb\n"}, []string{long + "…", "b"}},
		"at limit":  {[]string{long, "\n"}, []string{long}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			l := &lines{emit: func(line string) { got = append(got, line) }}
			for _, w := range c.writes {
				if n, err := l.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("wrote %d, %v", n, err)
				}
			}
			l.flush()
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func tail(text ...string) []string {
	out := &output{log: hclog.NewNullLogger()}
	for _, line := range text {
		out.stderr(line)
	}
	return out.last()
}

func numbered(prefix string, n int) []string {
	text := make([]string, 0, n)
	for i := range n {
		text = append(text, fmt.Sprint(prefix, i))
	}
	return text
}

func TestTailKeepsTheLastLines(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(numbered("line ", 50)[50-tailLines:], tail(numbered("line ", 50)...)); diff != "" {
		t.Error(diff)
	}
}

func TestTailKeepsTheBeginningOfAPanic(t *testing.T) {
	t.Parallel()
	text := append(numbered("line ", 10), "panic: boom")
	got := tail(append(text, numbered("goroutine ", 100)...)...)
	want := append([]string{"line 6", "line 7", "line 8", "line 9", "panic: boom"}, numbered("goroutine ", 15)...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTailShowsTheLogOfTheSDKAsText(t *testing.T) {
	t.Parallel()
	got := tail(
		`{"@level":"warn","@message":"slow","@module":"shop","@timestamp":"2026-01-01T00:00:00Z","rows":3,"table":"orders"}`,
		`{"@level":"loud","@message":"x"}`, `{"@message":7}`, `{broken`,
	)
	want := []string{"warn: slow rows=3 table=orders", `{"@level":"loud","@message":"x"}`, `{"@message":7}`, "{broken"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte("{\"@level\":\"info\",\"@message\":\"m\",\"a\":{\"b\":1}}\npanic: x\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		out := &output{log: hclog.NewNullLogger()}
		l := &lines{emit: out.stderr}
		_, _ = l.Write(raw)
		l.flush()
		if len(out.last()) > tailLines {
			t.Errorf("%d lines are kept", len(out.last()))
		}
	})
}
