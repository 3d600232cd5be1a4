// Package pluginhost is the host's side of the plugin protocol: it finds the binary that the lock file pins, runs it in a process
// of its own, and gives the flow loop a handle on one instance of one component.
//
// A Host makes handles: Read, Transform, Check and Sink. Each owns one process, which ends with the handle; nothing that one
// instance does can disturb another. What a plugin says is distrusted: a claim that does not hold (a row count, an index, a schema
// that was not announced, a frame out of order) ends the handle with a *ProtocolError.
//
// The errors of a handle stay: after the first, every call returns it. Errors that the plugin reports are *sdk.Error and keep
// their kind; besides there are *CrashError, *StartError, *DeadlineError, *MemoryError and *ProtocolError of this package, and
// *registry.ChangedError, *registry.MissingError and *registry.ManifestError for the environment. Retryable says which of them
// another attempt may mend.
//
// Batches given to a handle stay the caller's; the handle retains what it still needs. Batches taken from a handle are the
// caller's to release.
//
// How processes are kept in bounds is the business of package process below; what may run at all, of package registry.
package pluginhost
