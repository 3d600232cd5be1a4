package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/qanat-data/qanat/sdk/change"
)

// The tables of a bank: what entries come to is in each of the others.
const accounts, branches, entries, tellers = "accounts", "branches", "entries", "tellers"

// How many branches and tellers a bank has.
const manyBranches, manyTellers = 5, 20

// bank is made-up tables whose amounts have one sum after each transaction.
type bank struct {
	keys  int64 // of accounts
	books map[string]*table
}

func newBank(keys int64) *bank {
	b := &bank{keys: keys, books: map[string]*table{}}
	for _, name := range b.streams() {
		b.books[name] = &table{keys: keys, rows: map[int64]row{}}
	}
	return b
}

func (*bank) streams() []string { return []string{accounts, branches, entries, tellers} }

func (b *bank) text(stream string) ([]byte, error) { return b.books[stream].text(stream) }

// transact carries out a transaction, which changes every table, and appends its changes to out.
func (b *bank) transact(number int64, out builders) {
	random := rand.New(rand.NewPCG(uint64(number), 11))
	tx := &transaction{number: number, out: out}
	if number%601 == 600 {
		for _, name := range b.streams() {
			clear(b.books[name].rows)
			if to := out[name]; to != nil {
				to.AppendTruncate(tx.next(change.Truncate))
			}
		}
		return
	}
	id, by := random.Int64N(b.keys), random.Int64N(1000)-500
	switch random.IntN(10) {
	case 0:
		b.takeBack(tx, random.Int64N(number+1))
	case 1:
		b.renumber(tx, id, random.Int64N(b.keys))
	case 2:
		b.closeAccount(tx, id, (id+1)%b.keys)
	}
	b.add(tx, accounts, id, by)
	b.add(tx, tellers, random.Int64N(manyTellers), by)
	b.add(tx, branches, random.Int64N(manyBranches), by)
	b.add(tx, entries, number, by)
}

// takeBack removes an entry, and its amount everywhere.
func (b *bank) takeBack(tx *transaction, entry int64) {
	have, there := b.books[entries].rows[entry]
	if !there {
		return
	}
	b.remove(tx, entries, entry)
	b.add(tx, accounts, entry%b.keys, -have.Amount)
	b.add(tx, tellers, entry%manyTellers, -have.Amount)
	b.add(tx, branches, entry%manyBranches, -have.Amount)
}

// renumber gives an account another number, if that is free.
func (b *bank) renumber(tx *transaction, id, to int64) {
	rows := b.books[accounts].rows
	have, there := rows[id]
	if _, taken := rows[to]; taken || !there {
		return
	}
	delete(rows, id)
	have.ID = to
	rows[to] = have
	put(tx.out[accounts], have, tx.next(change.Update), &id)
}

// closeAccount removes an account, and gives another one what was in it.
func (b *bank) closeAccount(tx *transaction, id, heir int64) {
	have, there := b.books[accounts].rows[id]
	if !there {
		return
	}
	b.remove(tx, accounts, id)
	b.add(tx, accounts, heir, have.Amount)
}

func (b *bank) remove(tx *transaction, stream string, id int64) {
	delete(b.books[stream].rows, id)
	if to := tx.out[stream]; to != nil {
		to.Column(0).(*array.Int64Builder).Append(id)
		to.Column(1).AppendNull()
		to.Column(2).AppendNull()
		to.Append(tx.next(change.Delete))
	}
}

// add changes the amount of a row, which may be new. Every other time the note stays what it was, and is not said again.
func (b *bank) add(tx *transaction, stream string, id, by int64) {
	rows := b.books[stream].rows
	have, there := rows[id]
	now := row{ID: id, Amount: have.Amount + by, Note: fmt.Sprintf("note %d", tx.number)}
	c := tx.next(change.Insert)
	if there {
		c.Op = change.Update
	}
	if there && tx.number%2 == 0 {
		now.Note, c.Unchanged = have.Note, []string{"note"}
	}
	rows[id] = now
	put(tx.out[stream], now, c, nil)
}

// transaction numbers its changes, over all tables.
type transaction struct {
	number, seq int64
	out         builders
}

func (t *transaction) next(op change.Op) change.Change {
	t.seq++
	return of(op, t.number, t.seq)
}
