package conformance

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// probe runs the operator's command and returns what it prints; "" without one.
func (s *suite) probe(ctx context.Context) (string, error) {
	if s.Probe == "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit(answerLimit))
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", s.Probe) //nolint:gosec // the operator's own command
	cmd.Dir = s.Dir
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("probe %q: %w: %s", s.Probe, err, strings.TrimSpace(problems.String()))
	}
	return out.String(), nil
}

// noProbe skips a check that has to look at what the plugin does outside.
func (s *suite) noProbe() error {
	if s.Probe != "" {
		return nil
	}
	return skip("what happens outside of the plugin was not looked at", "give --probe, a command that prints a digest of what the plugin changes outside")
}

// runName makes what this run leaves behind different from what others have left.
func runName() string { return strings.ToLower(rand.Text()[:8]) }
