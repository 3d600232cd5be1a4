// Package tenure is how a runner comes by a flow, holds it and lets go: it waits for an owner that gives signs of life, judges by what
// it has seen whether one is gone, claims the flow in the state database, gives signs of life itself, and ends its session when it is
// fenced or cut off. The compare-and-set and the epochs are core/flow/ledger's; what else is fenced when a flow is taken over, and
// what a session does, is core/flow's business.
package tenure
