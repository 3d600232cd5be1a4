// Package flow is the one flow loop: reader → transforms → checks → target → log → committer, for every kind of flow. It owns
// units, their accounting, recovery and taking over; DESIGN.md in this folder says in which order things happen and why nothing
// is lost or doubled. What a pipeline's flows do together is core/engine's business; tables are core/zone's, the log itself is
// core/broker's and plugin processes are core/pluginhost's.
//
// Rooms below, which know nothing of the loop: ledger has the state database's tables, tenure is how a runner comes by a flow, holds it
// and lets go, surroundings say what a failure is to be blamed on, progress is what the flows of one run know of each other,
// quarantine what a quarantine dataset holds, and keyed writes datasets whose rows have a key, as merge folds them.
package flow
