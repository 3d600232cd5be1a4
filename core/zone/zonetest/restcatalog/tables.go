package restcatalog

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

func (s *Server) listNamespaces(r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parent := r.URL.Query().Get("parent")
	if parent != "" && s.namespaces[parent] == nil {
		return nil, fail(http.StatusNotFound, "NoSuchNamespaceException", "%q", parent)
	}
	var names []string
	for key := range s.namespaces {
		rest, below := key, parent == ""
		if parent != "" {
			rest, below = strings.CutPrefix(key, parent+separator)
		}
		if below && !strings.Contains(rest, separator) {
			names = append(names, key)
		}
	}
	return page(r, "namespaces", names, func(key string) any { return s.namespaces[key] }), nil
}

// page answers with some of the names, and how to ask for the next ones.
func page(r *http.Request, of string, names []string, show func(string) any) map[string]any {
	slices.Sort(names)
	if after := r.URL.Query().Get("pageToken"); after != "" {
		at, _ := slices.BinarySearch(names, after)
		names = names[min(at+1, len(names)):]
	}
	result := map[string]any{}
	if size, err := strconv.Atoi(r.URL.Query().Get("pageSize")); err == nil && size < len(names) {
		names = names[:size]
		result["next-page-token"] = names[size-1]
	}
	shown := []any{}
	for _, name := range names {
		shown = append(shown, show(name))
	}
	result[of] = shown
	return result
}

func (s *Server) createNamespace(r *http.Request) (any, error) {
	var request struct {
		Namespace  []string          `json:"namespace"`
		Properties map[string]string `json:"properties"`
	}
	if err := body(r, &request); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.Join(request.Namespace, separator)
	if s.namespaces[key] != nil {
		return nil, fail(http.StatusConflict, "AlreadyExistsException", "namespace %q", request.Namespace)
	}
	if parent := request.Namespace[:len(request.Namespace)-1]; len(parent) > 0 && s.namespaces[strings.Join(parent, separator)] == nil {
		return nil, fail(http.StatusNotFound, "NoSuchNamespaceException", "parent %q", parent)
	}
	s.namespaces[key] = request.Namespace
	return map[string]any{"namespace": request.Namespace, "properties": request.Properties}, nil
}

func (s *Server) loadNamespace(r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.known(namespaceOf(r)); err != nil {
		return nil, err
	}
	return map[string]any{"namespace": namespaceOf(r), "properties": map[string]string{}}, nil
}

func (s *Server) known(namespace []string) error {
	if s.namespaces[strings.Join(namespace, separator)] == nil {
		return fail(http.StatusNotFound, "NoSuchNamespaceException", "%q", namespace)
	}
	return nil
}

func (s *Server) dropNamespace(r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.known(namespaceOf(r)); err != nil {
		return nil, err
	}
	for _, e := range s.tables {
		if slices.Equal(e.namespace, namespaceOf(r)) {
			return nil, fail(http.StatusConflict, "NamespaceNotEmptyException", "%q", e.namespace)
		}
	}
	delete(s.namespaces, strings.Join(namespaceOf(r), separator))
	return nil, nil
}

type identifier struct {
	Namespace []string `json:"namespace"`
	Name      string   `json:"name"`
}

func (s *Server) listTables(r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.known(namespaceOf(r)); err != nil {
		return nil, err
	}
	keys := slices.DeleteFunc(slices.Collect(maps.Keys(s.tables)), func(key string) bool {
		return !slices.Equal(s.tables[key].namespace, namespaceOf(r))
	})
	return page(r, "identifiers", keys, func(key string) any { return identifier{s.tables[key].namespace, s.tables[key].name} }), nil
}

func (s *Server) createTable(r *http.Request) (any, error) {
	var request struct {
		Name       string             `json:"name"`
		Schema     *iceberg.Schema    `json:"schema"`
		Location   string             `json:"location"`
		Stage      bool               `json:"stage-create"`
		Properties iceberg.Properties `json:"properties"`
	}
	if err := body(r, &request); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	namespace := namespaceOf(r)
	if err := s.known(namespace); err != nil {
		return nil, err
	}
	if request.Stage || request.Location == "" {
		return nil, fail(http.StatusNotImplemented, "UnsupportedOperationException", "staged tables, and tables without a location")
	}
	key := keyOf(namespace, request.Name)
	if s.tables[key] != nil {
		return nil, fail(http.StatusConflict, "AlreadyExistsException", "table %q", request.Name)
	}
	if s.settings.Locate != nil {
		request.Location = s.settings.Locate(namespace, request.Name, request.Location)
	}
	meta, err := table.NewMetadata(request.Schema, nil, table.UnsortedSortOrder, request.Location, request.Properties)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "BadRequestException", "%v", err)
	}
	e := &entry{namespace: namespace, name: request.Name, meta: meta}
	if err := s.write(r.Context(), e); err != nil {
		return nil, err
	}
	s.tables[key] = e
	return e.loaded(), nil
}

func (s *Server) table(r *http.Request) (*entry, error) {
	e := s.tables[keyOf(namespaceOf(r), r.PathValue("table"))]
	if e == nil {
		return nil, fail(http.StatusNotFound, "NoSuchTableException", "%q", r.PathValue("table"))
	}
	return e, nil
}

func (s *Server) loadTable(r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.table(r)
	if err != nil {
		return nil, err
	}
	return e.loaded(), nil
}

// commitTable holds the requirements against the table, and changes it, in one step.
func (s *Server) commitTable(r *http.Request) (any, error) {
	var request struct {
		Requirements table.Requirements `json:"requirements"`
		Updates      table.Updates      `json:"updates"`
	}
	if err := body(r, &request); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.table(r)
	if err != nil {
		return nil, err
	}
	for _, requirement := range request.Requirements {
		if err := requirement.Validate(e.meta); err != nil {
			return nil, fail(http.StatusConflict, "CommitFailedException", "%v", err)
		}
	}
	meta, err := table.UpdateTableMetadata(e.meta, request.Updates, e.location)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "BadRequestException", "%v", err)
	}
	next := &entry{namespace: e.namespace, name: e.name, version: e.version + 1, meta: meta}
	if err := s.write(r.Context(), next); err != nil {
		return nil, err
	}
	s.tables[keyOf(e.namespace, e.name)] = next
	return map[string]any{"metadata-location": next.location, "metadata": next.meta}, nil
}

func (s *Server) dropTable(r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.table(r)
	if err != nil {
		return nil, err
	}
	delete(s.tables, keyOf(e.namespace, e.name))
	return nil, nil
}

func (s *Server) renameTable(r *http.Request) (any, error) {
	var request struct {
		Source      identifier `json:"source"`
		Destination identifier `json:"destination"`
	}
	if err := body(r, &request); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, to := keyOf(request.Source.Namespace, request.Source.Name), keyOf(request.Destination.Namespace, request.Destination.Name)
	e := s.tables[from]
	switch {
	case e == nil:
		return nil, fail(http.StatusNotFound, "NoSuchTableException", "%q", request.Source.Name)
	case s.tables[to] != nil:
		return nil, fail(http.StatusConflict, "AlreadyExistsException", "%q", request.Destination.Name)
	}
	if err := s.known(request.Destination.Namespace); err != nil {
		return nil, err
	}
	delete(s.tables, from)
	s.tables[to] = &entry{
		namespace: request.Destination.Namespace, name: request.Destination.Name, location: e.location, version: e.version, meta: e.meta,
	}
	return nil, nil
}
