package pgoutput

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	suffix = ".stream"
	// spilledMemory is what a transaction that has a file gathers before it writes: it is large, and memory is for those that are not.
	spilledMemory = 64 << 10
	// headerSize is a frame's: length, and the number of the message's arrival.
	headerSize = 12
)

// shelf keeps the messages of transactions that have not committed: in memory up to a budget, beyond it in a file for each
// transaction. Frames are the messages as they came.
type shelf struct {
	folder  string
	budget  int
	held    int // bytes in memory
	streams map[uint32]*streamed
}

// streamed is one such transaction.
type streamed struct {
	xid     uint32
	origin  string
	aborted map[uint32]struct{} // subtransactions, whose messages don't count
	memory  []byte              // frames behind those in the file
	file    *os.File
	filed   int64
}

// openShelf makes the folder, and removes what an assembler that died left there.
func openShelf(folder string, budget int) (*shelf, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	left, err := filepath.Glob(filepath.Join(escapeGlob(folder), "*"+suffix))
	if err != nil {
		return nil, err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return &shelf{folder: folder, budget: budget, streams: map[uint32]*streamed{}}, nil
}

func escapeGlob(path string) string {
	var b bytes.Buffer
	for i := range len(path) {
		if bytes.IndexByte([]byte(`*?[\`), path[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

func (h *shelf) add(xid uint32) *streamed {
	s := &streamed{xid: xid, aborted: map[uint32]struct{}{}}
	h.streams[xid] = s
	return s
}

// keep stores a message behind the others of its transaction.
func (h *shelf) keep(s *streamed, message []byte, arrival uint64) error {
	size := headerSize + len(message)
	if err := h.makeRoom(s, size); err != nil {
		return err
	}
	s.memory = binary.BigEndian.AppendUint32(s.memory, uint32(len(message))) //nolint:gosec // the protocol's messages are under 2 GiB
	s.memory = binary.BigEndian.AppendUint64(s.memory, arrival)
	s.memory = append(s.memory, message...)
	h.held += size
	if h.held > h.budget { // the message is larger than the budget
		return h.spill(s)
	}
	return nil
}

// makeRoom spills transactions, the largest in memory first, until the size fits or nothing is left in memory.
func (h *shelf) makeRoom(s *streamed, size int) error {
	if s.file != nil && len(s.memory)+size > spilledMemory {
		if err := h.spill(s); err != nil {
			return err
		}
	}
	for h.held > 0 && h.held+size > h.budget {
		if err := h.spill(h.largest()); err != nil {
			return err
		}
	}
	return nil
}

func (h *shelf) largest() *streamed {
	var most *streamed
	for _, s := range h.streams {
		if most == nil || len(s.memory) > len(most.memory) {
			most = s
		}
	}
	return most
}

// spill moves what is in memory to the file.
func (h *shelf) spill(s *streamed) error {
	if s.file == nil {
		name := filepath.Join(h.folder, fmt.Sprintf("%d%s", s.xid, suffix))
		file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the folder is the operator's
		if err != nil {
			return spillError(s, err)
		}
		s.file = file
	}
	if _, err := s.file.Write(s.memory); err != nil {
		return spillError(s, err)
	}
	s.filed += int64(len(s.memory))
	h.held -= len(s.memory)
	if cap(s.memory) > spilledMemory {
		s.memory = nil
	}
	s.memory = s.memory[:0]
	return nil
}

func spillError(s *streamed, err error) error {
	return fmt.Errorf("keep transaction %d until it commits: %w", s.xid, err)
}

// each replays the messages in the order in which they were kept. A message is valid until the function returns.
func (s *streamed) each(do func(message []byte, arrival uint64) error) error {
	if s.file != nil {
		file := bufio.NewReaderSize(io.NewSectionReader(s.file, 0, s.filed), 256<<10)
		if err := frames(file, s.filed, do); err != nil {
			return err
		}
	}
	return frames(bytes.NewReader(s.memory), int64(len(s.memory)), do)
}

func frames(from io.Reader, size int64, do func(message []byte, arrival uint64) error) error {
	header := make([]byte, headerSize)
	var message []byte
	for size > 0 {
		if _, err := io.ReadFull(from, header); err != nil {
			return damaged(err)
		}
		length := int64(binary.BigEndian.Uint32(header))
		size -= headerSize + length
		if size < 0 {
			return damaged(io.ErrUnexpectedEOF)
		}
		if int64(cap(message)) < length {
			message = make([]byte, length)
		}
		message = message[:length]
		if _, err := io.ReadFull(from, message); err != nil {
			return damaged(err)
		}
		if err := do(message, binary.BigEndian.Uint64(header[4:])); err != nil {
			return err
		}
	}
	return nil
}

func damaged(err error) error {
	return fmt.Errorf("a transaction's file is not what was written: %w", err)
}

// discard forgets a transaction.
func (h *shelf) discard(s *streamed) error {
	delete(h.streams, s.xid)
	h.held -= len(s.memory)
	s.memory = nil
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

func (h *shelf) close() error {
	var faults []error
	for _, s := range h.streams {
		faults = append(faults, h.discard(s))
	}
	return errors.Join(faults...)
}
