package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// folder is the .qanat of a project.
type folder string

func (f folder) lock() string    { return filepath.Join(string(f), "lock") }
func (f folder) runFile() string { return filepath.Join(string(f), "run.json") }
func (f folder) state() string   { return filepath.Join(string(f), "state.db") }
func (f folder) broker() string  { return filepath.Join(string(f), "nats") }
func (f folder) objects() string { return filepath.Join(string(f), "objects") }

// openFolder makes the folder if it is missing, and private if it is not.
func openFolder(dir string) (folder, error) {
	if dir == "" {
		return "", errors.New("no project folder was named")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("project folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("project folder: %w", err)
	}
	if err := makePrivate(dir); err != nil {
		return "", fmt.Errorf("project folder: %w", err)
	}
	return folder(dir), nil
}

func makePrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm() == 0o700 {
		return nil
	}
	return os.Chmod(dir, 0o700) //nolint:gosec // a folder needs its x bit
}

// tryLock takes the lock for as long as the file is open; nil means that
// another process has it. A killed process loses it at once.
func (f folder) tryLock() (*os.File, error) {
	file, err := os.OpenFile(f.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the project folder: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close() // nothing was written
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock the project folder %q: %w", string(f), err)
}

// maxSocketPath is what a socket's address holds, without the closing zero.
const maxSocketPath = 107

// socket is where the control endpoint listens: in the folder, or, where that
// path is too long for a socket, in a private folder below the system's
// temporary one. Its name follows from the folder's, so that nothing piles up.
func (f folder) socket() (string, error) {
	path := filepath.Join(string(f), "control.sock")
	if len(path) <= maxSocketPath {
		return path, nil
	}
	sum := sha256.Sum256([]byte(f))
	dir := filepath.Join(os.TempDir(), "qanat-"+strconv.Itoa(os.Getuid())+"-"+hex.EncodeToString(sum[:8]))
	if path = filepath.Join(dir, "control.sock"); len(path) > maxSocketPath {
		return "", fmt.Errorf("control endpoint: %q is too long for a socket, %d bytes are allowed: set TMPDIR to a shorter path", path, maxSocketPath)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("control endpoint: %w", err)
	}
	return path, checkOwned(dir)
}

// checkOwned refuses a folder in a shared place that somebody else has made.
func checkOwned(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("control endpoint: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() || info.Mode().Perm() != 0o700 {
		return fmt.Errorf("control endpoint: %q is not a private folder of this user", dir)
	}
	return nil
}

// run is what the owner tells its guests.
type run struct {
	Version int    `json:"version"`
	PID     int    `json:"pid"`
	Control string `json:"control"`
	State   string `json:"state"`   // where the state database is
	Catalog string `json:"catalog"` // and the Iceberg catalog; empty for the state database
	NATS    server `json:"nats"`
	Objects server `json:"objects"`
}

// server is a server that the owner runs (embedded) or uses.
type server struct {
	Embedded bool   `json:"embedded"`
	Address  string `json:"address"`
	User     string `json:"user,omitempty"`
	Secret   string `json:"secret,omitempty"`
	Root     string `json:"root,omitempty"`
}

const runVersion = 2

// write replaces the run file in one step.
func (f folder) write(r run) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("run file: %w", err)
	}
	temp, err := os.CreateTemp(string(f), ".run-*") // 0600
	if err != nil {
		return fmt.Errorf("run file: %w", err)
	}
	_, err = temp.Write(append(text, '\n'))
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.runFile())
	}
	if err != nil {
		return fmt.Errorf("run file: %w", errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

func (f folder) read() (run, error) {
	text, err := os.ReadFile(f.runFile())
	if err != nil {
		return run{}, fmt.Errorf("%w: %w", errNotReady, err)
	}
	var r run
	if err := json.Unmarshal(text, &r); err != nil {
		return run{}, fmt.Errorf("%w: run file: %w", errNotReady, err)
	}
	return r, nil
}

// clear removes what an owner that crashed has left, and what this one has written.
func (f folder) clear() error {
	socket, err := f.socket()
	if err != nil {
		return err
	}
	for _, path := range []string{f.runFile(), socket} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear the project folder: %w", err)
		}
	}
	if dir := filepath.Dir(socket); dir != string(f) {
		return os.Remove(dir)
	}
	return nil
}
