package contract

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// checker finds the faults that the shape of a contract doesn't show.
type checker struct {
	*report
	strict bool
}

func (k *checker) word(at Place, key, value string, allowed []string) {
	if !slices.Contains(allowed, value) {
		k.fault(at, fmt.Sprintf("%s %q is not known", key, value), suggest(value, allowed))
	}
}

var logicalTypes = []string{
	"string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean",
}

func (k *checker) objects(objects []Object) {
	first := map[string]Place{}
	for i := range objects {
		o := &objects[i]
		if !o.has("name") {
			k.fault(o.Place, `key "name" is missing`, "")
		}
		k.distinct(first, "schema object", o.Name, o.at("name"))
		if o.has("logicalType") {
			k.word(o.at("logicalType"), "logicalType of a schema object", o.LogicalType, []string{"object"})
		}
		k.properties(o.Properties)
		k.keys(o)
		k.qualities(o.Quality)
		k.composites(o)
		k.relationships(o.Relationships, false)
	}
}

// distinct reports a name that its siblings have already: nobody could tell which one a rule means.
func (k *checker) distinct(first map[string]Place, what, name string, at Place) {
	if name == "" {
		return
	}
	if earlier, ok := first[name]; ok {
		k.fault(at, fmt.Sprintf("%s %q is already described in line %d", what, name, earlier.Line), "")
		return
	}
	first[name] = at
}

func (k *checker) properties(properties []Property) {
	first := map[string]Place{}
	for i := range properties {
		p := &properties[i]
		if !p.has("name") {
			k.fault(p.Place, `key "name" is missing`, "")
		}
		k.distinct(first, "property", p.Name, p.at("name"))
		if p.has("properties") && p.LogicalType != "object" && p.LogicalType != "" {
			k.fault(p.at("properties"), fmt.Sprintf("properties need logicalType object, found %s", p.LogicalType), "")
		}
		k.property(p)
	}
}

func (k *checker) property(p *Property) {
	if p.has("logicalType") {
		k.word(p.at("logicalType"), "logicalType", p.LogicalType, logicalTypes)
	}
	if p.has("items") && p.LogicalType != "array" && p.LogicalType != "" {
		k.fault(p.at("items"), fmt.Sprintf("items need logicalType array, found %s", p.LogicalType), "")
	}
	k.options(p)
	k.qualities(p.Quality)
	k.relationships(p.Relationships, true)
	k.properties(p.Properties)
	if p.Items != nil {
		k.property(p.Items)
	}
}

// keys checks that no two columns claim the same place in the primary key.
func (k *checker) keys(o *Object) {
	first := map[int]string{}
	for i := range o.Properties {
		p := &o.Properties[i]
		if !p.PrimaryKey || p.PrimaryKeyPosition < 1 {
			continue
		}
		if other, ok := first[p.PrimaryKeyPosition]; ok {
			k.fault(p.at("primaryKeyPosition"), fmt.Sprintf("position %d of the primary key belongs to %q already",
				p.PrimaryKeyPosition, other), "")
			continue
		}
		first[p.PrimaryKeyPosition] = p.Name
	}
}

