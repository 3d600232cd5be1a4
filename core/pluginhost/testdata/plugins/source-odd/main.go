// Command source-odd misbehaves in the way that its settings say, or the variable ODD for what happens before there are settings.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/qanat-data/qanat/sdk"
)

type config struct {
	Mode string `json:"mode,omitempty"`
	File string `json:"file,omitempty"`
}

func main() {
	info := sdk.Info{Name: "odd", Version: "1.0.0"}
	switch os.Getenv("ODD") {
	case "print":
		fmt.Println("hello, I am a plugin")
	case "exit":
		fmt.Fprintln(os.Stderr, "no licence")
		os.Exit(3)
	case "hang":
		select {}
	case "hoard":
		_ = hoard(context.Background(), nil)
	case "other":
		info.Version = "2.0.0"
	case "lie":
		serveLies()
	}
	sdk.Serve(info, sdk.SourceOf(open))
}

type source struct{ config }

func open(_ context.Context, c config, env sdk.Env) (*source, error) {
	env.Log.Info("opened", "mode", c.Mode)
	if c.Mode == "scratch" {
		return &source{c}, os.WriteFile(env.Scratch+"/left-behind", nil, 0o600)
	}
	return &source{c}, nil
}

// Test tells what the process sees of the world.
func (s *source) Test(ctx context.Context) (string, error) {
	switch s.Mode {
	case "env":
		return strings.Join(os.Environ(), "\x00"), nil
	case "stdin":
		return os.Readlink("/proc/self/fd/0")
	case "executable":
		return os.Readlink("/proc/self/exe")
	case "folder":
		return os.Getwd()
	case "hang":
		<-ctx.Done()
		select {}
	}
	return "", sdk.ConfigError("/mode", "%q is nothing to test", s.Mode)
}

func (*source) Streams(context.Context) ([]sdk.Stream, error) {
	return []sdk.Stream{{Name: "twice"}, {Name: "twice"}}, nil
}

func (s *source) Read(ctx context.Context, _ sdk.ReadRequest, out sdk.Emitter) error {
	switch s.Mode {
	case "panic":
		fmt.Fprintln(os.Stderr, "about to fail")
		go func() { panic("boom") }()
		<-ctx.Done()
	case "exit":
		os.Exit(7)
	case "print":
		fmt.Println("a line that belongs nowhere")
		return out.Checkpoint(ctx, sdk.Position("1"))
	case "flood":
		// The descriptor itself: go-plugin has put os.Stderr on the connection, which a crash cuts off.
		stderr := bufio.NewWriter(os.NewFile(2, "stderr"))
		for i := range 50_000 {
			fmt.Fprintf(stderr, "line %d of very many\n", i)
		}
		fmt.Fprintln(stderr, strings.Repeat("x", 1<<20))
		fmt.Fprintln(stderr, "the last words")
		stderr.Flush()
		os.Exit(9)
	case "fork":
		return s.fork(ctx, out)
	case "escape", "escape and exit":
		return s.escape(ctx, out)
	case "memory":
		return hoard(ctx, out)
	case "stopped":
		if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
			return err
		}
		select {}
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		if err := out.Checkpoint(ctx, sdk.Position("1")); err != nil {
			return err
		}
		select {}
	case "schemaless":
		return out.Checkpoint(ctx, sdk.Position("not JSON"))
	}
	return errors.New("nothing is wrong")
}

// fork leaves a child that a kill of its parent alone would not reach, and waits.
func (s *source) fork(ctx context.Context, out sdk.Emitter) error {
	child := exec.Command("/bin/sleep", "1000")
	if err := child.Start(); err != nil {
		return err
	}
	text := fmt.Sprintf("%d %d", os.Getpid(), child.Process.Pid)
	if err := os.WriteFile(s.File+".part", []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Rename(s.File+".part", s.File); err != nil {
		return err
	}
	if err := out.Checkpoint(ctx, sdk.Position("1")); err != nil {
		return err
	}
	select {}
}

// escape leaves children in sessions of their own: one, one whose parent is gone, and one that knows nothing of the plugin.
func (s *source) escape(ctx context.Context, out sdk.Emitter) error {
	pids := []int{os.Getpid()}
	own := exec.Command("/bin/sleep", "1000")
	own.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stripped := exec.Command("/bin/sleep", "1000")
	stripped.SysProcAttr, stripped.Env = own.SysProcAttr, []string{"A=b"}
	children := []*exec.Cmd{own, stripped}
	if s.Mode == "escape and exit" {
		children = children[:1]
	}
	for _, child := range children {
		if err := child.Start(); err != nil {
			return err
		}
		pids = append(pids, child.Process.Pid)
	}
	orphan, err := exec.Command("/bin/sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!").Output()
	if err != nil {
		return err
	}
	text := fmt.Sprint(pids[0])
	for _, pid := range pids[1:] {
		text += fmt.Sprintf(" %d", pid)
	}
	if err := os.WriteFile(s.File+".part", []byte(text+" "+string(orphan)), 0o600); err != nil {
		return err
	}
	if err := os.Rename(s.File+".part", s.File); err != nil {
		return err
	}
	if s.Mode == "escape and exit" {
		os.Exit(5)
	}
	if err := out.Checkpoint(ctx, sdk.Position("1")); err != nil {
		return err
	}
	select {}
}

// hoard takes memory until it is killed; out may be nil.
func hoard(ctx context.Context, out sdk.Emitter) error {
	var kept [][]byte
	for ctx.Err() == nil {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
		if out != nil {
			out.Progress(sdk.Progress{Rows: uint64(len(kept))})
		}
		if len(kept) == 4096 {
			return errors.New("nobody minded")
		}
	}
	return ctx.Err()
}

func (*source) Close(context.Context) error { return nil }
