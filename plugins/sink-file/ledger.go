package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qanat-data/qanat/sdk"
)

// home is where the sink keeps its own files below the target folder.
const home = ".qanat-sink"

// ledger is what a flow has committed to the folder, and who may commit next. All that changes it happens under its lock.
type ledger struct {
	disk   disk
	root   *os.Root
	files  fs.FS // the root, for reading
	folder string
}

// owner is the writer that has begun last.
type owner struct {
	Epoch    uint64 `json:"epoch"`
	Instance string `json:"instance"` // tells two writers of one epoch apart
}

// record is one committed unit. Its appearance under its name is the commit; everything after that only carries it out.
type record struct {
	Format   int          `json:"format"` // of this file: 1
	Flow     string       `json:"flow"`
	Epoch    uint64       `json:"epoch"`
	Seq      uint64       `json:"seq"`
	Position string       `json:"position"`           // as text, so that the bytes come back as they were
	Replaces bool         `json:"replaces,omitempty"` // the unit's files replace all of earlier units
	Staging  string       `json:"staging,omitempty"`  // where the files come from; gone when all are in place
	Files    []recordFile `json:"files"`
}

type recordFile struct {
	Path    string `json:"path"` // below the target folder
	Staged  string `json:"staged"`
	Stream  string `json:"stream"`
	Version int    `json:"version"`
	Rows    int64  `json:"rows"`
	Bytes   int64  `json:"bytes"`
}

func (r *record) mark() sdk.Mark {
	return sdk.Mark{Epoch: r.Epoch, Seq: r.Seq, Position: sdk.Position(r.Position)}
}

func newLedger(d disk, root *os.Root, flow string) *ledger {
	return &ledger{disk: d, root: root, files: root.FS(), folder: path.Join(home, safe(flow))}
}

func (l *ledger) commits() string { return path.Join(l.folder, "commits") }
func (l *ledger) staging() string { return path.Join(l.folder, "staging") }

// create makes the ledger's folders.
func (l *ledger) create() error {
	return errors.Join(l.disk.MkdirAll(l.commits()), l.disk.MkdirAll(l.staging()))
}

const (
	lockPatience = 30 * time.Second
	lockPause    = 10 * time.Millisecond
)

// lock takes the flow's lock, which the kernel releases when its holder dies.
func (l *ledger) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	f, err := l.root.OpenFile(path.Join(l.folder, "lock"), os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, sdk.Retryable(fmt.Errorf("another writer holds the lock of %s: %w", l.folder, ctx.Err()), 0)
		case <-time.After(lockPause):
		}
	}
}

// owner is the zero owner before the first writer.
func (l *ledger) owner() (owner, error) {
	var o owner
	err := l.read(path.Join(l.folder, "owner.json"), &o)
	if errors.Is(err, fs.ErrNotExist) {
		return owner{}, nil
	}
	return o, err
}

// claim makes o the owner. Needs the lock.
func (l *ledger) claim(o owner) error {
	return l.write(path.Join(l.folder, "owner.json"), o)
}

// check says Fenced unless o is the owner.
func (l *ledger) check(o owner) error {
	now, err := l.owner()
	if err == nil && now != o {
		return sdk.Fenced(now.Epoch)
	}
	return err
}

var recordName = regexp.MustCompile(`^([0-9]{12,20})\.json$`)

func (l *ledger) recordPath(seq uint64) string {
	return path.Join(l.commits(), fmt.Sprintf("%012d.json", seq))
}

// seqs are the committed units that still have a record, in order.
func (l *ledger) seqs() ([]uint64, error) {
	entries, err := fs.ReadDir(l.files, l.commits())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var seqs []uint64
	for _, entry := range entries {
		m := recordName.FindStringSubmatch(entry.Name())
		if m == nil {
			continue // the beginning of a record that was not committed
		}
		seq, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("record %q: %w", entry.Name(), err)
		}
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	return seqs, nil
}

// last is the newest record; nil before the first.
func (l *ledger) last() (*record, error) {
	seqs, err := l.seqs()
	if err != nil || len(seqs) == 0 {
		return nil, err
	}
	return l.record(seqs[len(seqs)-1])
}

func (l *ledger) record(seq uint64) (*record, error) {
	rec := &record{}
	if err := l.read(l.recordPath(seq), rec); err != nil {
		return nil, err
	}
	if rec.Format != 1 || rec.Seq != seq {
		return nil, fmt.Errorf("%s: format %d, seq %d: expected format 1, seq %d", l.recordPath(seq), rec.Format, rec.Seq, seq)
	}
	return rec, nil
}

func (l *ledger) read(name string, into any) error {
	raw, err := fs.ReadFile(l.files, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// write replaces a file as a whole: it has the old content or the new one, also after a power failure. Needs the lock.
func (l *ledger) write(name string, content any) error {
	raw, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	next := name + ".next"
	f, err := l.disk.Create(next)
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := l.disk.Rename(next, name); err != nil {
		return err
	}
	return l.disk.Sync(path.Dir(name))
}
