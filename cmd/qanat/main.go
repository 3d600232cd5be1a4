// Command qanat is the operator's tool: it validates, plans and runs pipelines, and answers questions about what they made.
// One file for each verb: flags, wiring, printing, exit codes. What the verbs do is in core.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// memoryTarget is how much memory Go's collector aims to stay below, unless GOMEMLIMIT says otherwise. What is alive is far less:
// without a target, garbage of large record batches would pile up to twice of that.
const memoryTarget = 256 << 20

func main() {
	os.Exit(run())
}

func run() int {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryTarget)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}