var (
	shorthandReference = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$`)
	qualifiedReference = regexp.MustCompile(`^(?:(?:https?://)?[A-Za-z0-9._\-/]+\.yaml#)?/?[A-Za-z_][A-Za-z0-9_]*/` +
		`[A-Za-z0-9_-]+(?:/[A-Za-z_][A-Za-z0-9_]*/[A-Za-z0-9_-]+)*$`)
)

func (k *checker) relationships(relationships []Relationship, onProperty bool) {
	for i := range relationships {
		r := &relationships[i]
		if r.has("type") {
			k.word(r.at("type"), "type of relationship", r.Type, []string{"foreignKey"})
		}
		k.references(r, "to", r.To)
		if onProperty {
			if r.has("from") {
				k.fault(r.at("from"), "from is the property itself and can't be given", "")
			}
			continue
		}
		k.references(r, "from", r.From)
		sameShape := r.From.List == r.To.List && len(r.From.Names) == len(r.To.Names)
		if r.has("from") && r.has("to") && !sameShape {
			k.fault(r.Place, fmt.Sprintf("from names %d properties and to names %d; expected as many, written alike",
				len(r.From.Names), len(r.To.Names)), "")
		}
	}
}

func (k *checker) references(r *Relationship, key string, refs References) {
	if !r.has(key) {
		k.fault(r.Place, fmt.Sprintf("key %q is missing", key), "")
		return
	}
	if refs.List && len(refs.Names) == 0 {
		k.fault(r.at(key), "expected at least one reference", "")
	}
	for _, name := range refs.Names {
		if !shorthandReference.MatchString(name) && !qualifiedReference.MatchString(name) {
			k.fault(r.at(key), fmt.Sprintf("reference %q is not understood", name),
				"write object.property, or a path of ids such as schema/orders/properties/id")
		}
	}
}

func (k *checker) slas(slas []SLAProperty) {
	for i := range slas {
		s := &slas[i]
		for key, v := range map[string]any{"value": s.Value, "valueExt": s.ValueExt} {
			switch v.(type) {
			case []any, map[string]any:
				k.fault(s.at(key), fmt.Sprintf("expected a single value for %s", key), "")
			}
		}
	}
}

// serverKeys lists what belongs to a server of each type; "!" marks what must be there.
var serverKeys = map[string]string{
	"api":        "location!",
	"athena":     "stagingDir! schema! catalog regionName",
	"azure":      "location! format! delimiter",
	"bigquery":   "project! dataset!",
	"clickhouse": "host! port! database!",
	"cloudsql":   "host! port! database! schema!",
	"custom": "account catalog database dataset delimiter endpointUrl format host location path port project region " +
		"regionName schema serviceName stagingDir stream warehouse",
	"databricks": "catalog! schema! host",
	"db2":        "host! port! database! schema",
	"denodo":     "host! port! database",
	"dremio":     "host! port! schema",
	"duckdb":     "database! schema",
	"glue":       "account! database! location format",
	"hive":       "host! database! port",
	"impala":     "host! database! port",
	"informix":   "host! database! port",
	"kafka":      "host! format",
	"kinesis":    "region format",
	"local":      "path! format!",
	"mysql":      "host! port! database!",
	"oracle":     "host! port! serviceName!",
	"postgres":   "host! port! database! schema!",
	"postgresql": "host! port! database! schema!",
	"presto":     "host! catalog schema",
	"pubsub":     "project!",
	"redshift":   "database! schema! host region account",
	"s3":         "location! endpointUrl format delimiter",
	"sftp":       "location! format delimiter",
	"snowflake":  "account! database! schema! host port warehouse",
	"sqlserver":  "host! database! schema! port",
	"synapse":    "host! port! database!",
	"trino":      "host! port! catalog! schema!",
	"vertica":    "host! port! database! schema!",
	"zen":        "host! database! port",
}

func (k *checker) servers(servers []Server) {
	if !k.strict {
		return
	}
	for i := range servers {
		s := &servers[i]
		words, ok := serverKeys[s.Type]
		if !ok {
			if s.has("type") {
				types := make([]string, 0, len(serverKeys))
				for t := range serverKeys {
					types = append(types, t)
				}
				k.fault(s.at("type"), fmt.Sprintf("type of server %q is not known", s.Type), suggest(s.Type, types))
			}
			continue
		}
		k.settings(s, strings.Fields(words))
	}
}

func (k *checker) settings(s *Server, words []string) {
	allowed := make([]string, len(words))
	for i, w := range words {
		key, must := strings.CutSuffix(w, "!")
		allowed[i] = key
		if must && !s.has(key) {
			k.fault(s.Place, fmt.Sprintf("a server of type %s needs %q", s.Type, key), "")
		}
	}
	for key, v := range s.Settings {
		if !slices.Contains(allowed, key) {
			k.fault(s.at(key), fmt.Sprintf("key %q doesn't belong to a server of type %s", key, s.Type), suggest(key, allowed))
			continue
		}
		switch v.(type) {
		case string:
			if key == "port" {
				k.fault(s.at(key), "expected a whole number for the port", "")
			}
		case int64:
			if key != "port" {
				k.fault(s.at(key), fmt.Sprintf("expected a string for %s", key), "put it in quotes")
			}
		default:
			k.fault(s.at(key), fmt.Sprintf("expected a string or a number for %s", key), "")
		}
	}
}
