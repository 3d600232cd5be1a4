package text

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// FuzzUTF16 holds the decoder to the library's, which puts U+FFFD where this one puts a byte that is not UTF-8, and to itself when the
// text comes byte by byte.
func FuzzUTF16(f *testing.F) {
	for _, seed := range []string{"", "\xff\xfea\x00\n\x00", "\xfe\xff\x00a\xd8\x3d\xde\x00", "a\x00\x00\xd8b\x00", "\xff", "\xfe\xff\xdc\x00\xd8"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := io.ReadAll(transform.NewReader(bytes.NewReader(data), &fromUTF16{}))
		if err != nil {
			t.Fatal(err)
		}
		slow, err := io.ReadAll(transform.NewReader(iotest.OneByteReader(bytes.NewReader(data)), &fromUTF16{}))
		if err != nil || !bytes.Equal(got, slow) {
			t.Fatalf("%q at once, %q byte by byte, %v", got, slow, err)
		}
		library := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()
		want, err := library.Bytes(data)
		if err != nil {
			t.Fatal(err)
		}
		if utf8.Valid(got) != (bytes.IndexByte(got, invalid) < 0) || !bytes.Equal(onceEach(got), onceEach(want)) {
			t.Fatalf("%q, the library reads %q", got, want)
		}
	})
}

// onceEach has one U+FFFD for whatever is invalid in a row: how many halves a cut text ends with is a matter of counting.
func onceEach(text []byte) []byte {
	text = bytes.ToValidUTF8(text, []byte("\ufffd"))
	for {
		shorter := bytes.ReplaceAll(text, []byte("\ufffd\ufffd"), []byte("\ufffd"))
		if len(shorter) == len(text) {
			return text
		}
		text = shorter
	}
}
