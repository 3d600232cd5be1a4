package value

// Session is the settings that a session must have for its values to be read, also one that follows the log: they are parameters of
// the start of a connection.
func Session() map[string]string {
	return map[string]string{
		"client_encoding":    "UTF8",
		"DateStyle":          "ISO, MDY",
		"IntervalStyle":      "postgres",
		"TimeZone":           "UTC",
		"extra_float_digits": "3",
		"bytea_output":       "hex",
	}
}
