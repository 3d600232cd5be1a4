package merge

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// partition is what the folds of a level wrote about some of the keys, in order: files of entries as Arrow IPC streams.
type partition struct {
	files  []spillFile
	writer *spillWriter // of the last file, while it can be written
}

type spillFile struct {
	path string
	rows int64
}

type spillWriter struct {
	file   *os.File
	buffer *bufio.Writer
	ipc    *ipc.Writer
}

func (p *partition) write(m *Merge, batch arrow.RecordBatch) error {
	if p.writer == nil {
		if err := p.begin(m); err != nil {
			return err
		}
	}
	if err := p.writer.ipc.Write(batch); err != nil {
		return fmt.Errorf("merge: spill changes: %w", err)
	}
	p.files[len(p.files)-1].rows += batch.NumRows()
	return nil
}

func (p *partition) begin(m *Merge) error {
	if m.folder == "" {
		folder, err := os.MkdirTemp(m.settings.Folder, "merge-")
		if err != nil {
			return fmt.Errorf("merge: spill changes: %w", err)
		}
		m.folder = folder
	}
	m.files++
	path := filepath.Join(m.folder, strconv.Itoa(m.files)+".arrows")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the path is ours
	if err != nil {
		return fmt.Errorf("merge: spill changes: %w", err)
	}
	buffer := bufio.NewWriterSize(file, 64<<10)
	p.writer = &spillWriter{file: file, buffer: buffer, ipc: ipc.NewWriter(buffer, ipc.WithSchema(m.entries), ipc.WithAllocator(m.alloc))}
	p.files = append(p.files, spillFile{path: path})
	return nil
}

// flush makes what was written readable.
func (p *partition) flush() error {
	if p.writer == nil {
		return nil
	}
	if err := p.writer.buffer.Flush(); err != nil {
		return fmt.Errorf("merge: spill changes: %w", err)
	}
	return nil
}

// end closes the file; what is written later begins another one.
func (p *partition) end() error {
	if p.writer == nil {
		return nil
	}
	w := p.writer
	p.writer = nil
	if err := errors.Join(w.ipc.Close(), w.buffer.Flush(), w.file.Close()); err != nil {
		return fmt.Errorf("merge: spill changes: %w", err)
	}
	return nil
}

// discard closes and removes the files. What can't be removed goes with the folder.
func (p *partition) discard() {
	if p.writer != nil {
		_ = p.writer.ipc.Close()
		_ = p.writer.file.Close()
		p.writer = nil
	}
	for _, f := range p.files {
		_ = os.Remove(f.path)
	}
	p.files = nil
}

// each reads what was written so far, in order. Batches are valid during the call.
func (p *partition) each(m *Merge, take func(arrow.RecordBatch) error) error {
	if err := p.flush(); err != nil {
		return err
	}
	for _, f := range p.files {
		if err := f.each(m, take); err != nil {
			return err
		}
	}
	return nil
}

func (f spillFile) each(m *Merge, take func(arrow.RecordBatch) error) error {
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("merge: read spilled changes: %w", err)
	}
	defer file.Close()
	reader, err := ipc.NewReader(bufio.NewReaderSize(file, 64<<10), ipc.WithAllocator(m.alloc))
	if err != nil {
		return fmt.Errorf("merge: read spilled changes: %w", err)
	}
	defer reader.Release()
	rows := int64(0)
	for reader.Next() {
		batch := reader.RecordBatch()
		rows += batch.NumRows()
		if err := take(batch); err != nil {
			return err
		}
	}
	if err := reader.Err(); err != nil {
		return fmt.Errorf("merge: read spilled changes: %w", err)
	}
	if rows != f.rows { // the file is cut off where a batch ends
		return fmt.Errorf("merge: read spilled changes: %d of %d rows are there", rows, f.rows)
	}
	return nil
}
