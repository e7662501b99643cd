package rules

import (
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Facts are what the way of one answer showed: connection, headers, discovery.
// They are plain values, stored as JSON with a pending claim, so that what is
// told later stands on the evidence of the answer that first showed it. Texts
// of the issuer in them are masked and cleaned already, except JWKSURI, which
// is compared and never shown.
type Facts struct {
	Evidence *event.Transport `json:"evidence"` // as it will stand in the event

	Host          string        `json:"host,omitempty"`        // that served the set, lower case, without port
	LeafSPKI      string        `json:"leaf_spki,omitempty"`   // hex of SHA-256; "" without TLS
	LeafIssuer    string        `json:"leaf_issuer,omitempty"` // RFC 2253 form
	LeafNotBefore time.Time     `json:"leaf_not_before,omitzero"`
	LeafNotAfter  time.Time     `json:"leaf_not_after,omitzero"`
	ContentType   string        `json:"content_type,omitempty"`
	CacheControl  string        `json:"cache_control,omitempty"`
	MaxAge        time.Duration `json:"max_age,omitempty"`
	HasMaxAge     bool          `json:"has_max_age,omitempty"`
	Age           time.Duration `json:"age,omitempty"`
	// Stale says that the age is beyond max-age, stale-while-revalidate and a
	// minute of grace: a cache serves what it should not.
	Stale     bool       `json:"stale,omitempty"`
	Discovery *Discovery `json:"discovery,omitempty"` // nil when the endpoint is a jwks_uri
}

// Discovery is what the discovery document of an issuer said in one poll.
type Discovery struct {
	Document string `json:"document"`           // its URL, masked
	Issuer   string `json:"issuer,omitempty"`   // as published
	JWKSURI  string `json:"jwks_uri,omitempty"` // as published; may hold what must not be shown
	Shown    string `json:"shown,omitempty"`    // JWKSURI, masked and cleaned
	Host     string `json:"host,omitempty"`     // of JWKSURI, lower case, without port
	Site     string `json:"site,omitempty"`     // registrable domain of Host
	// Algs are all signature algorithms that the document advertises, sorted.
	Algs           []string `json:"algs,omitempty"`
	SignedMetadata bool     `json:"signed_metadata,omitempty"`
	PKCE           bool     `json:"pkce,omitempty"` // S256 among code_challenge_methods_supported
	// Endpoints are those that receive secrets, by name.
	Endpoints []DiscoveryEndpoint `json:"endpoints,omitempty"`
	// Other is what the document of the other form says; nil when nobody looked
	// lately, or there is none.
	Other *OtherDocument `json:"other,omitempty"`
	// Used is the key set that was asked after all, unmasked: JWKSURI, or the
	// last one when the document could not be had or must not be believed.
	Used string `json:"used,omitempty"`
	// Failure says why the document could not be had; then only Document and
	// Used are set besides.
	Failure *Failure `json:"failure,omitempty"`
}

// DiscoveryEndpoint is one endpoint that a discovery document names.
type DiscoveryEndpoint struct {
	Name  string `json:"name"`            // token_endpoint, …
	Shown string `json:"shown,omitempty"` // its URL, masked and cleaned
	Host  string `json:"host,omitempty"`  // lower case, without port; "" when it is no URL
	Site  string `json:"site,omitempty"`  // registrable domain of Host
}

// OtherDocument is a second discovery document of the same issuer.
type OtherDocument struct {
	Document string `json:"document"` // its URL, masked
	JWKSURI  string `json:"jwks_uri"` // as Discovery.JWKSURI, and Shown
	Shown    string `json:"shown,omitempty"`
	Against  string `json:"against"` // jwks_uri of the first when both were read
}

// Redirect is a 3xx answer where none is allowed.
type Redirect struct {
	Status    int    `json:"status"`
	Location  string `json:"location,omitempty"` // masked and cleaned
	CrossHost bool   `json:"cross_host,omitempty"`
	Downgrade bool   `json:"downgrade,omitempty"` // https to http
}
