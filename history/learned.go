package history

import "time"

// Bounds of what is learned about an endpoint's surroundings.
const (
	MaxLearnedSPKIs = 16
	MaxLearnedURIs  = 16
)

// Learned is what was seen around the key set: where discovery led, which
// certificates served it. A value that is here is no news.
type Learned struct {
	URIs    []Value // jwks_uri values, unmasked: compared and never shown
	SPKIs   []Value // hex of SHA-256 of leaf keys
	Issuers []Value // of leaf certificates
	// Leaf is the certificate of the last answer over TLS.
	LeafSPKI, LeafIssuer        string
	LeafNotBefore, LeafNotAfter time.Time
	// What discovery advertised last. Discovered is false before the first
	// document.
	Discovered     bool
	Algs           []string
	SignedMetadata bool
	PKCE           bool
}

// Value is one value and when it was seen.
type Value struct {
	Text        string
	First, Last time.Time
	Count       uint64 // answers that were judged with it
}
