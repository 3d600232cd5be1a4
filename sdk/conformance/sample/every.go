package sample

// everyType has each type that zones can hold, nested ones included, in the words of ParseType.
var everyType = []string{
	"null", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
	"decimal32(9,2)", "decimal64(18,3)", "decimal(38,10)", "decimal256(60,4)",
	"string", "large_string", "string_view", "binary", "large_binary", "binary_view", "fixed(5)",
	"date32", "date64", "time[s]", "time[ms]", "time[us]", "time[ns]",
	"timestamp[s]", "timestamp[ms]", "timestamp[us]", "timestamp[ns]", "timestamp[us, UTC]", "timestamp[ns, UTC]", "timestamp[ms, Europe/Berlin]",
	"duration[s]", "duration[us]", "duration[ns]", "interval_months", "interval_day_time", "interval_month_day_nano",
	"uuid", "bool8", "dictionary<string>", "dictionary<int64>", "run_end<int64>",
	"list<int64>", "list<string>", "large_list<string>", "fixed_list<int32, 2>", "list_view<int64>", "large_list_view<string>",
	"struct<a: int64, b: string>", "map<string, int64>", "list<struct<a: int64, b: list<string>>>", "struct<a: struct<b: timestamp[us, UTC], c: decimal(9,2)>>",
	"map<string, list<struct<x: float64>>>", "union<n: int64, s: string>", "dense_union<n: int64, s: string>",
}

// Every lists a column of each type; the name of a column is its type in words.
func Every() []Column {
	columns := make([]Column, len(everyType))
	for i, text := range everyType {
		t, err := ParseType(text)
		if err != nil {
			panic(err) // a mistake in the list above, which a test would find first
		}
		columns[i] = Column{Name: text, Type: t}
	}
	return columns
}

// Common is an input of the types that most data consists of, for plugins that take any columns.
func Common(name string) Input {
	in := Input{Name: name}
	for _, c := range [][2]string{
		{"id", "int64"}, {"name", "string"}, {"amount", "decimal(12,2)"}, {"ratio", "float64"}, {"flag", "bool"}, {"day", "date32"},
		{"at", "timestamp[us, UTC]"}, {"tags", "list<string>"}, {"place", "struct<city: string, zip: int32>"}, {"raw", "binary"},
	} {
		t, err := ParseType(c[1])
		if err != nil {
			panic(err) // as in Every
		}
		in.Columns = append(in.Columns, Column{Name: c[0], Type: t, Solid: c[0] == "id"})
	}
	return in
}
