package pgoutput_test

import (
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var recording = flag.Bool("record", false, "write what the server sends to testdata, for fuzzing and benchmarks")

// record keeps what a case's messages are, thinned: of rows in a row the first two.
func (s *site) record(t *testing.T, name string) {
	t.Helper()
	if !*recording {
		return
	}
	var thin [][]byte
	same := 0
	for _, m := range s.messages(t, version2, "64kB") {
		if n := len(thin); n > 0 && m[0] == thin[n-1][0] && strings.IndexByte("IUD", m[0]) >= 0 {
			if same++; same >= 2 {
				continue
			}
		} else {
			same = 0
		}
		thin = append(thin, m)
	}
	save(t, "seeds/"+strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ,", r) {
			return '-'
		}
		return r
	}, name), thin)
}

// save writes messages behind each other, each after its length.
func save(t *testing.T, name string, messages [][]byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".bin")
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, packed(messages), 0o600); err != nil {
		t.Fatal(err)
	}
}

func packed(messages [][]byte) []byte {
	var out []byte
	for _, m := range messages {
		out = binary.BigEndian.AppendUint32(out, uint32(len(m)))
		out = append(out, m...)
	}
	return out
}

// unpacked takes messages apart again, as far as there are any.
func unpacked(b []byte) [][]byte {
	var out [][]byte
	for len(b) >= 4 {
		n := int(binary.BigEndian.Uint32(b))
		if n > len(b)-4 {
			break
		}
		out = append(out, b[4:4+n])
		b = b[4+n:]
	}
	return out
}

func recorded(t testing.TB, pattern string) [][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatal("nothing is recorded", err)
	}
	var out [][]byte
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}
