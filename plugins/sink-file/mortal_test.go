package main

import "errors"

var errKilled = errors.New("killed here")

// mortal is a disk that dies at a step: before it, in the middle of a write, or right after it. Nothing happens on a dead disk.
// Syncs are steps that do nothing, because they make no difference to a process that dies.
type mortal struct {
	disk
	left  int // steps until death
	after bool
	dead  bool
	steps []string
}

func (m *mortal) step(name string, do func() error) error {
	if m.dead {
		return errKilled
	}
	m.steps = append(m.steps, name)
	if m.left--; m.left >= 0 {
		return do()
	}
	m.dead = true
	if m.after {
		_ = do()
	}
	return errKilled
}

func (m *mortal) Create(name string) (f file, err error) {
	err = m.step("create "+name, func() error { f, err = m.disk.Create(name); return err })
	if err != nil && f != nil {
		_ = f.Close()
	}
	return &mortalFile{file: f, disk: m, name: name}, err
}

func (m *mortal) MkdirAll(name string) error {
	return m.step("mkdir "+name, func() error { return m.disk.(rooted).root.MkdirAll(name, folderMode) })
}

func (m *mortal) Rename(from, to string) error {
	return m.step("rename "+from+" "+to, func() error { return m.disk.Rename(from, to) })
}

func (m *mortal) RemoveAll(name string) error {
	return m.step("remove "+name, func() error { return m.disk.RemoveAll(name) })
}

func (m *mortal) Sync(folder string) error {
	return m.step("sync "+folder, func() error { return nil })
}

type mortalFile struct {
	file
	disk *mortal
	name string
}

// Write leaves half of the bytes if the disk dies before the step.
func (f *mortalFile) Write(b []byte) (n int, err error) {
	alive := !f.disk.dead
	err = f.disk.step("write "+f.name, func() error { n, err = f.file.Write(b); return err })
	if alive && f.disk.dead && !f.disk.after {
		_, _ = f.file.Write(b[:len(b)/2])
	}
	return n, err
}

func (f *mortalFile) Sync() error {
	return f.disk.step("sync file "+f.name, func() error { return nil })
}

// Close always closes: the kernel does it for a dead process.
func (f *mortalFile) Close() error {
	return errors.Join(f.file.Close(), f.disk.step("close "+f.name, func() error { return nil }))
}
