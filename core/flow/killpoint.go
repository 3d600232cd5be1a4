package flow

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// killPoint names the point where the process dies, and on which pass: QANAT_KILL_AT=before-ledger:3. For crash tests only.
const killVariable = "QANAT_KILL_AT"

var killPoint, killPasses = parseKill(os.Getenv(killVariable))

func parseKill(s string) (string, *atomic.Int64) {
	name, pass, _ := strings.Cut(s, ":")
	n, err := strconv.ParseInt(pass, 10, 64)
	if err != nil {
		n = 1
	}
	left := &atomic.Int64{}
	left.Store(n)
	return name, left
}

// crashpoint dies as by kill -9 if the point was chosen.
func crashpoint(name string) {
	if name == killPoint && killPasses.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
