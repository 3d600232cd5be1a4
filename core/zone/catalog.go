package zone

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	sqlcat "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"
)

// REST says how to reach an Iceberg REST catalog. Objects are read and written with the project's own credentials: what a catalog
// would hand out is not asked for.
type REST struct {
	URI       string // without /v1
	Warehouse string // which of the server's catalogs; some have only one
	Prefix    string // of paths; servers that need one usually say so themselves
	Token     string // a bearer token, or
	// Credential is id:secret (or a secret alone) for a token by OAuth2 client credentials, from OAuthURI, or the catalog itself.
	Credential, OAuthURI, Scope, Audience string
}

// CatalogError says that a failure is the catalog's, not that of what was asked of it.
type CatalogError struct {
	URI string
	// Passing says that the same may go better after a while.
	Passing bool
	Err     error
}

// Error implements error.
func (e *CatalogError) Error() string {
	return fmt.Sprintf("iceberg catalog at %s: %v", e.URI, e.Err)
}

// Unwrap gives the cause.
func (e *CatalogError) Unwrap() error { return e.Err }

// openCatalog opens the catalog that the settings choose.
func openCatalog(ctx context.Context, s Settings) (catalog.Catalog, error) {
	if s.REST == nil {
		return openStateCatalog(ctx, s)
	}
	options := []rest.Option{
		rest.WithTransportFactory(restTransport), rest.WithWarehouseLocation(s.REST.Warehouse), rest.WithPrefix(s.REST.Prefix),
		rest.WithOAuthToken(s.REST.Token), rest.WithCredential(s.REST.Credential), rest.WithScope(s.REST.Scope),
		rest.WithAudience(s.REST.Audience),
		// Undo, Release and judging a commit walk the history, so a table must come with all of it.
		rest.WithAdditionalProps(iceberg.Properties{"snapshot-loading-mode": string(rest.SnapshotModeAll)}),
	}
	if s.REST.OAuthURI != "" {
		at, err := url.Parse(s.REST.OAuthURI)
		if err != nil {
			return nil, errors.New("iceberg catalog: oauth_uri is not a URL")
		}
		options = append(options, rest.WithAuthURI(at))
	}
	c, err := rest.NewCatalog(ctx, catalogName, s.REST.URI, options...)
	if err != nil {
		return nil, s.REST.blame(err)
	}
	return c, nil
}

// catalogLock is what processes that open a catalog at the same time wait for: Postgres may fail a "create if not exists" that
// another connection is busy with.
const catalogLock = 0x71616e617401

