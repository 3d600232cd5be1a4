package main

import "github.com/qanat-data/qanat/internal/pgtest"

// moment is when a process is killed: the nth time that something happens.
type moment struct {
	what string
	n    int
	fate pgtest.Fate // of what it was saying to the server, for moments that are statements
	late bool        // counted only once all tables have been read
	cuts bool        // until then connections break again and again, once all tables have been read
}

const status = "status" // a message of the protocol that confirms

// Moments of what is emitted, and of what becomes of it.
var emissions = []string{"batch", "batch taken", "checkpoint", "ledger", "ack", "acked"}

// statements are moments as the server hears them, by how far the ledger is: at the beginning, while tables are read, and afterwards.
var statements = [3][]string{
	{"create_replication_slot", "set transaction snapshot", "access share mode", "copy ("},
	{"start_replication", "txid_current_snapshot", "access share mode", "copy (", "pg_logical_emit_message", status},
	{"start_replication", "pg_logical_emit_message", status, status},
}

// once are statements whose text comes once on a connection, if at all.
var once = map[string]bool{"create_replication_slot": true, "start_replication": true, "txid_current_snapshot": true, "pg_logical_emit_message": true}

// some is a moment that is likely to come.
func (h *history) some() moment {
	m := moment{n: 1 + h.random.IntN(4), fate: pgtest.Lose, cuts: h.random.IntN(4) == 0}
	if h.random.IntN(2) == 0 {
		m.fate = pgtest.Unheeded
	}
	phase := 0
	switch at := h.ledger.position; {
	case streaming(at):
		phase = 2
	case at != nil || h.made():
		phase = 1
	}
	switch h.random.IntN(9) {
	case 0:
		m.what = "time"
	case 1, 2, 3, 4:
		m.what = statements[phase][h.random.IntN(len(statements[phase]))]
		if once[m.what] {
			m.n = 1
		}
	default:
		m.what, m.late = emissions[h.random.IntN(len(emissions))], phase < 2 && h.random.IntN(2) == 0
	}
	return m
}
