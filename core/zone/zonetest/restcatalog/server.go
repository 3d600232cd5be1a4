// Package restcatalog is an Iceberg REST catalog for tests: the protocol as its specification has it, with tables in memory and their
// metadata on S3, checked and changed by iceberg-go's own metadata builder. It can be told to misbehave as real servers and
// networks do. (https://github.com/apache/iceberg/blob/main/open-api/rest-catalog-open-api.yaml)
package restcatalog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
)

// Settings of a server.
type Settings struct {
	Objects *minio.Client // where metadata is written
	Prefix  string        // of paths, told to clients by /v1/config
	// Token is what requests must carry; with ID and Secret it is given out for them. Without one, anybody may.
	Token, ID, Secret string
	// Warehouse, if set, must be asked for.
	Warehouse string
	// Locate, if set, chooses a table's location whatever the client asked for.
	Locate func(namespace []string, name, wanted string) string
	// Fault, if set, is asked before each request: what is to go wrong with it.
	Fault func(Operation) Fault
}

// Operation is a request.
type Operation string

// The operations that faults tell apart.
const (
	Config Operation = "config"
	Create Operation = "create"
	Load   Operation = "load"
	Commit Operation = "commit"
	Other  Operation = "other"
)

// Fault is what goes wrong with a request. The zero value is nothing.
type Fault struct {
	Delay  time.Duration // before anything is done
	Status int           // to answer with
	Done   bool          // the request is carried out all the same
	Cut    bool          // the connection ends instead of an answer
}

// Server is the handler of all requests.
type Server struct {
	settings Settings
	mux      *http.ServeMux

	mu         sync.Mutex
	namespaces map[string][]string
	tables     map[string]*entry // by namespace and name
}

type entry struct {
	namespace []string
	name      string
	location  string // of the metadata
	version   int
	meta      table.Metadata
}

const separator = "\x1f"

// New makes a server without tables.
func New(s Settings) *Server {
	server := &Server{settings: s, mux: http.NewServeMux(), namespaces: map[string][]string{}, tables: map[string]*entry{}}
	base := "/v1/"
	if s.Prefix != "" {
		base += s.Prefix + "/"
	}
	server.mux.HandleFunc("POST /v1/oauth/tokens", server.token)
	for pattern, handle := range map[string]func(*http.Request) (any, error){
		"GET /v1/config":                                          server.config,
		"GET " + base + "namespaces":                              server.listNamespaces,
		"POST " + base + "namespaces":                             server.createNamespace,
		"GET " + base + "namespaces/{ns}":                         server.loadNamespace,
		"DELETE " + base + "namespaces/{ns}":                      server.dropNamespace,
		"GET " + base + "namespaces/{ns}/tables":                  server.listTables,
		"POST " + base + "namespaces/{ns}/tables":                 server.createTable,
		"GET " + base + "namespaces/{ns}/tables/{table}":          server.loadTable,
		"POST " + base + "namespaces/{ns}/tables/{table}":         server.commitTable,
		"DELETE " + base + "namespaces/{ns}/tables/{table}":       server.dropTable,
		"POST " + base + "tables/rename":                          server.renameTable,
		"POST " + base + "namespaces/{ns}/tables/{table}/metrics": func(*http.Request) (any, error) { return nil, nil },
	} {
		server.mux.Handle(pattern, server.guarded(handle))
	}
	return server
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// failure is an answer as the protocol gives errors.
type failure struct {
	status int
	kind   string
	text   string
}

func (f *failure) Error() string { return f.kind + ": " + f.text }

func fail(status int, kind, format string, args ...any) error {
	return &failure{status, kind, fmt.Sprintf(format, args...)}
}

// guarded checks who asks, and lets go wrong what should.
func (s *Server) guarded(handle func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Iceberg-Access-Delegation") != "" {
			answer(w, nil, fail(http.StatusBadRequest, "BadRequestException", "no credentials are vended here"))
			return
		}
		if s.settings.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.settings.Token {
			answer(w, nil, fail(http.StatusUnauthorized, "NotAuthorizedException", "a token is needed"))
			return
		}
		var fault Fault
		if s.settings.Fault != nil {
			fault = s.settings.Fault(operation(r))
		}
		if fault.Delay > 0 { // and then it is done, whether the client has waited or not
			<-time.After(fault.Delay)
			r = r.WithContext(context.WithoutCancel(r.Context()))
		}
		if (fault.Status == 0 && !fault.Cut) || fault.Done {
			result, err := handle(r)
			if fault.Status == 0 && !fault.Cut {
				answer(w, result, err)
				return
			}
		}
		if fault.Cut {
			panic(http.ErrAbortHandler)
		}
		answer(w, nil, fail(fault.Status, "InjectedException", "as the test wants it"))
	})
}

func operation(r *http.Request) Operation {
	switch {
	case strings.HasSuffix(r.URL.Path, "/config"):
		return Config
	case r.PathValue("table") != "" && r.Method == http.MethodGet:
		return Load
	case r.PathValue("table") != "" && r.Method == http.MethodPost:
		return Commit
	case strings.HasSuffix(r.URL.Path, "/tables") && r.Method == http.MethodPost:
		return Create
	}
	return Other
}

func answer(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		told, ok := err.(*failure) //nolint:errorlint // handlers return it bare
		if !ok {
			told = &failure{http.StatusInternalServerError, "InternalServerError", err.Error()}
		}
		w.WriteHeader(told.status)
		result = map[string]any{"error": map[string]any{"message": told.text, "type": told.kind, "code": told.status}}
	} else if result == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_ = json.NewEncoder(w).Encode(result) // the client is gone otherwise
}

func (s *Server) config(r *http.Request) (any, error) {
	if asked := r.URL.Query().Get("warehouse"); s.settings.Warehouse != "" && asked != s.settings.Warehouse {
		return nil, fail(http.StatusNotFound, "NotFoundException", "warehouse %q is not here", asked)
	}
	overrides := map[string]string{}
	if s.settings.Prefix != "" {
		overrides["prefix"] = s.settings.Prefix
	}
	return map[string]any{"defaults": map[string]string{}, "overrides": overrides}, nil
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || s.settings.Token == "" ||
		r.PostForm.Get("client_id") != s.settings.ID || r.PostForm.Get("client_secret") != s.settings.Secret {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error": "invalid_client", "error_description": "unknown client"}`))
		return
	}
	answer(w, map[string]any{"access_token": s.settings.Token, "token_type": "bearer", "expires_in": 3600}, nil)
}

func namespaceOf(r *http.Request) []string { return strings.Split(r.PathValue("ns"), separator) }

func keyOf(namespace []string, name string) string {
	return strings.Join(append(slices.Clone(namespace), name), separator)
}

func body(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return fail(http.StatusBadRequest, "BadRequestException", "%v", err)
	}
	return nil
}

// write puts a table's metadata where readers find it.
func (s *Server) write(ctx context.Context, e *entry) error {
	e.location = fmt.Sprintf("%s/metadata/%05d-%s.metadata.json", e.meta.Location(), e.version, uuid.NewString())
	text, err := json.Marshal(e.meta)
	if err != nil {
		return err
	}
	bucket, key, found := strings.Cut(strings.TrimPrefix(e.location, "s3://"), "/")
	if !found {
		return fail(http.StatusBadRequest, "BadRequestException", "location %q is not on S3", e.meta.Location())
	}
	_, err = s.settings.Objects.PutObject(ctx, bucket, key, bytes.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
	return err
}

func (e *entry) loaded() map[string]any {
	return map[string]any{"metadata-location": e.location, "metadata": e.meta, "config": iceberg.Properties{}}
}
