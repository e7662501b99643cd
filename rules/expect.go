package rules

import "time"

// Expect is what is declared of an endpoint. Zero fields declare nothing.
type Expect struct {
	Cadence       time.Duration // from one rotation to the next
	Overlap       time.Duration // that the old and the new key stand together at least
	TokenLifetime time.Duration // of the tokens of the issuer
	MaxKeyAge     time.Duration
	KeysMin       int // signing keys; KeysMax 0 declares nothing
	KeysMax       int
	Algs          []string // RFC 7518 names, that signing keys may have
	Thumbprints   []string // that the first sight must not go beyond
	NoLearning    bool     // habits of the issuer lower nothing
}

// declares reports whether anything is declared of how the endpoint changes. A
// refusal to learn declares nothing, and the keys of the first sight say nothing
// of those that come later.
func (e *Expect) declares() bool {
	return e.Cadence > 0 || e.Overlap > 0 || e.TokenLifetime > 0 || e.MaxKeyAge > 0 || e.KeysMax > 0 || len(e.Algs) > 0
}

// Approval is a change that was announced or accepted for the endpoint. Kid, Alg
// and Use pin the key further; "" pins nothing.
type Approval struct {
	ID         string
	Thumbprint string // RFC 7638, base64url
	Kid        string
	Alg, Use   string
	From       time.Time
	Until      time.Time
	Reason     string // of the operator
	By         string
	// Accepted says that the change had come when it was approved: nothing is to come.
	Accepted bool
}
