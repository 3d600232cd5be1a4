// Package surroundings says what a failure of a flow is to be blamed on, if that is neither the flow nor a plugin: a server, a disk, a
// permission, the network. It only judges: how long they are waited for is core/flow's business.
package surroundings

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

// Error says that a flow ended because of what it stands on: a server, a disk, a permission. Nothing is lost, and the next run goes
// on where this one ended.
type Error struct {
	What string        // such as: the object store at s3:9000
	For  time.Duration // how long it was waited for; 0 if that would have been no use
	Err  error
}

// Error implements error.
func (e *Error) Error() string {
	if e.For == 0 {
		return fmt.Sprintf("%s: %v", e.What, e.Err)
	}
	return fmt.Sprintf("gave up after waiting for %s for %s: %v", e.What, e.For.Round(time.Second/10), e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Blame is what a failure is to be blamed on, beside the flow itself.
type Blame struct {
	What   string
	Passes bool  // waiting may help
	Err    error // the failure itself, without what it came through
	Whole  error // what the flow ends with
}

// State is what is to blame where it is the state database.
const State = "the state database"

// Caused says whether a failure is one of what runs stand on: a server, a disk, a permission.
func Caused(err error) bool {
	_, theirs := Blamed(err)
	return theirs
}

// Blamed finds what is to blame for a failure; false if it is the flow or a plugin. A plugin's own words count only for a full disk.
func Blamed(err error) (Blame, bool) {
	by, theirs := blamed(err)
	if by.Whole == nil {
		by.Whole = err
	}
	return by, theirs
}

func blamed(err error) (Blame, bool) {
	if ended, ok := errors.AsType[*Error](err); ok {
		return Blame{What: ended.What, Err: ended.Err}, true
	}
	if store, ok := errors.AsType[*zone.UnavailableError](err); ok {
		return Blame{What: "the object store at " + store.Server, Passes: store.Passing, Err: store.Err}, true
	}
	if nats, ok := errors.AsType[*broker.UnavailableError](err); ok {
		return Blame{What: nats.Server, Passes: true, Err: nats.Err}, true
	}
	if cutOff, ok := errors.AsType[*tenure.CutOffError](err); ok {
		return Blame{What: State, Passes: true, Err: cutOff.Err}, true
	}
	if catalog, ok := errors.AsType[*zone.CatalogError](err); ok {
		return Blame{What: "the Iceberg catalog at " + catalog.URI, Passes: catalog.Passing, Err: catalog.Err}, true
	}
	if zone.CatalogBusy(err) {
		return Blame{What: "the Iceberg catalog", Passes: true, Err: err}, true
	}
	if failed, ok := errors.AsType[*sqlite.Error](err); ok {
		return sqliteFailure(failed, err), true
	}
	if by, ours := pluginError(err); ours {
		return by, by.What != ""
	}
	return system(err)
}

// sqliteFailure tells what ends by itself, or when somebody makes room, from what doesn't: https://sqlite.org/rescode.html
func sqliteFailure(failed *sqlite.Error, whole error) Blame {
	const busy, locked, ioerr, full, cantopen, protocol = 5, 6, 10, 13, 14, 15
	by := Blame{What: State, Err: failed, Whole: whole}
	switch failed.Code() & 0xff {
	case full:
		by.Err, by.Whole = fmt.Errorf("%w: %w", syscall.ENOSPC, failed), fmt.Errorf("%w: %w", syscall.ENOSPC, whole)
		by.Passes = true
	case busy, locked, ioerr, cantopen, protocol:
		by.Passes = true
	}
	return by
}

// pluginError says whether a plugin has failed, and finds the disk to be to blame where that is all that the plugin's words say:
// only they come over from its process.
func pluginError(err error) (Blame, bool) {
	typed, said := errors.AsType[*sdk.Error](err)
	if said {
		if text := typed.Error(); strings.Contains(text, syscall.ENOSPC.Error()) || strings.Contains(text, syscall.EDQUOT.Error()) {
			return Blame{What: "room on the disk", Passes: true, Err: err}, true
		}
		return Blame{}, true
	}
	if start, ok := errors.AsType[*pluginhost.StartError](err); ok {
		by, ours := system(start.Err)
		if !ours {
			by = Blame{}
		}
		return by, true
	}
	_, memory := errors.AsType[*pluginhost.MemoryError](err)
	_, protocol := errors.AsType[*pluginhost.ProtocolError](err)
	return Blame{}, memory || protocol || pluginhost.Retryable(err)
}

// system finds the operating system and the network to be to blame.
func system(err error) (Blame, bool) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) {
			return Blame{What: "room on the disk", Passes: true, Err: err}, true
		}
	}
	for _, broken := range []error{fs.ErrPermission, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, broken) {
			return Blame{What: "the file system", Passes: errors.Is(err, syscall.EIO), Err: err}, true
		}
	}
	if ledger.Busy(err) { // the connection to it included
		return Blame{What: State, Passes: true, Err: err}, true
	}
	var network net.Error
	if errors.As(err, &network) && !errors.Is(err, context.Canceled) {
		return Blame{What: "the network", Passes: true, Err: err}, true
	}
	return Blame{}, false
}
