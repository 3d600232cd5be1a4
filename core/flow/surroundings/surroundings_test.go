package surroundings

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"testing"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

func TestFailuresAreBlamedOnWhoeverCausedThem(t *testing.T) {
	t.Parallel()
	store := &zone.UnavailableError{Server: "s3:9000", Passing: true, Err: errors.New("503 SlowDown")}
	for name, c := range map[string]struct {
		err    error
		what   string // empty: not the surroundings
		passes bool
	}{
		"the store":                 {err: fmt.Errorf("commit: %w", store), what: "the object store at s3:9000", passes: true},
		"wrong keys":                {err: &zone.UnavailableError{Server: "s3:9000", Err: errors.New("403")}, what: "the object store at s3:9000"},
		"NATS":                      {err: &broker.UnavailableError{Server: "NATS at n:4222", Err: io.EOF}, what: "NATS at n:4222", passes: true},
		"NATS while cancelled":      {err: &broker.UnavailableError{Server: "NATS at n:4222", Err: context.Canceled}, what: "NATS at n:4222", passes: true},
		"a full disk":               {err: &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, what: "room on the disk", passes: true},
		"a plugin's full disk":      {err: sdk.Fatal(errors.New("write /out/x: no space left on device")), what: "room on the disk", passes: true},
		"a file of somebody else":   {err: &fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES}, what: "the file system"},
		"the network":               {err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, what: State, passes: true},
		"a runner that was cut off": {err: &tenure.CutOffError{Flow: "f", Err: io.EOF}, what: State, passes: true},
		"a plugin's word":           {err: sdk.Retryable(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, 0)},
		"a plugin's last word":      {err: sdk.Fatal(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})},
		"a crash":                   {err: &pluginhost.CrashError{Kind: "sink", Name: "x"}},
		"too much memory":           {err: &pluginhost.MemoryError{Kind: "sink", Name: "x"}},
		"a lost log":                {err: fmt.Errorf("read: %w", broker.ErrLogNotFound)},
		"a gap":                     {err: &broker.GapError{First: 1, Last: 2}},
		"a cancelled context":       {err: context.Canceled},
		"a fence":                   {err: errors.Join(ledger.ErrFenced, store), what: "the object store at s3:9000", passes: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by, theirs := Blamed(c.err)
			if theirs != (c.what != "") || by.What != c.what || by.Passes != c.passes {
				t.Errorf("blamed on %q (%v, passes: %v), want %q (passes: %v)", by.What, theirs, by.Passes, c.what, c.passes)
			}
			if Caused(c.err) != theirs || by.Whole == nil {
				t.Errorf("blamed: %v, whole: %v", theirs, by.Whole)
			}
		})
	}
}
