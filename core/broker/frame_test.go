package broker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func partOf(seq uint64, publisher string, frame uint64, n, parts int) part {
	return part{seq: seq, ours: true, mark: mark{epoch: 1, publisher: publisher, frame: frame, part: n, parts: parts}, body: []byte{byte('0' + n)}}
}

func TestAssemblerReportsEveryPart(t *testing.T) {
	t.Parallel()
	whole := func(first, last uint64, body string) found {
		return found{message: Message{First: first, Last: last, Header: map[string]string{}, Body: []byte(body), Epoch: 1}}
	}
	torn := func(first, last uint64, header map[string]string) found {
		return found{message: Message{First: first, Last: last, Header: header, Torn: true, Epoch: 1}}
	}
	started := map[string]string{}
	foreign := found{message: Message{First: 2, Last: 2, Torn: true}}
	gap := found{gap: &GapError{First: 2, Last: 5}}
	control := partOf(2, "a", 1, 2, 2)
	control.control = true
	tests := map[string]struct {
		parts []part
		skip  int // a gap from 2 to 5 before this part
		want  []found
	}{
		"single parts":           {parts: []part{partOf(1, "a", 1, 1, 1), partOf(2, "a", 2, 1, 1)}, want: []found{whole(1, 1, "1"), whole(2, 2, "1")}},
		"several parts":          {parts: []part{partOf(1, "a", 1, 1, 3), partOf(2, "a", 1, 2, 3), partOf(3, "a", 1, 3, 3)}, want: []found{whole(1, 3, "123")}},
		"unfinished":             {parts: []part{partOf(1, "a", 1, 1, 3), partOf(2, "a", 1, 2, 3)}},
		"publisher ended midway": {parts: []part{partOf(1, "a", 1, 1, 3), partOf(2, "a", 1, 2, 3), partOf(3, "b", 1, 1, 1)}, want: []found{torn(1, 2, started), whole(3, 3, "1")}},
		"same number of another": {parts: []part{partOf(1, "a", 1, 1, 2), partOf(2, "b", 1, 2, 2)}, want: []found{torn(1, 1, started), torn(2, 2, nil)}},
		"first parts purged":     {parts: []part{partOf(7, "a", 1, 2, 3), partOf(8, "a", 1, 3, 3), partOf(9, "a", 2, 1, 1)}, want: []found{torn(7, 8, nil), whole(9, 9, "1")}},
		"foreign between":        {parts: []part{partOf(1, "a", 1, 1, 2), {seq: 2}, partOf(3, "a", 1, 2, 2)}, want: []found{torn(1, 1, started), foreign, torn(3, 3, nil)}},
		"gap in a frame":         {parts: []part{partOf(1, "a", 1, 1, 7), partOf(6, "a", 1, 6, 7), partOf(7, "a", 1, 7, 7)}, skip: 1, want: []found{torn(1, 1, started), gap, torn(6, 7, nil)}},
		"other subject":          {parts: []part{partOf(1, "a", 1, 1, 2), control}, want: []found{torn(1, 1, started), {message: Message{First: 2, Last: 2, Torn: true, Control: true, Epoch: 1}}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a assembler
			for i, p := range test.parts {
				if test.skip == i && i > 0 {
					a.skip(2, 5)
				}
				a.take(p)
			}
			var got []found
			for f, ok := a.pop(); ok; f, ok = a.pop() {
				got = append(got, f)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(found{})); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCutKeepsEveryByteWithinTheLimits(t *testing.T) {
	t.Parallel()
	l := limitsOf(minPayload, minLogBytes)
	body := []byte(strings.Repeat("0123456789", 16<<10))
	for _, size := range []int{0, 1, l.part - 1, l.part, l.part + 1, 2 * l.part, l.frame} {
		parts, err := l.cut([][]byte{body[:size/3], body[size/3 : size]}, 100)
		if err != nil {
			t.Fatal(err)
		}
		joined := ""
		for _, p := range parts {
			joined += string(p)
			if len(p)+100 > l.part {
				t.Errorf("body of %d bytes: a part has %d", size, len(p))
			}
		}
		if joined != string(body[:size]) {
			t.Errorf("body of %d bytes was changed", size)
		}
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add(mark{epoch: 7, publisher: "p", frame: 3, part: 1, parts: 2}.String())
	f.Add("")
	f.Add("1 1 p 1 0 0")
	f.Add("2 1 p 1 1 1")
	f.Add("1 1 p 1 2 1 ")
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := parseMark(s)
		if !ok {
			return
		}
		if m.part < 1 || m.part > m.parts || m.publisher == "" {
			t.Fatalf("%q was read as %+v", s, m)
		}
		if again, ok := parseMark(m.String()); !ok || again != m {
			t.Fatalf("%q came back as %+v, expected %+v", m, again, m)
		}
	})
}

func FuzzFlowNameComesBack(f *testing.F) {
	for _, s := range []string{"orders", "a.b/c *>", "=", "==41", "ü\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, flow string) {
		n, err := namesOf("p", flow)
		if err != nil {
			return
		}
		if strings.ContainsAny(n.stream, ". *>/\\\t\r\n") || strings.Count(n.data, ".") != 3 {
			t.Fatalf("%q gave the names %+v", flow, n)
		}
		if back, ok := flowOf("p", n.stream); !ok || back != flow {
			t.Fatalf("%q came back as %q", flow, back)
		}
	})
}

func FuzzReadNames(f *testing.F) {
	f.Add("p-log-a=4", "1.2")
	f.Add("p-log-a=ZZ", "1.x")
	f.Fuzz(func(t *testing.T, stream, reply string) {
		if flow, ok := flowOf("p", stream); ok && flow == "" {
			t.Fatalf("%q is the log of a flow without a name", stream)
		}
		_, _, _ = parseReply(reply)
		_, _ = decodeHeader(stream)
	})
}
