package text

import (
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/transform"
)

// invalid stands in the text where the file has half a character: a byte that no UTF-8 has, so that the record is rejected. The
// library's own decoder would put a question mark there and say nothing.
const invalid = 0xff

// fromUTF16 reads UTF-16, little-endian unless a byte order mark says otherwise. It implements transform.Transformer.
type fromUTF16 struct {
	begun, big bool
}

// Reset implements transform.Transformer.
func (d *fromUTF16) Reset() { *d = fromUTF16{} }

// Transform implements transform.Transformer.
func (d *fromUTF16) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	if !d.begun {
		if len(src) < 2 && !atEOF {
			return 0, 0, transform.ErrShortSrc
		}
		nSrc = d.begin(src)
	}
	for nSrc < len(src) {
		c, size := d.character(src[nSrc:], atEOF)
		switch {
		case size == 0:
			return nDst, nSrc, transform.ErrShortSrc
		case len(dst)-nDst < utf8.UTFMax:
			return nDst, nSrc, transform.ErrShortDst
		case c < 0:
			dst[nDst] = invalid
			nDst++
		default:
			nDst += utf8.EncodeRune(dst[nDst:], c)
		}
		nSrc += size
	}
	return nDst, nSrc, nil
}

// begin takes a byte order mark.
func (d *fromUTF16) begin(src []byte) int {
	d.begun = true
	if len(src) < 2 {
		return 0
	}
	switch [2]byte(src) {
	case [2]byte{0xfe, 0xff}:
		d.big = true
		return 2
	case [2]byte{0xff, 0xfe}:
		return 2
	}
	return 0
}

// character is the next one and how many bytes it takes; -1 if it is no character, and no bytes if more of them are needed.
func (d *fromUTF16) character(src []byte, atEOF bool) (c rune, size int) {
	if len(src) < 2 {
		if atEOF {
			return -1, len(src)
		}
		return 0, 0
	}
	c = d.unit(src)
	if !utf16.IsSurrogate(c) {
		return c, 2
	}
	if len(src) < 4 {
		if atEOF {
			return -1, 2
		}
		return 0, 0
	}
	if c = utf16.DecodeRune(c, d.unit(src[2:])); c == utf8.RuneError {
		return -1, 2
	}
	return c, 4
}

func (d *fromUTF16) unit(src []byte) rune {
	if d.big {
		return rune(src[0])<<8 | rune(src[1])
	}
	return rune(src[1])<<8 | rune(src[0])
}
