package zone

import "github.com/apache/arrow-go/v18/arrow"

// Follow says what a dataset's user columns will be once it has followed a new storable schema, and by which changes. It is the
// pure form of Evolve: for planning, and for judging a schema while earlier ones are still to be committed. Faults are an
// *IncompatibleError.
func Follow(name Name, from, to *arrow.Schema) (*arrow.Schema, []Change, error) {
	return FollowKeyed(name, nil, from, to)
}

// FollowKeyed is Follow for a dataset with a key, which stays as it is.
func FollowKeyed(name Name, key []string, from, to *arrow.Schema) (*arrow.Schema, []Change, error) {
	changes, err := evolution(name, key, from, to)
	if err != nil {
		return nil, nil, err
	}
	fields := from.Fields()
	for _, c := range changes {
		incoming, _ := field(to, c.Column)
		switch c.Kind {
		case ColumnAdded:
			incoming.Nullable = true
			fields = append(fields, incoming)
		case ColumnWidened, ColumnOptional:
			fields[from.FieldIndices(c.Column)[0]] = follow(fields[from.FieldIndices(c.Column)[0]], incoming, c.Kind)
		}
	}
	return arrow.NewSchema(fields, nil), changes, nil
}

func follow(have, incoming arrow.Field, kind ChangeKind) arrow.Field {
	if kind == ColumnWidened {
		have.Type, _ = grown(have.Type, incoming.Type)
	} else {
		have.Nullable = true
	}
	return have
}
