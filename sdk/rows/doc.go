// Package rows turns Go values into Arrow batches and back, for plugins that deal in rows. Plugins that have columns already
// (files, databases with an Arrow interface) need it less: a raw arrow.RecordBatch is the fast path.
//
//	type Order struct {
//		ID      int64                `arrow:"id" doc:"number of the order"`
//		Email   *string              `arrow:"email" tags:"pii"`
//		Day     rows.Date            `arrow:"day"`
//		Amount  rows.Decimal         `arrow:"amount,decimal(12,2)"`
//		Coupon  rows.Optional[int32] `arrow:"coupon"`
//	}
//
//	orders, err := rows.Of[Order](env.Alloc)
//	defer orders.Release()
//	err = orders.Append(order)         // as often as you like
//	record := orders.Batch()           // the caller's, who passes it on or releases it
//
// A column is named by the tag arrow, or else json, or else as the field is; "-" leaves a field out, and fields of an embedded
// struct stand beside the others. The tags doc and tags become the column's documentation and tags.
//
//	Go                                           Arrow
//	bool, intN, uintN, floatN                    the same; int and uint have 64 bits
//	string, json.RawMessage                      utf8
//	[]byte; [N]byte                              binary; fixed size binary
//	time.Time                                    timestamp[us, UTC]; finer fractions are cut off
//	time.Duration                                duration[us]; finer fractions are cut off
//	Date                                         date32
//	Decimal, decimal128.Num                      decimal128; the tag says decimal(precision,scale)
//	struct; []T; [N]T; map[K]V                   struct; list; fixed size list; map, in the order of its keys
//	*T, Optional[T], sql.Null…                   nullable T
//
// A nil slice, map or json.RawMessage is a null, and so these columns are nullable.
//
// For rows whose columns are known only when the plugin runs, OfMaps takes maps and a schema.
package rows
