// Package value turns PostgreSQL values into Arrow columns, exactly: what a column's Arrow type can't hold is a *Fault, never a
// rounded value. It reads both forms in which the server sends values, the binary form of COPY and the text form of logical
// replication, and gives the same Arrow value for either. It decodes COPY streams, too. It asks the server for types, and for nothing
// else: who connects, snapshots and follows lives next door.
//
//	PostgreSQL                                       Arrow
//	bool; int2, int4; int8                           bool; int32; int64
//	oid, xid, cid                                    int64
//	float4; float8                                   float32; float64, NaN and infinities as they are
//	numeric(p,s), 1 ≤ p ≤ 38, 0 ≤ s ≤ p              decimal128(p,s)
//	numeric otherwise                                utf8, as printed
//	text, varchar, bpchar, name, citext, enum        utf8
//	json, jsonb                                      utf8, qanat.format=json
//	bytea; uuid                                      binary; arrow.uuid
//	date; time                                       date32; time64[us]
//	timestamp; timestamptz                           timestamp[us]; timestamp[us, UTC]
//	domain                                           as its base
//	array                                            list of its elements' type, named element
//	composite                                        struct; utf8, as printed, without attributes or within itself
//	hstore                                           map<utf8, utf8>
//	everything else                                  utf8, as printed
//
// Everything else is money, interval, timetz, "char", inet, cidr, macaddr, bit, xml, tsvector, geometry, pg_lsn, ranges, multiranges,
// reg types, types of extensions, and types that the server no longer knows.
//
// # What can't be held
//
// Infinite dates and timestamps, timestamps after 294247-01-10 04:00:54.775806, and the time 24:00:00 are faults, nulls or clamped, as
// Options.Unheld says. A list has one dimension that begins at 1: an array of another shape is a fault, unless Options.Arrays keeps
// arrays as text. NaN in a decimal column is a fault. So is text that is not UTF-8.
//
// # Text and binary
//
// A type has a portable binary form or it has none; a column with a part that has none is selected as text, which Column.SelectAs
// words. A session that reads values must have the settings that Session names, or text means something else.
package value
