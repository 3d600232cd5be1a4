// Package change holds the columns that make rows into changes: what a source that follows a database (change data capture) emits,
// and what the runtime folds into tables. It is for authors of such sources, and for transforms that must not break them.
//
// # The columns
//
// They stand behind a table's own columns, in this order:
//
//	_op         uint8                what happened: see Op
//	_pos        binary               where the transaction stands in the source's log; sorts bytewise
//	_tx_seq     int64                ordinal of the change in its transaction, from 1; 0 in snapshot rows
//	_ts         timestamp[us, UTC]   when the transaction was committed
//	_before     struct               the row before the change, the table's columns, all nullable; null if nothing is known
//	_unchanged  list<utf8>           columns that were not sent because they did not change; null if none
//
// Use Schema to get them, and Builder to fill them.
//
// # What a source promises
//
//   - Changes are emitted in the order of (_pos, _tx_seq). A checkpoint never stands inside a transaction.
//   - Every change but a truncate has its key columns set.
//   - A delete has its key columns set and all others null.
//   - A truncate has null in every column of the table. It empties the table; what follows it counts.
//   - A change of the key is one update: the row has the new key, _before the old one. Nothing else tells the runtime that the row
//     under the old key is gone.
//   - _before holds the whole old row, or only its key columns; with only the key it is set for deletes and changes of the key alone.
//   - A column that the log left out (an out-of-line value in PostgreSQL that did not change) is null and named in _unchanged. Never
//     send a value that stands for "unchanged", and never name a column of the key.
//   - Snapshot rows have _op Snapshot and _tx_seq 0; _pos is where the snapshot was taken, so that every later change sorts behind it.
//
// As truncates have no key, all columns of a table are nullable in change data.
//
// # Transforms
//
// A transform that keeps the change columns keeps the meaning of the rows. One that renames a column, or derives one from a column
// that may be named in _unchanged, has to bring _before and _unchanged in line.
package change
