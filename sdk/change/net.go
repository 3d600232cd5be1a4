package change

import "github.com/apache/arrow-go/v18/arrow"

// Net is the schema of net changes, as readers of a table with a key get them: the table's columns, nullable, and _op, _pos, _tx_seq and
// _ts of the last change of each key.
func Net(table *arrow.Schema) *arrow.Schema {
	full := Schema(table, nil)
	fields := full.Fields()[:table.NumFields()+4]
	return arrow.NewSchema(fields, nil)
}