// openStateCatalog opens the catalog in the state database.
func openStateCatalog(ctx context.Context, s Settings) (catalog.Catalog, error) {
	if s.Dialect == Postgres {
		tx, err := s.DB.BeginTx(ctx, nil)
		if err != nil {
			return nil, fmt.Errorf("iceberg catalog: %w", err)
		}
		defer func() { _ = tx.Rollback() }() // its end gives the lock back
		if _, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock($1)`, int64(catalogLock)); err != nil {
			return nil, fmt.Errorf("iceberg catalog: %w", err)
		}
	}
	c, err := sqlcat.NewCatalog(catalogName, s.DB, sqlcat.SupportedDialect(s.Dialect), iceberg.Properties{})
	if err != nil {
		return nil, fmt.Errorf("iceberg catalog: %w", err)
	}
	return c, nil
}

// blame marks errors that the catalog or the account is to blame for. Those of the way to it are marked where they happen.
func (r *REST) blame(err error) error {
	if _, known := errors.AsType[*CatalogError](err); r == nil || err == nil || known {
		return err
	}
	refused := errors.Is(err, rest.ErrUnauthorized) || errors.Is(err, rest.ErrForbidden) ||
		errors.Is(err, rest.ErrAuthorizationExpired) || errors.Is(err, rest.ErrOAuthError)
	if !refused && !overloaded(err) {
		return err
	}
	return &CatalogError{URI: r.place(), Passing: !refused, Err: err}
}

// CatalogBusy says that a REST catalog could not serve for reasons that may pass.
func CatalogBusy(err error) bool {
	if failure, ok := errors.AsType[*CatalogError](err); ok {
		return failure.Passing
	}
	return overloaded(err)
}

func overloaded(err error) bool {
	return errors.Is(err, rest.ErrServerError) || errors.Is(err, rest.ErrServiceUnavailable) ||
		errors.Is(err, rest.ErrCommitStateUnknown) || errors.Is(err, rest.ErrCommitFailed)
}

// String names the catalog without what is secret.
func (r *REST) String() string { return strings.Join([]string{r.place(), r.Prefix, r.Warehouse}, " ") }

// place is the address without what may be secret.
func (r *REST) place() string {
	at, err := url.Parse(r.URI)
	if err != nil {
		return "an address that can't be read"
	}
	at.RawQuery = ""
	return at.Redacted()
}

// How long the catalog may take for the parts of a request, and for all of one.
const (
	restDial    = 10 * time.Second
	restIdle    = 90 * time.Second
	restRequest = time.Minute
)

// restTransport bounds requests in time, and asks for no credentials to storage: a catalog that has none may refuse the question.
func restTransport(config *tls.Config) (http.RoundTripper, func()) {
	transport := &http.Transport{
		TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: restDial}).DialContext, TLSHandshakeTimeout: restDial,
		ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8, IdleConnTimeout: restIdle,
	}
	return &boundedTransport{next: transport}, transport.CloseIdleConnections
}

type boundedTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper. It reads the whole answer: the library would not tell one that was cut off from one that
// makes no sense.
func (b *boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), restRequest)
	defer cancel()
	request := r.Clone(ctx)
	request.Header.Del("X-Iceberg-Access-Delegation")
	response, err := b.next.RoundTrip(request)
	if err != nil {
		return nil, lost(r, err)
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, lost(r, err)
	}
	if response.StatusCode == http.StatusTooManyRequests { // which the library knows nothing of
		response.StatusCode = http.StatusServiceUnavailable
	}
	response.Body = io.NopCloser(bytes.NewReader(answer))
	return response, nil
}

// lost marks what went wrong on the way, unless the caller changed his mind.
func lost(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return err
	}
	return &CatalogError{URI: r.URL.Scheme + "://" + r.URL.Host, Passing: true, Err: err}
}

// makeNamespace makes the namespace of a dataset if it is missing; REST catalogs want to have the one that it lies in first.
func (z *Zones) makeNamespace(ctx context.Context, n Name) error {
	levels := n.namespace()
	first := len(levels)
	if z.rest != nil {
		first = 1
	}
	for i := first; i <= len(levels); i++ {
		err := z.catalog.CreateNamespace(ctx, levels[:i], nil)
		if err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
			return z.rest.blame(err)
		}
	}
	return nil
}

// namespaces are those that may hold datasets. A REST catalog lists one level at a time.
func (z *Zones) namespaces(ctx context.Context) ([]table.Identifier, error) {
	if z.rest == nil {
		return z.catalog.ListNamespaces(ctx, nil)
	}
	var all []table.Identifier
	for _, name := range All() {
		below, err := z.catalog.ListNamespaces(ctx, table.Identifier{name})
		if err != nil && !errors.Is(err, catalog.ErrNoSuchNamespace) {
			return nil, z.rest.blame(err)
		}
		all = append(all, below...)
	}
	return slices.DeleteFunc(all, func(ns table.Identifier) bool { return len(ns) != 2 }), nil
}

// projectProperty names the project of a dataset in a catalog that others may use, too.
const projectProperty = "qanat.project"

func (z *Zones) owned(p iceberg.Properties) iceberg.Properties {
	if z.rest != nil && z.project != "" {
		p[projectProperty] = z.project
	}
	return p
}

// ours refuses a dataset of another project: the ledger that says what is in it is not ours.
func (z *Zones) ours(n Name, tbl *table.Table) error {
	if of := tbl.Properties()[projectProperty]; z.rest != nil && of != z.project && of != "" {
		return fmt.Errorf("dataset %q belongs to project %q: a project needs a warehouse of its own", n, of)
	}
	return nil
}

// placed refuses a table that the catalog has put outside of its zone's bucket: retention and rights of a zone are its bucket's.
func (z *Zones) placed(ctx context.Context, n Name, tbl *table.Table) error {
	bucket := "s3://" + z.client.Bucket(n.Zone) + "/"
	if strings.HasPrefix(tbl.Location(), bucket) {
		return nil
	}
	err := fmt.Errorf("dataset %q: the catalog has put it at %q, and not below %q, where its zone is; allow that location in the catalog's warehouse",
		n, tbl.Location(), bucket)
	return errors.Join(err, z.rest.blame(z.catalog.DropTable(ctx, n.identifier())))
}
