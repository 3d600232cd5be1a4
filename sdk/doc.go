// Package sdk is what a Qanat plugin imports. A plugin is an executable whose main is one call:
//
//	func main() {
//		sdk.Serve(sdk.Info{Name: "shop", Version: "1.2.0"}, sdk.SourceOf(newSource))
//	}
//
// with a constructor such as
//
//	func newSource(ctx context.Context, c Config, env sdk.Env) (*source, error)
//
// Config is a struct; its tags (json, jsonschema, jsonschema_description, jsonschema_extras) become the JSON Schema that the
// operator's YAML is checked against before the plugin starts, and its defaults are applied before it is decoded.
//
// Records are Arrow record batches. Package sdk/rows turns structs and maps into batches for sources that deal in rows. Whoever
// receives a batch owns it and releases it; whoever passes a batch on gives the ownership away.
//
// Errors say what the runtime may do about them: see Retryable, RateLimited, Fatal and ConfigError. The runtime owns retry, so
// plugins do not loop over failures themselves.
package sdk

// Version is the version of the SDK that a plugin was built with.
const Version = "0.1.0"

// Handshake of the plugin protocol: the cookie tells a person who starts a plugin by hand what it is.
const (
	CookieKey       = "QANAT_PLUGIN"
	CookieValue     = "a3c8f2d4-qanat"
	ProtocolVersion = 1
)
