// Command qanat is the operator's tool: it validates, plans and runs pipelines, and answers questions about what they made.
// One file for each verb: flags, wiring, printing, exit codes. What the verbs do is in core.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
