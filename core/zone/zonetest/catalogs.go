package zonetest

import (
	"net/http/httptest"
	"testing"

	"github.com/qanat-data/qanat/core/zone"
	"github.com/qanat-data/qanat/core/zone/zonetest/restcatalog"
)

// WithREST puts the catalog into a REST server of the test's own. Change adjusts the server, and, as who connects to it, the client.
func WithREST(t testing.TB, change func(*restcatalog.Settings, *zone.REST)) Option {
	return func(s *zone.Settings) {
		t.Helper()
		settings := restcatalog.Settings{Objects: client(t, *s)}
		s.REST = &zone.REST{}
		if change != nil {
			change(&settings, s.REST)
		}
		server := httptest.NewServer(restcatalog.New(settings))
		t.Cleanup(server.Close)
		s.REST.URI = server.URL
		s.DB, s.Dialect = nil, ""
	}
}
