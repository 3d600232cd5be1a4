package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/qanat-data/qanat/sdk"
)

// unit is the open unit: rows staged in files of which nobody knows yet. Not safe for concurrent use.
type unit struct {
	config Config
	disk   disk
	alloc  memory.Allocator
	folder string // of the staged files; made with the first one
	open   map[string]*staged
	done   []recordFile
	parts  int
	// complete says that all files are closed and synced: the unit waits for its commit, or may have it.
	complete bool
}

// staged is one file that is being written.
type staged struct {
	entry   recordFile
	schema  *arrow.Schema
	file    file
	counter *counter
	buffer  *bufio.Writer
	encoder encoder
}

const writeBuffer = 256 << 10

func newUnit(c Config, d disk, alloc memory.Allocator, folder string) *unit {
	return &unit{config: c, disk: d, alloc: alloc, folder: folder, open: map[string]*staged{}}
}

// write stages a batch, which stays the caller's. A file holds one schema; a large unit has several files.
func (u *unit) write(b sdk.Batch) error {
	s := u.open[b.Stream]
	if s != nil && (s.entry.Version != b.Version || !s.schema.Equal(b.Record.Schema()) || s.size() >= u.config.fileSize()) {
		if err := u.finishFile(s); err != nil {
			return err
		}
		s = nil
	}
	if s == nil {
		var err error
		if s, err = u.create(b); err != nil {
			return err
		}
		u.open[b.Stream] = s
	}
	s.entry.Rows += b.Record.NumRows()
	return s.encoder.Write(b.Record)
}

func (u *unit) create(b sdk.Batch) (*staged, error) {
	if u.parts == 0 {
		if err := u.disk.MkdirAll(u.folder); err != nil {
			return nil, err
		}
	}
	u.parts++
	s := &staged{
		entry:  recordFile{Staged: fmt.Sprintf("%04d%s", u.parts, u.config.ending()), Stream: b.Stream, Version: b.Version},
		schema: b.Record.Schema(),
	}
	var err error
	if s.file, err = u.disk.Create(path.Join(u.folder, s.entry.Staged)); err != nil {
		return nil, err
	}
	s.counter = &counter{Writer: s.file}
	s.buffer = bufio.NewWriterSize(s.counter, writeBuffer)
	if s.encoder, err = newEncoder(u.config, s.schema, s.buffer, u.alloc); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
}

// size is about what the file will have.
func (s *staged) size() int64 {
	return s.counter.bytes + int64(s.buffer.Buffered()) + s.encoder.Pending()
}

// finishFile writes the rest of a file and makes it outlive a power failure.
func (u *unit) finishFile(s *staged) error {
	err := s.encoder.Close()
	if err == nil {
		err = s.buffer.Flush()
	}
	if err == nil {
		err = s.file.Sync()
	}
	delete(u.open, s.entry.Stream)
	if err := errors.Join(err, s.file.Close()); err != nil {
		return fmt.Errorf("stage %q: %w", s.entry.Stream, err)
	}
	s.entry.Bytes = s.counter.bytes
	u.done = append(u.done, s.entry)
	return nil
}

// finish completes all files. Repeating it is a no-op.
func (u *unit) finish() error {
	if u.complete {
		return nil
	}
	for _, stream := range sortedKeys(u.open) {
		if err := u.finishFile(u.open[stream]); err != nil {
			return err
		}
	}
	if u.parts > 0 {
		if err := u.disk.Sync(u.folder); err != nil {
			return err
		}
	}
	u.complete = true
	return nil
}

// record is what a commit of the unit says.
func (u *unit) record(flow string, mode sdk.WriteMode, m sdk.Mark) *record {
	rec := &record{
		Format: 1, Flow: flow, Epoch: m.Epoch, Seq: m.Seq, Position: string(m.Position), Replaces: mode == sdk.Overwrite, Files: []recordFile{},
	}
	if u.parts > 0 {
		rec.Staging = u.folder
	}
	parts := map[string]int{}
	for _, f := range u.done {
		base := u.config.fileName(flow, f.Stream, m.Seq, 1)
		parts[base]++
		f.Path = u.config.fileName(flow, f.Stream, m.Seq, parts[base])
		rec.Files = append(rec.Files, f)
	}
	return rec
}

// drop closes the files and removes them.
func (u *unit) drop() error {
	for _, s := range u.open {
		_ = s.encoder.Close() // frees the encoder's memory; what it writes is removed
		_ = s.file.Close()
	}
	clear(u.open)
	if u.parts == 0 {
		return nil
	}
	return u.disk.RemoveAll(u.folder)
}

// counter counts the bytes that reach the file.
type counter struct {
	io.Writer
	bytes int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.bytes += int64(n)
	return n, err
}
