package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/qanat-data/qanat/sdk"
)

// commit writes the record of a unit and carries it out. Needs the lock. Until write returns, a crash leaves the unit
// uncommitted and its staged files to the next sweep; after it, the next writer finishes the unit.
func (l *ledger) commit(rec *record) error {
	if err := l.makeFolders(rec); err != nil {
		return err
	}
	for _, f := range rec.Files {
		taken, err := exists(l.files, f.Path)
		if err != nil {
			return err
		}
		if taken {
			return sdk.Fatal(fmt.Errorf("%q is there already and not this flow's: expected a free name; flows that share a folder need {flow} in the setting name", f.Path))
		}
	}
	if err := l.write(l.recordPath(rec.Seq), rec); err != nil {
		return err
	}
	return l.carryOut(rec)
}

// finish carries the last unit out where its writer stopped after the commit. Needs the lock.
func (l *ledger) finish(last *record) error {
	if last == nil {
		return nil
	}
	// The staging folder goes last: without it all is done, and files that readers took away since are not missed.
	unfinished := last.Replaces
	if last.Staging != "" {
		var err error
		if unfinished, err = exists(l.files, last.Staging); err != nil {
			return err
		}
	}
	if !unfinished {
		return nil
	}
	if err := l.makeFolders(last); err != nil {
		return err
	}
	return l.carryOut(last)
}

// carryOut does what the record says, as far as it is not done yet.
func (l *ledger) carryOut(rec *record) error {
	if err := l.place(rec); err != nil {
		return err
	}
	if rec.Replaces {
		if err := l.removeEarlier(rec); err != nil {
			return err
		}
	}
	if rec.Staging == "" {
		return nil
	}
	return l.disk.RemoveAll(rec.Staging)
}

// place moves the staged files to their names.
func (l *ledger) place(rec *record) error {
	moved := map[string]bool{}
	for _, f := range rec.Files {
		staged := path.Join(rec.Staging, f.Staged)
		waits, err := exists(l.files, staged)
		if err != nil {
			return err
		}
		if !waits {
			continue
		}
		if err := l.disk.Rename(staged, f.Path); err != nil {
			return err
		}
		moved[path.Dir(f.Path)] = true
	}
	return l.syncAll(moved)
}

// removeEarlier removes the files of all earlier units, and then their records.
func (l *ledger) removeEarlier(rec *record) error {
	seqs, err := l.seqs()
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		if seq >= rec.Seq {
			break
		}
		if err := l.removeUnit(seq); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) removeUnit(seq uint64) error {
	earlier, err := l.record(seq)
	if err != nil {
		return err
	}
	changed := map[string]bool{}
	for _, f := range earlier.Files {
		if err := l.disk.RemoveAll(f.Path); err != nil {
			return err
		}
		changed[path.Dir(f.Path)] = true
	}
	if err := l.syncAll(changed); err != nil {
		return err
	}
	return l.disk.RemoveAll(l.recordPath(seq))
}

// sweep removes what was staged and not committed. Needs the lock, and a finished last unit.
func (l *ledger) sweep() error {
	entries, err := fs.ReadDir(l.files, l.staging())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := l.disk.RemoveAll(path.Join(l.staging(), entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) makeFolders(rec *record) error {
	folders := map[string]bool{}
	for _, f := range rec.Files {
		folders[path.Dir(f.Path)] = true
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		if err := l.disk.MkdirAll(folder); err != nil {
			return err
		}
	}
	return nil
}

// syncAll syncs folders; one that was removed since has nothing left to sync.
func (l *ledger) syncAll(folders map[string]bool) error {
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		if err := l.disk.Sync(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
