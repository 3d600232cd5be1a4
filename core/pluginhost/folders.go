package pluginhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/qanat-data/qanat/core/pluginhost/process"
)

// folders are the host's temporary ones: scratch folders of instances, and sockets. They lie in a folder of this host, which is
// locked for as long as the host lives, so that the next one can tell what a killed host has left behind.
type folders struct {
	root    string
	sockets string
	lock    *os.File
	count   atomic.Uint64
}

const (
	hostPrefix = "host-"
	lockName   = ".lock"
	// socketsName is the folder for sockets, or a link to where it is.
	socketsName = "s"
	// maxSockets is the longest path of the folder for sockets: a socket's path has at most 107 bytes, of which the instance's
	// number, go-plugin's folder and its file take up to 45.
	maxSockets = 107 - 45
)

func newFolders(dir string) (*folders, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for temporary files: %w", err)
	}
	sweep(dir)
	root, err := os.MkdirTemp(dir, hostPrefix)
	if err != nil {
		return nil, fmt.Errorf("folder for temporary files: %w", err)
	}
	f := &folders{root: root}
	if f.lock, err = lockFolder(root); err == nil {
		f.sockets, err = socketFolder(root)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("folder for sockets: %w", err), f.close())
	}
	return f, nil
}

// sweep removes the folders of hosts that are gone, and ends what their plugins have left running. What can't be removed now is left
// for the next time.
func sweep(dir string) {
	left, err := filepath.Glob(filepath.Join(dir, hostPrefix+"*"))
	if err != nil {
		return
	}
	for _, root := range left {
		lock, err := lockFolder(root)
		if err != nil {
			continue
		}
		process.EndStrays(root)
		if elsewhere, err := os.Readlink(filepath.Join(root, socketsName)); err == nil {
			_ = os.RemoveAll(elsewhere)
		}
		_ = os.RemoveAll(root)
		_ = lock.Close()
	}
}

func lockFolder(root string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(root, lockName), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // below the state folder
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// socketFolder is below root, unless that path is too long for sockets; then a link says where it is.
func socketFolder(root string) (string, error) {
	path := filepath.Join(root, socketsName)
	if len(path) <= maxSockets {
		return path, os.Mkdir(path, 0o700)
	}
	for _, dir := range []string{os.TempDir(), "/tmp"} {
		if len(filepath.Join(dir, "qanat-0123456789")) > maxSockets {
			continue
		}
		elsewhere, err := os.MkdirTemp(dir, "qanat-")
		if err != nil {
			return "", err
		}
		return elsewhere, os.Symlink(elsewhere, path)
	}
	return "", fmt.Errorf("%q is too long, at most %d bytes are allowed", root, maxSockets)
}

// instance makes a scratch folder and a folder for the socket.
func (f *folders) instance(name string) (scratch, sockets string, err error) {
	number := strconv.FormatUint(f.count.Add(1), 36)
	scratch, sockets = filepath.Join(f.root, name+"-"+number), filepath.Join(f.sockets, number)
	return scratch, sockets, errors.Join(os.Mkdir(scratch, 0o700), os.Mkdir(sockets, 0o700))
}

func (f *folders) close() error {
	err := os.RemoveAll(f.root)
	if f.sockets != "" {
		err = errors.Join(err, os.RemoveAll(f.sockets))
	}
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}
