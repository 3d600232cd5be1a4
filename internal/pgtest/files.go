package pgtest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

const (
	binVariable = "QANAT_POSTGRES_BIN"
	superuser   = "qanat"
)

// binaries is the folder of initdb and postgres: $QANAT_POSTGRES_BIN, that of initdb in the path, or where Debian puts it.
func binaries() (string, error) {
	if dir := os.Getenv(binVariable); dir != "" {
		return dir, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path)
		return filepath.Dir(path), err
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(fmt.Errorf("no PostgreSQL server: run \"make tools\", or set %s to the folder of initdb and postgres", binVariable), err)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// account is whom the server runs as instead of root, which it refuses; nil if this process isn't root's.
func account() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

// give makes paths the account's.
func give(to *syscall.Credential, paths ...string) error {
	if to == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(to.Uid), int(to.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// run runs a program as an account in a folder that it may enter.
func run(as *syscall.Credential, dir, program string, args ...string) error {
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // a tool of tests
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGQUIT}
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, said)
	}
	return nil
}

// template is the files that initdb makes: once for all servers of a process, and gone with the last of them.
var template struct {
	mu       sync.Mutex
	servers  int
	dir      string
	password string
}

// fill gives a server files and their password. Whoever is done with the server calls leave.
func (s *Server) fill() error {
	if err := s.enter(); err != nil {
		return err
	}
	err := give(s.account, s.dir)
	if err == nil {
		err = run(s.account, s.dir, "cp", "-R", filepath.Join(template.dir, "data"), s.data())
	}
	if err != nil {
		leave()
	}
	return err
}

func (s *Server) enter() error {
	template.mu.Lock()
	defer template.mu.Unlock()
	if template.servers == 0 {
		if err := makeTemplate(s); err != nil {
			_ = os.RemoveAll(template.dir)
			return err
		}
	}
	template.servers++
	s.password = template.password
	return nil
}

func leave() {
	template.mu.Lock()
	defer template.mu.Unlock()
	if template.servers--; template.servers == 0 {
		_ = os.RemoveAll(template.dir)
	}
}

func makeTemplate(s *Server) error {
	var err error
	if template.dir, err = os.MkdirTemp("", "qanat-postgres-"); err != nil {
		return err
	}
	template.password = rand.Text()
	secret := filepath.Join(template.dir, "password")
	if err := os.WriteFile(secret, []byte(template.password), 0o600); err != nil {
		return err
	}
	if err := give(s.account, template.dir, secret); err != nil {
		return err
	}
	return run(s.account, template.dir, s.Program("initdb"), "-D", filepath.Join(template.dir, "data"), "-U", superuser, "--auth=scram-sha-256",
		"--pwfile="+secret, "--no-sync", "--encoding=UTF8", "--locale=C")
}
