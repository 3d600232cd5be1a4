// Package registry says what a plugin is and where it comes from: the manifest that a binary declares, the plugin folders that
// binaries are found in, their digests, and the lock file that pins the ones a project trusts.
//
// Trust is on first use: a binary that the lock does not know is added to it when it is first needed; from then on only that very
// binary runs, until a person accepts another one. Nothing here starts a process; that is the business of core/pluginhost.
package registry
