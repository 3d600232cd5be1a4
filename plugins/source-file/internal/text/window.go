package text

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"sync/atomic"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
)

const (
	firstRead = 256 << 10
	guardSize = 256
)

// Window is a sliding view of a file's text. What Bytes returns is valid until Fill, Skip or Discard.
type Window struct {
	content  *Content
	buffer   []byte
	from, to int
	eof      bool
	failed   error // behind Bytes
	mark     block.Mark
}

// NewWindow opens a file's text at a mark. At the beginning a byte order mark is skipped and the bytes are looked at.
func NewWindow(ctx context.Context, l Layers, f store.File, mark block.Mark, read *atomic.Int64) (*Window, error) {
	content, err := l.Open(ctx, f, mark.Offset, read)
	if err != nil {
		return nil, err
	}
	w := &Window{content: content, mark: mark, buffer: make([]byte, firstRead)}
	if mark.Offset > 0 {
		return w, nil
	}
	if err := w.begin(l); err != nil {
		_ = content.Close()
		return nil, err
	}
	return w, nil
}

func (w *Window) begin(l Layers) error {
	for !w.eof && w.failed == nil && len(w.Bytes()) < 4<<10 {
		if err := w.Fill(); err != nil && len(w.Bytes()) == 0 {
			return err
		}
	}
	head := w.Bytes()
	if err := l.Sniff(head[:min(len(head), 4<<10)]); err != nil {
		return err
	}
	if bytes.HasPrefix(head, bom) {
		w.Skip(len(bom), 0)
	}
	return nil
}

// Bytes is the text from the mark on, as far as it has been read.
func (w *Window) Bytes() []byte { return w.buffer[w.from:w.to] }

// EOF says that Bytes reaches to the end of the file.
func (w *Window) EOF() bool { return w.eof }

// Mark is the place where Bytes begins.
func (w *Window) Mark() block.Mark { return w.mark }

// Fill reads more text behind Bytes. It returns an error once there is no more text before the place that can't be read.
func (w *Window) Fill() error {
	if w.eof {
		return nil
	}
	if w.failed != nil {
		return Broken(w.failed, w.mark.Line)
	}
	w.makeRoom()
	before := w.to
	if w.failed = w.read(); w.failed != nil && w.to == before {
		return Broken(w.failed, w.mark.Line)
	}
	return nil
}

func (w *Window) read() error {
	// Whoever asks for more may look at all of it again from its beginning, so that little more each time would cost the square.
	want := min(max(1, w.to-w.from), len(w.buffer)-w.to)
	for idle := 0; want > 0; idle++ {
		n, err := w.content.Read(w.buffer[w.to:])
		w.to += n
		want -= n
		switch {
		case err == io.EOF: //nolint:errorlint // readers return io.EOF itself
			w.eof = true
			return nil
		case err != nil:
			return err
		case n > 0:
			idle = 0
		case idle == 100:
			return io.ErrNoProgress
		}
	}
	return nil
}

func (w *Window) makeRoom() {
	if w.to < len(w.buffer) {
		return
	}
	used := w.to - w.from
	target := w.buffer
	if used > len(w.buffer)/2 {
		target = make([]byte, 2*len(w.buffer))
	}
	copy(target, w.buffer[w.from:w.to])
	w.buffer, w.from, w.to = target, 0, used
}

// After is the mark that lies n bytes and some lines further.
func (w *Window) After(n int, lines int64) block.Mark {
	mark := w.mark
	mark.Offset += int64(n)
	mark.Line += lines
	if n > 0 {
		mark.Guard = guard(w.buffer[w.from : w.from+n])
	}
	return mark
}

// Skip moves the view by n bytes that hold some ends of lines.
func (w *Window) Skip(n int, lines int64) {
	w.mark = w.After(n, lines)
	w.from += n
}

// MoveTo moves the view to a mark that After gave.
func (w *Window) MoveTo(m block.Mark) {
	w.from += int(m.Offset - w.mark.Offset)
	w.mark = m
}

// SkipLine moves the view behind the next end of line, however far that is, and returns how the line began.
func (w *Window) SkipLine() ([]byte, error) {
	var head []byte
	for {
		data := w.Bytes()
		end := bytes.IndexByte(data, '\n')
		length := end + 1
		if end < 0 {
			length = len(data)
		}
		head = append(head, data[:min(length, block.MaxRaw-len(head))]...)
		if end >= 0 {
			w.Skip(length, 1)
			return head, nil
		}
		w.Skip(length, 0)
		if w.eof {
			return head, nil
		}
		if err := w.Fill(); err != nil {
			return nil, err
		}
	}
}

// Close closes the file.
func (w *Window) Close() error { return w.content.Close() }

// guard is a digest of the last bytes, which says how many they are.
func guard(data []byte) string {
	data = data[max(0, len(data)-guardSize):]
	sum := fnv.New64a()
	_, _ = sum.Write(data)
	return fmt.Sprintf("%d:%016x", len(data), sum.Sum64())
}

// Continuation says how a file that grew goes on behind a mark.
type Continuation int

// What may lie behind a mark.
const (
	Added    Continuation = iota // further lines
	Other                        // another file: the bytes before the mark are not what they were
	Extended                     // the record before the mark goes on
)

// Continue looks at a file that may have grown since the mark was made.
func Continue(ctx context.Context, f store.File, m block.Mark) (Continuation, error) {
	if m.Offset == 0 {
		return Added, nil
	}
	var length int
	if _, err := fmt.Sscanf(m.Guard, "%d:", &length); err != nil || length < 1 || length > guardSize || int64(length) > m.Offset {
		return Other, nil // a mark without a guard proves nothing
	}
	access, err := f.Random(ctx)
	if err != nil {
		return Other, err
	}
	defer func() { _ = access.Close() }()
	data := make([]byte, length+1)
	n, err := access.ReadAt(data, m.Offset-int64(length))
	if err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt's contract
		return Other, err
	}
	switch {
	case n < length || guard(data[:length]) != m.Guard:
		return Other, nil
	case n > length && data[length-1] != '\n' && data[length] != '\n' && data[length] != '\r':
		return Extended, nil
	}
	return Added, nil
}
