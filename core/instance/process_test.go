package instance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/qanat-data/qanat/core/zone/objects"
	"github.com/qanat-data/qanat/core/zone/zonetest"
	"github.com/qanat-data/qanat/internal/pgtest"
)

// The test binary runs itself as other qanat processes: with this variable it
// opens the folder that it names, says what it became, and obeys its input.
const asProcess = "QANAT_TEST_INSTANCE"

const (
	saidOwner  = "owner"
	saidGuest  = "guest"
	saidLost   = "lost"
	saidClosed = "closed"
	sayClose   = "close"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(asProcess); dir != "" {
		if err := process(dir, os.Getenv(asProcess+"_PREFIX")); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(pgtest.Stopping(m), zonetest.Leaks()...)
}

func process(dir, prefix string) error {
	ctx := context.Background()
	i, err := Open(ctx, Settings{Dir: dir, Objects: objects.Settings{BucketPrefix: prefix}, Logger: stderrLogger()})
	if err != nil {
		return err
	}
	if i.Owner() {
		fmt.Println(saidOwner)
	} else {
		fmt.Println(saidGuest)
	}
	closing := make(chan struct{})
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		if strings.TrimSpace(line) == sayClose {
			close(closing)
		}
	}()
	select {
	case <-closing:
	case <-i.Lost():
		fmt.Println(saidLost)
	}
	if err := i.Close(ctx); err != nil && i.Owner() {
		return err
	}
	fmt.Println(saidClosed)
	return nil
}

func stderrLogger() hclog.Logger {
	level := hclog.LevelFromString(os.Getenv("QANAT_TEST_LOG"))
	if level == hclog.NoLevel {
		level = hclog.Off
	}
	return hclog.New(&hclog.LoggerOptions{Name: fmt.Sprint(os.Getpid()), Level: level, Output: os.Stderr})
}

// other is another process.
type other struct {
	t     *testing.T
	cmd   *exec.Cmd
	input io.Writer
	said  *bufio.Scanner
}

func startProcess(ctx context.Context, t *testing.T, s Settings) *other {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), asProcess+"="+s.Dir, asProcess+"_PREFIX="+s.Objects.BucketPrefix)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := &other{t: t, cmd: cmd, input: input, said: bufio.NewScanner(output)}
	t.Cleanup(o.kill)
	return o
}

// says waits for the process's next word and checks that it is one of these.
func (o *other) says(words ...string) string {
	o.t.Helper()
	if !o.said.Scan() {
		o.t.Fatalf("the process ended, expected it to say one of %q", words)
	}
	word := o.said.Text()
	if !slices.Contains(words, word) {
		o.t.Fatalf("the process said %q, expected one of %q", word, words)
	}
	return word
}

func (o *other) tell(word string) {
	o.t.Helper()
	if _, err := io.WriteString(o.input, word+"\n"); err != nil {
		o.t.Fatal(err)
	}
}

// kill ends the process without a chance to clean up, and waits until it is gone.
func (o *other) kill() {
	_ = o.cmd.Process.Signal(syscall.SIGKILL)
	_ = o.cmd.Wait()
}

func readRun(t *testing.T, s Settings) run {
	t.Helper()
	text, err := os.ReadFile(folder(s.Dir).runFile())
	if err != nil {
		t.Fatal(err)
	}
	var r run
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}
