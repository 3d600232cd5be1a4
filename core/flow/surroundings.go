package flow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite"

	"github.com/qanat-data/qanat/core/broker"
	"github.com/qanat-data/qanat/core/flow/ledger"
	"github.com/qanat-data/qanat/core/flow/tenure"
	"github.com/qanat-data/qanat/core/pluginhost"
	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/sdk"
)

// SurroundingsError says that a flow ended because of what it stands on: a server, a disk, a permission. Nothing is lost, and the
// next run goes on where this one ended.
type SurroundingsError struct {
	What string        // such as: the object store at s3:9000
	For  time.Duration // how long it was waited for; 0 if that would have been no use
	Err  error
}

// Error implements error.
func (e *SurroundingsError) Error() string {
	if e.For == 0 {
		return fmt.Sprintf("%s: %v", e.What, e.Err)
	}
	return fmt.Sprintf("gave up after waiting for %s for %s: %v", e.What, e.For.Round(time.Second/10), e.Err)
}

// Unwrap gives the cause.
func (e *SurroundingsError) Unwrap() error { return e.Err }

// blame is what a failure is to be blamed on, beside the flow itself.
type blame struct {
	what   string
	passes bool // waiting may help
	err    error
	whole  error // what the flow ends with, if that is more than the failure says
}

// Surroundings says whether a failure is one of what runs stand on: a server, a disk, a permission.
func Surroundings(err error) bool {
	_, theirs := surroundings(err)
	return theirs
}

// surroundings finds what is to blame for a failure, if it is neither the flow nor a plugin. A plugin's own words count only for a
// full disk.
func surroundings(err error) (blame, bool) {
	by, theirs := blamed(err)
	if by.whole == nil {
		by.whole = err
	}
	return by, theirs
}

func blamed(err error) (blame, bool) {
	if ended, ok := errors.AsType[*SurroundingsError](err); ok {
		return blame{what: ended.What, err: ended.Err}, true
	}
	if store, ok := errors.AsType[*zone.UnavailableError](err); ok {
		return blame{what: "the object store at " + store.Server, passes: store.Passing, err: store.Err}, true
	}
	if nats, ok := errors.AsType[*broker.UnavailableError](err); ok {
		return blame{what: nats.Server, passes: true, err: nats.Err}, true
	}
	if cutOff, ok := errors.AsType[*tenure.CutOffError](err); ok {
		return blame{what: state, passes: true, err: cutOff.Err}, true
	}
	if catalog, ok := errors.AsType[*zone.CatalogError](err); ok {
		return blame{what: "the Iceberg catalog at " + catalog.URI, passes: catalog.Passing, err: catalog.Err}, true
	}
	if zone.CatalogBusy(err) {
		return blame{what: "the Iceberg catalog", passes: true, err: err}, true
	}
	if failed, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteFailure(failed, err), true
	}
	if by, ours := pluginError(err); ours {
		return by, by.what != ""
	}
	return system(err)
}

const state = "the state database"

// sqliteFailure tells what ends by itself, or when somebody makes room, from what doesn't: https://sqlite.org/rescode.html
func sqliteFailure(failed *sqlite.Error, whole error) blame {
	const busy, locked, ioerr, full, cantopen, protocol = 5, 6, 10, 13, 14, 15
	by := blame{what: state, err: failed, whole: whole}
	switch failed.Code() & 0xff {
	case full:
		by.err, by.whole = fmt.Errorf("%w: %w", syscall.ENOSPC, failed), fmt.Errorf("%w: %w", syscall.ENOSPC, whole)
		by.passes = true
	case busy, locked, ioerr, cantopen, protocol:
		by.passes = true
	}
	return by
}

// pluginError says whether a plugin has failed, and finds the disk to be to blame where that is all that the plugin's words say:
// only they come over from its process.
func pluginError(err error) (blame, bool) {
	typed, said := errors.AsType[*sdk.Error](err)
	if said {
		if text := typed.Error(); strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, syscall.EDQUOT.Error()) {
			return blame{what: "room on the disk", passes: true, err: err}, true
		}
		return blame{}, true
	}
	if start, ok := errors.AsType[*pluginhost.StartError](err); ok {
		by, ours := system(start.Err)
		if !ours {
			by = blame{}
		}
		return by, true
	}
	_, memory := errors.AsType[*pluginhost.MemoryError](err)
	_, protocol := errors.AsType[*pluginhost.ProtocolError](err)
	return blame{}, memory || protocol || pluginhost.Retryable(err)
}

// system finds the operating system and the network to be to blame.
func system(err error) (blame, bool) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) {
			return blame{what: "room on the disk", passes: true, err: err}, true
		}
	}
	for _, broken := range []error{fs.ErrPermission, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, broken) {
			return blame{what: "the file system", passes: errors.Is(err, syscall.EIO), err: err}, true
		}
	}
	if ledger.Busy(err) { // the connection to it included
		return blame{what: state, passes: true, err: err}, true
	}
	var network net.Error
	if errors.As(err, &network) && !errors.Is(err, context.Canceled) {
		return blame{what: "the network", passes: true, err: err}, true
	}
	return blame{}, false
}
