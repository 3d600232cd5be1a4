// Package text opens the content of text files (decompressed and in UTF-8) and gives a sliding view of it. The formats that are
// made of text, csvfile and jsonfile, read through it.
package text

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/sdk"
)

// Compressions and encodings.
const (
	None   = "none"
	Gzip   = "gzip"
	Zstd   = "zstd"
	UTF8   = "utf-8"
	UTF16  = "utf-16"
	Latin1 = "latin-1"
)

// Layers say how a file's bytes become text.
type Layers struct {
	Compression string // None, Gzip or Zstd
	Encoding    string // UTF8, UTF16 or Latin1
}

// Seekable says whether offsets in the text are offsets in the file.
func (l Layers) Seekable() bool { return l.Compression == None && l.Encoding == UTF8 }

// Content is the text of a file.
type Content struct {
	io.Reader
	closers []func() error
}

// Open reads the text from an offset on. Text that can't be sought is read up to there. Bytes counts what is read of the file.
func (l Layers) Open(ctx context.Context, f store.File, offset int64, bytes *atomic.Int64) (*Content, error) {
	start := int64(0)
	if l.Seekable() {
		start = offset
	}
	raw, err := f.Open(ctx, start)
	if err != nil {
		return nil, err
	}
	c := &Content{Reader: &counter{raw, bytes}, closers: []func() error{raw.Close}}
	if err := l.stack(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if start < offset {
		if _, err := io.CopyN(io.Discard, c, offset); err != nil {
			return nil, errors.Join(Broken(err, 0), c.Close())
		}
	}
	return c, nil
}

func (l Layers) stack(c *Content) error {
	switch l.Compression {
	case Gzip:
		r, err := gzip.NewReader(c.Reader)
		if errors.Is(err, io.EOF) {
			break // an empty file
		}
		if err != nil {
			return Broken(fmt.Errorf("gzip: %w", err), 0)
		}
		c.Reader = r
	case Zstd:
		r, err := zstd.NewReader(c.Reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return Broken(fmt.Errorf("zstd: %w", err), 0)
		}
		c.Reader = r
		c.closers = append(c.closers, func() error { r.Close(); return nil })
	}
	switch l.Encoding {
	case UTF16:
		c.Reader = transform.NewReader(c.Reader, &fromUTF16{})
	case Latin1:
		c.Reader = transform.NewReader(c.Reader, charmap.Windows1252.NewDecoder())
	}
	return nil
}

// maxWindow is the memory that a zstd archive may ask for: as much as its command line tool gives without being told.
const maxWindow = 128 << 20

// Close closes the file.
func (c *Content) Close() error {
	var err error
	for _, closer := range slices.Backward(c.closers) {
		err = errors.Join(err, closer())
	}
	return err
}

type counter struct {
	io.Reader
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// Broken turns an error in the content (a damaged archive) into a fault of the file. Errors of the store, of the context and
// faults stay what they are.
func Broken(err error, line int64) error {
	var typed *sdk.Error
	switch {
	case err == nil || errors.As(err, &typed) || errors.Is(err, store.ErrNotFound):
		return err
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if _, fault := block.AsFault(err); fault {
		return err
	}
	return &block.Fault{Reject: block.Reject{
		Line: line + 1, Code: block.Malformed, Reason: fmt.Sprintf("the rest of the file can't be read: %v", err),
	}}
}

var bom = []byte("\xef\xbb\xbf")

// Sniff looks at the first bytes of a file that should be text, and says what is wrong with them.
func (l Layers) Sniff(head []byte) error {
	what := ""
	switch {
	case l.Encoding == UTF8 && (bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff"))):
		return encodingFault(head, "the file is UTF-16; set encoding: utf-16")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		what = "is compressed with gzip; set compression: gzip, or end its name in .gz"
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		what = "is compressed with zstd; set compression: zstd, or end its name in .zst"
	case bytes.HasPrefix(head, []byte("PAR1")):
		what = "is Parquet; set format: parquet"
	case bytes.HasPrefix(head, []byte("ARROW1")):
		what = "is Arrow; set format: arrow"
	case notText(head):
		return encodingFault(head, "the file holds zero bytes: "+l.whatInstead())
	}
	if what == "" {
		return nil
	}
	return &block.Fault{Reject: block.Reject{Line: 1, Code: block.Malformed, Reason: "the file " + what, Raw: block.Raw(head[:min(len(head), 256)])}}
}

// notText says whether bytes are those of UTF-16, or of no text at all: with zero bytes, and many of them or beside bytes that are
// not UTF-8. A single zero byte costs only its record.
func notText(head []byte) bool {
	zeros := bytes.Count(head, []byte{0})
	if zeros == 0 {
		return false
	}
	whole := head
	for range utf8.UTFMax - 1 {
		if r, size := utf8.DecodeLastRune(whole); r == utf8.RuneError && size == 1 {
			whole = whole[:len(whole)-1] // the head may end in the middle of a character
		}
	}
	return 8*zeros >= len(head) || !utf8.Valid(whole)
}

func (l Layers) whatInstead() string {
	if l.Encoding == UTF8 {
		return "it is UTF-16 (set encoding: utf-16) or no text"
	}
	return "it is not " + l.Encoding + ", or no text"
}

// Reason says what is wrong with a record that is not in the encoding, and what may be done.
func (l Layers) Reason() string {
	if l.Encoding == UTF16 {
		return "the record is not UTF-16: half of a character is missing"
	}
	return "the record is not UTF-8; if the file is Latin-1, set encoding: latin-1"
}

func encodingFault(head []byte, reason string) error {
	return &block.Fault{Reject: block.Reject{Line: 1, Code: block.Encoding, Reason: reason, Raw: block.Raw(head[:min(len(head), 256)])}}
}

// LayersOf finds the layers by a file's name where the setting is "auto", and the name without the compression's ending.
func LayersOf(name, compression, encoding string) (Layers, string) {
	byName, rest := None, name
	for _, ending := range []struct{ suffix, compression string }{{".gz", Gzip}, {".gzip", Gzip}, {".zst", Zstd}, {".zstd", Zstd}} {
		if strings.HasSuffix(strings.ToLower(name), ending.suffix) {
			byName, rest = ending.compression, name[:len(name)-len(ending.suffix)]
		}
	}
	if compression == "auto" || compression == "" {
		compression = byName
	}
	if encoding == "" {
		encoding = UTF8
	}
	return Layers{Compression: compression, Encoding: encoding}, rest
}
