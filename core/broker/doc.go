// Package broker is Qanat's room for NATS JetStream: the embedded server, the
// connection to it or to an external one, the logs of flows, and journals, to
// which many processes add notes.
//
// A log is the durable hand-over of one flow between what produces batches and
// what commits them. One Publisher writes it, fenced by epoch; a Reader follows
// it in order; Purge frees what a ledger row covers. The package knows frames,
// not what is in them: units, ledger and retries live in core/flow, and the
// processes that share a server in core/instance.
//
// DESIGN.md in this folder says how a publisher keeps order without loss or
// duplicates. No other package of core imports nats.go or nats-server.
package broker
