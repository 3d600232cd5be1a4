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
//	generalise  to: hour, day, month, year           dates, timestamps              the same, cut in UTC
//	generalise  band                                 numbers                        the widest type of the kind: the band's lowest number
//	generalise  prefix, prefix6 = 2·prefix           IP addresses in text           text: the network
//
// Text is always utf8 in the result. Dictionaries, runs and extension types are masked as the values that they hold. Nulls stay null in
// every method but constant. The same value, key and method give the same result in every batch and in every type that can hold the
// value: an int32 7, an int64 7 and a float64 7 have one hash. Key columns can only be hashed and tokenised, as rows are told apart by
// them. In change data (sdk/change), _before is masked with the columns that it repeats, and _unchanged doesn't name dropped ones.
//
// DESIGN.md says what hashes and tokens are made of. Which columns are masked, and why, is for core/policy to say; conditions on rows are
// in core/mask/filter.
package mask
