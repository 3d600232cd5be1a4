// Package strict is a small host of plugins that believes nothing: it runs a binary as the runtime does (its own process group,
// mutual TLS over a unix socket, no environment but what is named) and holds every frame to the protocol. What breaks it is a
// *Violation, what ends a process a *Crash, what takes too long a *Late; errors that the plugin reports are *sdk.Error.
//
// It is the ground that the conformance suite stands on. The runtime's own host, with restarts and flow control, is
// core/pluginhost.
package strict
