// Package mask runs masks on Arrow batches: it takes columns away, and replaces the values of others by a method that a policy names.
// New checks the masks against a schema and says every fault at once; a Masker then works column by column, once per batch.
//
//	method      arguments                            types                          becomes
//	null                                             all                            the same, nullable
//	constant    value                                all                            the same; text where a type has no literals
//	redact      with = "***"                         all                            text
//	partial     keep_first, keep_last, with = "*"    text                           text
//	hash        key, length = 64                     all                            text: HMAC-SHA-256, hex
//	tokenise    key, alphabet                        text, integers                 text; int64 or uint64
//	generalise  to | band | prefix, prefix6          times | numbers | IPs in text  the same, of the widest width; text
//
// Dictionaries, runs and extension types are masked as the values that they hold. Nulls stay null in every method but constant. The
// same value, key and method give the same result in every batch and in every type that can hold the value: an int32 7, an int64 7 and
// a float64 7 have one hash.
//
// Which columns are masked, and why, is for core/policy to say; conditions on rows are in core/mask/filter.
package mask
