package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// killGroup kills a process group. That it is gone already is no fault.
func killGroup(leader int) {
	_ = syscall.Kill(-leader, syscall.SIGKILL)
}

// leash returns the two ends of a pipe. Once tied, the death of all holders of the writing end kills the group.
func leash() (plugins, hosts *os.File, err error) {
	plugins, hosts, err = os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make a pipe: %w", err)
	}
	return plugins, hosts, nil
}

// tie makes the kernel kill the group when the pipe's writing end goes. The setting belongs to the open pipe, which the plugin has
// inherited, so the caller may close its own descriptor.
func tie(plugins *os.File, leader int) error {
	raw, err := plugins.SyscallConn()
	if err != nil {
		return err
	}
	var tied error
	err = raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil {
			tied = err
			return
		}
		_, owner := unix.FcntlInt(fd, unix.F_SETOWN, -leader)
		_, signal := unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGKILL))
		_, async := unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_ASYNC)
		tied = errors.Join(owner, signal, async)
	})
	return errors.Join(err, tied)
}

// awaitExit blocks until the process has ended, and leaves it a zombie: while it is one, its number can't be taken by another
// process, so its group can be killed without hitting a stranger.
func awaitExit(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
