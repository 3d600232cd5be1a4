// Package encode turns Arrow columns into PostgreSQL values in the binary form of COPY … FROM STDIN: the way back of package value
// next door. What a column's type can't hold exactly is a *Fault of its row, never a rounded value.
//
//	Arrow                                            PostgreSQL, unless it is told otherwise
//	bool, arrow.bool8                                boolean
//	int8, int16, uint8; int32, uint16; int64, uint32 smallint; integer; bigint
//	uint64                                           numeric(20,0)
//	float16, float32; float64                        real; double precision
//	decimal(p,s)                                     numeric(p,s)
//	utf8; with qanat.format=json                     text; jsonb
//	binary; arrow.uuid                               bytea; uuid
//	date; time                                       date; time
//	timestamp; timestamp with a zone                 timestamp; timestamptz
//	duration, intervals                              interval
//	list of what is above                            array
//	struct, map, union, list of these                jsonb
//	null                                             text
//	dictionary, run-end encoded                      as its values
//
// # Other types
//
// A column may be encoded for another type that holds its values as they are: numbers for any type of numbers, each value being checked;
// everything that has a plain text for text, varchar, char and citext; dates for timestamps; text for enums, numbers, json. For all
// other types text is sent as text, lists of text as arrays of it, and structs for composite types as jsonb: the server has to cast them,
// as Column.Wire and Column.Cast say.
package encode
