package contract

// Element is what schema objects and properties have in common.
type Element struct {
	ID                       string                    `odcs:"id,id"`
	Name                     string                    `odcs:"name"`
	PhysicalType             string                    `odcs:"physicalType"`
	PhysicalName             string                    `odcs:"physicalName"`
	Description              string                    `odcs:"description"`
	BusinessName             string                    `odcs:"businessName"`
	AuthoritativeDefinitions []AuthoritativeDefinition `odcs:"authoritativeDefinitions"`
	Tags                     []string                  `odcs:"tags"`
	CustomProperties         []CustomProperty          `odcs:"customProperties"`
	Quality                  []Quality                 `odcs:"quality"`
	Relationships            []Relationship            `odcs:"relationships"`
}

// Object is a table, a topic, a file: a set of rows with the same properties.
type Object struct {
	located
	Element
	LogicalType                string     `odcs:"logicalType"`
	DataGranularityDescription string     `odcs:"dataGranularityDescription"`
	Properties                 []Property `odcs:"properties"`
}

// Property is a column, a field of a nested object, or the items of an array (then Name may be empty).
type Property struct {
	located
	Element
	LogicalType        string       `odcs:"logicalType"`
	LogicalTypeOptions *TypeOptions `odcs:"logicalTypeOptions"`
	PrimaryKey         bool         `odcs:"primaryKey"`
	// PrimaryKeyPosition and PartitionKeyPosition count from 1; below 1 means not given.
	PrimaryKeyPosition     int      `odcs:"primaryKeyPosition"`
	Required               bool     `odcs:"required"`
	Unique                 bool     `odcs:"unique"`
	Partitioned            bool     `odcs:"partitioned"`
	PartitionKeyPosition   int      `odcs:"partitionKeyPosition"`
	Classification         string   `odcs:"classification"`
	EncryptedName          string   `odcs:"encryptedName"`
	TransformSourceObjects []string `odcs:"transformSourceObjects"`
	TransformLogic         string   `odcs:"transformLogic"`
	TransformDescription   string   `odcs:"transformDescription"`
	Examples               []any    `odcs:"examples"`
	CriticalDataElement    bool     `odcs:"criticalDataElement"`
	// Properties are the fields of a logicalType object.
	Properties []Property `odcs:"properties"`
	// Items describes the elements of a logicalType array.
	Items *Property `odcs:"items"`
}

// TypeOptions narrows a logical type; which keys may stand follows from the type. Pointers are nil where the
// contract says nothing.
type TypeOptions struct {
	located
	Format    string `odcs:"format"`
	MinLength *int   `odcs:"minLength"`
	MaxLength *int   `odcs:"maxLength"`
	Pattern   string `odcs:"pattern"`
	// Bounds of numbers are numbers; of dates, times and timestamps strings. In v3.0.x an exclusive bound may be a
	// boolean that applies to the plain one.
	Minimum          *Scalar  `odcs:"minimum"`
	Maximum          *Scalar  `odcs:"maximum"`
	ExclusiveMinimum *Scalar  `odcs:"exclusiveMinimum"`
	ExclusiveMaximum *Scalar  `odcs:"exclusiveMaximum"`
	MultipleOf       *Number  `odcs:"multipleOf"`
	Timezone         *bool    `odcs:"timezone"`
	DefaultTimezone  string   `odcs:"defaultTimezone"`
	MinItems         *int     `odcs:"minItems"`
	MaxItems         *int     `odcs:"maxItems"`
	UniqueItems      bool     `odcs:"uniqueItems"`
	MinProperties    *int     `odcs:"minProperties"`
	MaxProperties    *int     `odcs:"maxProperties"`
	Required         []string `odcs:"required"`
	// Other holds keys that ODCS doesn't know: it leaves the options of booleans open.
	Other map[string]any `odcs:",rest"`
}

// Scalar is a bound: one of its pointers is set.
type Scalar struct {
	Number *Number
	Text   *string
	Bool   *bool
}

func (s *Scalar) decode(d *decoder, n *node) {
	switch n.shape {
	case isNumber:
		s.Number = &n.number
	case isText:
		text := n.value.(string)
		s.Text = &text
	case isBool:
		b := n.value.(bool)
		s.Bool = &b
	default:
		d.mismatch(n, "a number or a string")
	}
}

// Relationship says that columns refer to columns of another object.
type Relationship struct {
	located
	Type string `odcs:"type"`
	// From is empty on a property: it is the property itself.
	From             References       `odcs:"from"`
	To               References       `odcs:"to"`
	CustomProperties []CustomProperty `odcs:"customProperties"`
}

// References names one property, or several of a composite key, as object.property or as a path of ids.
type References struct {
	Names []string
	// List tells a list of one from a single name.
	List bool
}

func (r *References) decode(d *decoder, n *node) {
	switch n.shape {
	case isText:
		r.Names = []string{n.value.(string)}
	case isList:
		r.List = true
		for _, item := range n.items {
			if item.shape != isText {
				d.mismatch(item, "a string")
				continue
			}
			r.Names = append(r.Names, item.value.(string))
		}
	default:
		d.mismatch(n, "a string or a list of strings")
	}
}
