// Package contract holds the Open Data Contract Standard (ODCS, https://bitol-io.github.io/open-data-contract-standard)
// as Go types: it reads and checks contract files and turns them into rules that a row checker can follow without
// knowing ODCS. It serves the core and plugins alike, so it stays light: no core, no sdk, no database. It judges
// contracts, not data; the checking of rows is the business of the schema check plugin.
//
// v3.1.0 is checked as its JSON schema demands, v3.0.x as leniently as its own schemas do.
package contract

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Contract is one data contract.
type Contract struct {
	located
	Version     string       `odcs:"version,required"`
	Kind        string       `odcs:"kind,required"`
	APIVersion  string       `odcs:"apiVersion,required"`
	ID          string       `odcs:"id,required"`
	Name        string       `odcs:"name"`
	Tenant      string       `odcs:"tenant"`
	Tags        []string     `odcs:"tags"`
	Status      string       `odcs:"status,required"`
	Servers     []Server     `odcs:"servers"`
	DataProduct string       `odcs:"dataProduct"`
	Description *Description `odcs:"description"`
	Domain      string       `odcs:"domain"`
	// Schema lists the objects that the contract is about.
	Schema                   []Object                  `odcs:"schema"`
	Support                  []SupportItem             `odcs:"support"`
	Price                    *Price                    `odcs:"price"`
	Team                     *Team                     `odcs:"team"`
	Roles                    []Role                    `odcs:"roles"`
	SLADefaultElement        string                    `odcs:"slaDefaultElement"`
	SLAProperties            []SLAProperty             `odcs:"slaProperties"`
	AuthoritativeDefinitions []AuthoritativeDefinition `odcs:"authoritativeDefinitions"`
	CustomProperties         []CustomProperty          `odcs:"customProperties"`
	ContractCreatedTS        string                    `odcs:"contractCreatedTs"`
}

// Load reads the contract at path. A file with anything wrong gives no contract and all of its Faults.
func Load(path string) (*Contract, error) {
	data, err := os.ReadFile(path) //nolint:gosec // reading the file that the operator names is the purpose
	if err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a contract from YAML or JSON; name stands for the file in faults and places.
func Parse(name string, data []byte) (*Contract, error) {
	r := &report{file: name}
	root, ok := syntax(r, data)
	if !ok {
		return nil, r.faults
	}
	c := read(r, root)
	if len(r.faults) > 0 {
		slices.SortStableFunc(r.faults, func(a, b Fault) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
		})
		return nil, r.faults
	}
	return c, nil
}

func syntax(r *report, data []byte) (*node, bool) {
	file, err := parseYAML(data)
	if err != nil {
		r.faults = append(r.faults, syntaxFault(r.file, err))
		return nil, false
	}
	bodies := slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(bodies) != 1 {
		r.fault(Place{File: r.file, Line: 1, Column: 1}, fmt.Sprintf("expected one YAML document, found %d", len(bodies)), "")
		return nil, false
	}
	u := &unfolder{report: r, anchors: map[string]ast.Node{}}
	root := u.node(bodies[0].Body, "", 0)
	return root, len(r.faults) == 0
}

// parseYAML keeps duplicate keys so that all of them are reported, and outlives panics of the YAML parser.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
}

func syntaxFault(file string, err error) Fault {
	f := Fault{Place: Place{File: file, Line: 1, Column: 1}, Message: "not valid YAML: " + err.Error()}
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) {
		return f
	}
	f.Message = "not valid YAML: " + syntax.Message
	if t := syntax.Token; t != nil && t.Position != nil {
		f.Line, f.Column = t.Position.Line, t.Position.Column
	}
	return f
}

var apiVersions = []string{"v3.1.0", "v3.0.2", "v3.0.1", "v3.0.0"}

func read(r *report, root *node) *Contract {
	version, ok := apiVersion(r, root)
	if !ok {
		return nil
	}
	d := &decoder{report: r, strict: version == apiVersions[0]}
	c := &Contract{}
	d.mapping(root, reflect.ValueOf(c).Elem())
	k := &checker{report: r, strict: d.strict}
	if c.has("kind") {
		k.word(c.at("kind"), "kind", c.Kind, []string{"DataContract"})
	}
	k.servers(c.Servers)
	k.objects(c.Schema)
	k.slas(c.SLAProperties)
	return c
}

// apiVersion comes first, as it decides how the rest is read.
func apiVersion(r *report, root *node) (string, bool) {
	hint := "allowed are " + strings.Join(apiVersions, ", ")
	if root.shape != isMapping {
		r.fault(root.place, fmt.Sprintf("expected a data contract, found %s", root.shown()), "")
		return "", false
	}
	e := root.key("apiVersion")
	switch {
	case e == nil:
		r.fault(root.place, `key "apiVersion" is missing`, hint)
	case e.value.shape != isText:
		r.fault(e.value.place, fmt.Sprintf("expected a version of ODCS, found %s", e.value.shown()), hint)
	case !slices.Contains(apiVersions, e.value.value.(string)):
		r.fault(e.value.place, fmt.Sprintf("version %q of ODCS is not supported", e.value.value), hint)
	default:
		return e.value.value.(string), true
	}
	return "", false
}
