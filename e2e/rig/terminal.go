package rig

import (
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudo terminal.
type Terminal struct {
	near, far *os.File
	output    output
	done      chan struct{}
}

// NewTerminal opens a terminal of so many columns.
func NewTerminal(t testing.TB, columns uint16) *Terminal {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(far.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: 24}); err != nil {
		t.Fatal(err)
	}
	x := &Terminal{near: near, far: far, done: make(chan struct{})}
	go func() {
		defer close(x.done)
		_, _ = io.Copy(&x.output, near) // ends with an error when the far end is closed
	}()
	t.Cleanup(func() {
		_ = far.Close()
		<-x.done
		_ = near.Close()
	})
	return x
}

// Shown is everything that was ever written to the terminal.
func (x *Terminal) Shown() string { return x.output.String() }

// On makes a command's errors, and its progress, go to a terminal.
func (p *Project) On(x *Terminal, args ...string) *Running {
	p.t.Helper()
	return p.start(x.far, args...)
}
