package spec

import (
	"fmt"
	"regexp"
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
	// Environment is what policies know this installation by, such as dev or prod.
	Environment string `json:"environment,omitempty" jsonschema:"pattern=^[a-z][a-z0-9_-]*$"`
	// Principal is on whose behalf commands run, as policies see it. Without it, it is the user of the operating system.
	Principal Principal `json:"principal,omitzero"`
	// Plugins says where plugins are found.
	Plugins Plugins `json:"plugins,omitzero"`
	// Upkeep lists how datasets are kept small and fast. The first item that matches a dataset holds; where none does, the defaults do.
	Upkeep []Upkeep `json:"upkeep,omitempty"`
	// Patience is how long a run waits for what it stands on, such as a server that is gone, a full disk or a locked database, before it ends with an error: 5m if it is not given.
	Patience Duration `json:"patience,omitempty"`
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
	// Timeout is how long a request to an endpoint may go without that anything of it or of its answer moves: 30s if it is not given.
	Timeout Duration `json:"timeout,omitempty"`
	// LandingRetention is how long objects of the landing zone can't be deleted. Without it, they are kept as the bucket has it.
	LandingRetention Duration `json:"landing_retention,omitempty"`
}

// State is the state database.
type State struct {
	// Type is sqlite, a file under .qanat, or postgres, which several machines can share. They then share NATS and objects, too.
	Type string `json:"type,omitempty" jsonschema:"enum=sqlite,enum=postgres,default=sqlite"`
	// DSN is the connection string of a postgres database: postgres://user:password@host:5432/database?sslmode=verify-full.
	DSN Secret `json:"dsn,omitempty" jsonschema_extras:"x-secret=true"`
	// Schema is the schema of a postgres database that holds the project's tables. It is made if it is missing. Without it, it is qanat_ and the project's name, so that projects can share a database.
	Schema string `json:"schema,omitempty"`
}

// Catalog is the Iceberg catalog.
type Catalog struct {
	// Type is state, the catalog in the state database, or rest, a REST catalog.
	Type string `json:"type,omitempty" jsonschema:"enum=state,enum=rest,default=state"`
	// URI is the address of a REST catalog, without /v1.
	URI string `json:"uri,omitempty"`
	// Warehouse is what the REST catalog calls the one to use of those that it serves.
	Warehouse string `json:"warehouse,omitempty"`
	// Prefix goes before paths of the REST catalog. Servers that need one usually say so themselves.
	Prefix string `json:"prefix,omitempty"`
	// Token is a bearer token for the REST catalog.
	Token Secret `json:"token,omitempty" jsonschema_extras:"x-secret=true"`
	// Credential is id:secret, for which a token is got by OAuth2 client credentials.
	Credential Secret `json:"credential,omitempty" jsonschema_extras:"x-secret=true"`
	// OAuthURI is where tokens are got for the credential; without it, from the REST catalog itself.
	OAuthURI string `json:"oauth_uri,omitempty"`
	// Scope is the scope of tokens that are got for the credential: catalog if it is not given.
	Scope string `json:"scope,omitempty"`
	// Audience is the audience of tokens that are got for the credential.
	Audience string `json:"audience,omitempty"`
}

// Principal is somebody or something that acts.
type Principal struct {
	// ID is the name that policies know it by.
	ID string `json:"id" jsonschema:"required"`
	// Kind is user or service.
	Kind string `json:"kind,omitempty" jsonschema:"enum=user,enum=service,default=service"`
	// Groups are those that it belongs to.
	Groups []string `json:"groups,omitempty"`
	// Clearance is the highest classification that it may see, as policies name it.
	Clearance string `json:"clearance,omitempty"`
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
	c.state(p)
	c.catalog(p)
	c.shared(p)
	c.upkeep(p.Upkeep)
	return p, append(faults, c.faults...)
}

// SecretPaths are where a project file holds secrets.
func SecretPaths() []string {
	return []string{
		"/nats/password", "/objects/access_key", "/objects/secret_key", "/state/dsn", "/catalog/token", "/catalog/credential",
	}
}

var schemaForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,62}$`)

// state checks the schema of a state database.
func (c *checker) state(p *Project) {
	if p.State.Type != "postgres" {
		c.needs("/state", "schema", false, p.State.Schema != "", "type postgres")
	} else if p.State.Schema != "" && !schemaForm.MatchString(p.State.Schema) && !hasReference(c.root.At("/state/schema")) {
		c.fail("/state/schema", "bad-value", fmt.Sprintf("%q is not a name of a schema", p.State.Schema),
			"up to 63 letters, digits, _ and -, beginning with a letter or _")
	}
}

// catalog checks the settings of a REST catalog.
func (c *checker) catalog(p *Project) {
	if p.Catalog.Type != "rest" {
		for _, key := range []string{"warehouse", "prefix", "token", "credential", "oauth_uri", "scope", "audience"} {
			c.needs("/catalog", key, false, c.present("/catalog/"+key), "type rest")
		}
		return
	}
	for _, key := range []string{"oauth_uri", "scope", "audience"} {
		if c.present("/catalog/"+key) && p.Catalog.Credential == "" {
			c.fail("/catalog/"+key, "unused", fmt.Sprintf("%q is used only with credential", key), "")
		}
	}
	if p.Catalog.Token != "" && p.Catalog.Credential != "" {
		c.fail("/catalog/token", "both-given", "token and credential are both given, and one is expected", "")
	}
	for key, address := range map[string]string{"uri": p.Catalog.URI, "oauth_uri": p.Catalog.OAuthURI} {
		web := strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://")
		if address != "" && !web && !hasReference(c.root.At("/catalog/"+key)) {
			c.fail("/catalog/"+key, "bad-value", "the address of a REST catalog begins with https:// or http://", "")
		}
	}
}

// shared checks that what several parties use is not embedded in one of them.
func (c *checker) shared(p *Project) {
	if p.State.Type == "postgres" {
		const hint = "%s, or keep the state on this machine: state: {type: sqlite}"
		if p.NATS.Embedded {
			c.fail("/state/type", "not-shared", "machines that share a state database share NATS, and it is embedded here",
				fmt.Sprintf(hint, "add nats: {url: nats://HOST:4222}"))
		}
		if p.Objects.Embedded {
			c.fail("/state/type", "not-shared", "machines that share a state database share the object store, and it is embedded here",
				fmt.Sprintf(hint, "add objects: {endpoint: HOST:9000}"))
		}
	}
	if p.Catalog.Type == "rest" && p.Objects.Embedded {
		c.fail("/catalog/type", "not-shared", "a REST catalog keeps its tables' metadata in the object store, and can't reach the embedded one",
			"add objects: {endpoint: HOST:9000}, or keep the catalog in the state database: catalog: {type: state}")
	}
}

// checkProjectText checks the references and secrets of a project as they are written.
func checkProjectText(node *Node) []Fault {
	secrets := plainSecrets(node, SecretPaths()...)
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
