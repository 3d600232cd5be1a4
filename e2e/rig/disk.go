package rig

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is a small file system in memory, mounted where a test wants it.
type Disk struct {
	t    testing.TB
	path string
}

// Mount puts an empty disk of so many MiB over a folder, which is made if it is missing. Mounting takes root.
func Mount(t testing.TB, path string, mib int) *Disk {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("tmpfs", path, "tmpfs", 0, "mode=0700,size="+strconv.Itoa(mib)+"m")
	if errors.Is(err, syscall.EPERM) {
		t.Fatalf("mount a small disk at %q: %v: tests of full disks have to run as root, with the right to mount (CAP_SYS_ADMIN)", path, err)
	}
	if err != nil {
		t.Fatalf("mount a small disk at %q: %v", path, err)
	}
	// Lazily: a process that a failed test has left behind may still use it.
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	d := &Disk{t: t, path: path}
	if err := unix.Setxattr(path, "user.qanat", []byte("x"), 0); err != nil {
		t.Fatalf("the disk at %q holds no extended attributes, which objects need: %v: tests of full disks need Linux 6.6 or later", path, err)
	}
	return d
}

// Behind puts a folder of the real disk over one of the small disk's, for what would not fit.
func (d *Disk) Behind(name string) {
	d.t.Helper()
	path, real := filepath.Join(d.path, name), d.t.TempDir()
	if err := os.MkdirAll(path, 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := unix.Mount(real, path, "", unix.MS_BIND, ""); err != nil {
		d.t.Fatalf("mount %q at %q: %v", real, path, err)
	}
	d.t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

const filler = "filler"

// Fill takes all the room that is left.
func (d *Disk) Fill() {
	d.t.Helper()
	file, err := os.OpenFile(filepath.Join(d.path, filler), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for size := 1 << 20; size > 0; {
		_, err := file.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			d.t.Fatal(err)
		}
	}
}

// Free gives the room back.
func (d *Disk) Free() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.path, filler)); err != nil {
		d.t.Fatal(err)
	}
}
