package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/qanat-data/qanat/plugins/source-file/internal/block"
	"github.com/qanat-data/qanat/plugins/source-file/internal/store"
	"github.com/qanat-data/qanat/sdk"
)

const (
	positionFormat = 1
	maxDone        = 1000 // finished files that are kept in full; then the older ones are folded
	keptDone       = 750  // what folding leaves
)

// stamp is what a file was known by when it was read, and how far it was read.
type stamp struct {
	Size int64  `json:"s"`
	Time int64  `json:"t,omitempty"` // nanoseconds since 1970
	ETag string `json:"e,omitempty"`
	block.Mark
}

func stampOf(f store.File, mark block.Mark) stamp {
	s := stamp{Size: f.Size, ETag: f.ETag, Mark: mark}
	if f.ETag == "" {
		s.Time = f.ModTime.UnixNano()
	}
	return s
}

// same says whether the file is still what it was.
func (s stamp) same(f store.File) bool {
	now := stampOf(f, block.Mark{})
	return s.Size == now.Size && s.Time == now.Time && s.ETag == now.ETag
}

func (s stamp) print() uint32 {
	sum := fnv.New32a()
	_, _ = sum.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(s.Size)), uint64(s.Time))) //nolint:gosec // bits are bits
	_, _ = sum.Write([]byte(s.ETag))
	return sum.Sum32()
}

// progress is what is remembered of a stream.
type progress struct {
	Schema []byte           `json:"schema,omitempty"` // as an Arrow IPC stream without batches
	Done   map[string]stamp `json:"done,omitempty"`   // finished files
	Open   map[string]stamp `json:"open,omitempty"`   // files read in part
	Folded *fold            `json:"folded,omitzero"`  // older finished files
}

// journal is the position in the making. It is safe for concurrent use.
type journal struct {
	mu      sync.Mutex
	streams map[string]*progress
}

type positionJSON struct {
	Format  int                  `json:"v"`
	Streams map[string]*progress `json:"streams"`
}

// openJournal reads a position; an empty one is the beginning.
func openJournal(pos sdk.Position) (*journal, error) {
	j := &journal{streams: map[string]*progress{}}
	if len(pos) == 0 {
		return j, nil
	}
	p := positionJSON{}
	if err := json.Unmarshal(pos, &p); err != nil {
		return nil, sdk.Fatal(fmt.Errorf("the position can't be read: %w", err))
	}
	if p.Format != positionFormat {
		return nil, sdk.Fatal(fmt.Errorf("the position has format %d, this plugin reads %d", p.Format, positionFormat))
	}
	for name, s := range p.Streams {
		if s != nil {
			j.streams[name] = s
		}
	}
	return j, nil
}

// encode is the position.
func (j *journal) encode() (sdk.Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	pos, err := json.Marshal(positionJSON{Format: positionFormat, Streams: j.streams})
	if err != nil {
		return nil, sdk.Fatal(fmt.Errorf("write the position: %w", err))
	}
	if len(pos) > sdk.MaxPosition {
		files, schemas := 0, 0
		for _, s := range j.streams {
			schemas += len(s.Schema)
			files += len(s.Done) + len(s.Open)
			if s.Folded != nil {
				files += s.Folded.len()
			}
		}
		return nil, sdk.Fatal(fmt.Errorf("%d files and %d bytes of schemas are too much to remember: the position has %d bytes, at most %d are allowed; "+
			"split the path over several pipelines", files, schemas, len(pos), sdk.MaxPosition))
	}
	return pos, nil
}

// stream returns what is remembered of a stream. The caller holds the lock.
func (j *journal) stream(name string) *progress {
	p, ok := j.streams[name]
	if !ok {
		p = &progress{}
		j.streams[name] = p
	}
	if p.Done == nil {
		p.Done = map[string]stamp{}
	}
	if p.Open == nil {
		p.Open = map[string]stamp{}
	}
	if p.Folded == nil {
		p.Folded = &fold{}
	}
	return p
}

// advance says how far a file is read.
func (j *journal) advance(stream, path string, s stamp) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.stream(stream)
	p.Open[path] = s
	delete(p.Done, path)
}

// finish says that a file is read.
func (j *journal) finish(stream, path string, s stamp) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.stream(stream)
	delete(p.Open, path)
	p.Done[path] = s
	if len(p.Done) > maxDone {
		p.foldOldest()
	}
}

func (p *progress) foldOldest() {
	paths := make([]string, 0, len(p.Done))
	for path := range p.Done {
		paths = append(paths, path)
	}
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(cmp.Compare(p.Done[a].Time, p.Done[b].Time), cmp.Compare(a, b))
	})
	old := map[string]stamp{}
	for _, path := range paths[:len(paths)-keptDone] {
		old[path] = p.Done[path]
		delete(p.Done, path)
	}
	p.Folded.add(old)
}

// known is what is remembered of a file.
type known struct {
	stamp stamp
	state state
}

type state int

const (
	unread state = iota
	partly       // the stamp's mark is where to go on
	finished
	foldedSame  // finished, and still what it was
	foldedOther // finished, and changed since; the stamp is not known
)

func (j *journal) find(stream string, f store.File) known {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.stream(stream)
	if s, ok := p.Open[f.Path]; ok {
		return known{stamp: s, state: partly}
	}
	if s, ok := p.Done[f.Path]; ok {
		return known{stamp: s, state: finished}
	}
	print, ok := p.Folded.find(f.Path)
	switch {
	case !ok:
		return known{}
	case print == stampOf(f, block.Mark{}).print():
		return known{state: foldedSame}
	}
	return known{state: foldedOther}
}

// schema is the last schema of a stream, nil if there is none.
func (j *journal) schema(stream string) (*arrow.Schema, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	raw := j.stream(stream).Schema
	if len(raw) == 0 {
		return nil, nil
	}
	r, err := ipc.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, sdk.Fatal(fmt.Errorf("the position's schema of stream %q can't be read: %w", stream, err))
	}
	defer r.Release()
	return r.Schema(), nil
}

func (j *journal) setSchema(stream string, schema *arrow.Schema) error {
	var out bytes.Buffer
	if err := ipc.NewWriter(&out, ipc.WithSchema(schema)).Close(); err != nil {
		return sdk.Fatal(fmt.Errorf("write the schema of stream %q: %w", stream, err))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stream(stream).Schema = out.Bytes()
	return nil
}
