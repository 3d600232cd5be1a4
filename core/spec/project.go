package spec

import (
	"fmt"
	"strings"

	"github.com/qanat-data/qanat/core/spec/yamltree"
)

// Project is qanat.yaml: the servers that a project uses and where its files lie. Without the file,
// everything is embedded.
type Project struct {
	// Kind is always project.
	Kind string `json:"kind" jsonschema:"required,enum=project"`
	// Name is the project's name.
	Name string `json:"name" jsonschema:"required,pattern=^[a-z][a-z0-9_-]*$"`
	// NATS is the server that carries the logs of flows.
	NATS NATS `json:"nats,omitzero"`
	// Objects is the S3 storage that holds the zones.
	Objects Objects `json:"objects,omitzero"`
	// State is the database of the ledger, the owners of flows and the registries.
	State State `json:"state,omitzero"`
	// Catalog is the Iceberg catalog.
	Catalog Catalog `json:"catalog,omitzero"`
	// Policies lists files and folders with Rego policies, relative to the project folder. Without it, the folder policies is used if it exists.
	Policies []string `json:"policies,omitempty"`
	// Plugins says where plugins are found.
	Plugins Plugins `json:"plugins,omitzero"`
	// FilesBelow lists folders outside of the project folder that file references may read.
	FilesBelow []string `json:"files_below,omitempty"`

	// Node is the merged document; nil without a project file.
	Node *Node `json:"-"`
}

// NATS is the JetStream server: embedded, or reached at a URL.
type NATS struct {
	// Embedded runs the server inside of qanat. It is the default without a url.
	Embedded bool `json:"embedded,omitempty"`
	// URL is the address of an external server, such as nats://broker:4222; several are separated by commas.
	URL string `json:"url,omitempty"`
	// Credentials is the path of a credentials file (user JWT and key).
	Credentials string `json:"credentials,omitempty"`
	// User is the user name for password authentication.
	User string `json:"user,omitempty"`
	// Password goes with user.
	Password Secret `json:"password,omitempty" jsonschema_extras:"x-secret=true"`
}

// Objects is the S3 storage: embedded, or reached at an endpoint.
type Objects struct {
	// Embedded runs the storage inside of qanat, on local disk. It is the default without an endpoint.
	Embedded bool `json:"embedded,omitempty"`
	// Endpoint is host:port of an S3 service.
	Endpoint string `json:"endpoint,omitempty"`
	// AccessKey identifies the account.
	AccessKey Secret `json:"access_key,omitempty" jsonschema_extras:"x-secret=true"`
	// SecretKey goes with access_key.
	SecretKey Secret `json:"secret_key,omitempty" jsonschema_extras:"x-secret=true"`
	// Region is the region that requests are signed for.
	Region string `json:"region,omitempty" jsonschema:"default=us-east-1"`
	// Secure uses TLS for an endpoint.
	Secure bool `json:"secure,omitempty" jsonschema:"default=true"`
	// BucketPrefix goes before the zone's name in the name of its bucket.
	BucketPrefix string `json:"bucket_prefix,omitempty" jsonschema:"default=qanat-"`
	// LandingRetention is how long objects of the landing zone can't be deleted. Without it, they are kept as the bucket has it.
	LandingRetention Duration `json:"landing_retention,omitempty"`
}

// State is the state database.
type State struct {
	// Type is sqlite, a file under .qanat, or postgres, which several machines can share.
	Type string `json:"type,omitempty" jsonschema:"enum=sqlite,enum=postgres,default=sqlite"`
	// DSN is the connection string of a postgres database.
	DSN Secret `json:"dsn,omitempty" jsonschema_extras:"x-secret=true"`
}

// Catalog is the Iceberg catalog.
type Catalog struct {
	// Type is state, the catalog in the state database, or rest, a REST catalog.
	Type string `json:"type,omitempty" jsonschema:"enum=state,enum=rest,default=state"`
	// URI is the address of a REST catalog.
	URI string `json:"uri,omitempty"`
}

// Plugins says where plugins are found.
type Plugins struct {
	// Path lists folders with plugin binaries, searched in order, relative to the project folder.
	Path []string `json:"path,omitempty" jsonschema:"default=bin/plugins"`
}

// Connection names a plugin with its settings once, for several pipelines.
type Connection struct {
	// Kind is always connection.
	Kind string `json:"kind" jsonschema:"required,enum=connection"`
	// Name is what pipelines call the connection.
	Name string `json:"name" jsonschema:"required,pattern=^[a-z][a-z0-9_-]*$"`
	// Plugin is the plugin to use.
	Plugin string `json:"plugin" jsonschema:"required"`
	// Config holds the plugin's settings. A pipeline's config is merged over it key by key.
	Config *Node `json:"config,omitempty"`

	// Node is the merged document.
	Node *Node `json:"-"`
}

// defaultProject is what holds where no project file says otherwise.
func defaultProject(name string) *Project {
	return &Project{
		Kind: "project", Name: name,
		Objects: Objects{Region: "us-east-1", Secure: true, BucketPrefix: "qanat-"},
		State:   State{Type: "sqlite"},
		Catalog: Catalog{Type: "state"},
		Plugins: Plugins{Path: []string{"bin/plugins"}},
	}
}

// decodeProject reads a project document over the defaults and checks it.
func decodeProject(node *Node, name string) (*Project, []Fault) {
	p := defaultProject(name)
	faults := yamltree.Decode(node, p)
	p.Node = node
	c := &checker{root: node}
	c.name("/name", p.Name)
	p.NATS.Embedded = c.server("/nats", p.NATS.Embedded, "url", p.NATS.URL)
	p.Objects.Embedded = c.server("/objects", p.Objects.Embedded, "endpoint", p.Objects.Endpoint)
	if strings.Contains(p.Objects.Endpoint, "://") && !hasReference(node.At("/objects/endpoint")) {
		c.fail("/objects/endpoint", "bad-value", "the endpoint is host:port, without a scheme", "secure: false stands for http")
	}
	c.needs("/state", "dsn", p.State.Type == "postgres", p.State.DSN != "", "type postgres")
	c.needs("/catalog", "uri", p.Catalog.Type == "rest", p.Catalog.URI != "", "type rest")
	return p, append(faults, c.faults...)
}

// checkProjectText checks the references and secrets of a project as they are written.
func checkProjectText(node *Node) []Fault {
	secrets := plainSecrets(node, "/nats/password", "/objects/access_key", "/objects/secret_key", "/state/dsn")
	return append(checkReferences(node), secrets...)
}

// server checks that a server is either embedded or named by an address, and returns the former.
func (c *checker) server(path string, embedded bool, key, address string) bool {
	switch {
	case embedded && address != "":
		c.fail(path+"/embedded", "both-given", fmt.Sprintf("embedded and %s are both given, and one is expected", key), "")
	case c.present(path+"/embedded") && !embedded && address == "":
		c.fail(path+"/embedded", "missing-key", fmt.Sprintf("a server that is not embedded needs %s", key), "")
	}
	return address == ""
}

// needs checks that a key is given exactly with the choice that it belongs to.
func (c *checker) needs(path, key string, needed, given bool, choice string) {
	switch {
	case needed && !given:
		c.fail(path, "missing-key", fmt.Sprintf("%s needs the key %q", choice, key), "")
	case given && !needed:
		c.fail(path+"/"+key, "unused", fmt.Sprintf("%q is used only with %s", key, choice), "")
	}
}
