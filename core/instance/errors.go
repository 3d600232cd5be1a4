package instance

import "errors"

// Callers act on these with errors.Is.
var (
	// ErrOwnerLost means that the process that runs the servers of this project
	// is gone. The command can be started again.
	ErrOwnerLost = errors.New("the qanat process that ran this project's servers has ended; start the command again")
	// ErrOwnerSilent means that another process holds the folder, but let
	// nobody in for as long as Settings.Wait.
	ErrOwnerSilent = errors.New("another qanat process holds the project folder and does not answer")
	// ErrOtherSettings means that the owner runs with other servers than this
	// command is to use.
	ErrOtherSettings = errors.New("the running qanat process uses other servers")
	// ErrClosed is the cause of contexts that outlive their instance.
	ErrClosed = errors.New("the instance is closed")
	// ErrGuestsLeft means that Close did not wait for all guests.
	ErrGuestsLeft = errors.New("closed while other commands still used it")

	// errNotReady: there is an owner, but it can't be joined yet, or no more.
	errNotReady = errors.New("not ready")
)
