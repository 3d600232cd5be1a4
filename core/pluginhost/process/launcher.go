package process

import (
	"errors"
	"runtime"
	"sync"
)

// ErrClosed says that the launcher, or the process, was closed by its owner.
var ErrClosed = errors.New("closed by the host")

// Launcher forks all plugins from one operating system thread.
type Launcher struct {
	jobs chan func()
	done chan struct{}
	once sync.Once
	quit chan struct{}
}

// NewLauncher starts the thread.
func NewLauncher() *Launcher {
	l := &Launcher{jobs: make(chan func()), done: make(chan struct{}), quit: make(chan struct{})}
	go l.loop()
	return l
}

// loop never unlocks its thread: the thread ends with the loop, and with the thread whatever it has forked.
func (l *Launcher) loop() {
	runtime.LockOSThread()
	defer close(l.done)
	for {
		select {
		case job := <-l.jobs:
			job()
		case <-l.quit:
			return
		}
	}
}

// do runs a job on the thread and waits for it.
func (l *Launcher) do(job func() error) error {
	result := make(chan error, 1)
	select {
	case l.jobs <- func() { result <- job() }:
		return <-result
	case <-l.quit:
		return ErrClosed
	}
}

// Close ends the thread. Processes that still run are killed by it; close them first.
func (l *Launcher) Close() {
	l.once.Do(func() { close(l.quit) })
	<-l.done
}
