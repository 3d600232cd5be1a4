// Package conformance checks a built plugin binary against the contract of the SDK: what sources, transforms, checks and sinks
// promise, each promise as one check with a name that stays. It needs no runtime, so that plugin authors can run it in their own
// CI, from a test (Test), from a program (Run) or with "qanat plugin test".
//
// The binary is started as the runtime starts it, by the small host in package strict; data comes from package sample. Checks run
// one after the other and start processes of their own where they kill, measure or starve them. README.md lists the checks.
package conformance
