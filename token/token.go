// Package token examines one signed token after the fact: which key signed it,
// when was that key published, does the signature verify, was the key published
// when the token says that it was made.
//
// A token is a secret. Nothing of it but its header and three claims leaves this
// package, and no error quotes it.
package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Caps of a token.
const (
	MaxOctets = 64 << 10
	maxHeader = 16 << 10
)

// Errors of Parse.
var (
	ErrNotToken  = errors.New("not a signed token: want three parts of base64url, joined by dots (RFC 7515, section 7.1)")
	ErrEncrypted = errors.New("an encrypted token (RFC 7516): who signed it shows only when it is decrypted")
)

// Token is what of a token is looked at. Text in it is whoever's who wrote it.
type Token struct {
	Kid    *string // nil when the header has none
	Alg    string
	Issuer string    // iss; "" when there is none
	Issued time.Time // iat; zero when there is none
	// Sent are the members of the header that bring or name a key, sorted as in
	// RFC 7515: jku, jwk, x5u, x5c.
	Sent []string

	raw string // header.payload.signature
}

// Parse reads a compact JWS, with "Bearer " before it or not.
func Parse(text string) (*Token, error) {
	text = strings.TrimSpace(text)
	if scheme, rest, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "bearer") {
		text = strings.TrimSpace(rest)
	}
	parts := strings.Split(text, ".")
	switch {
	case len(text) > MaxOctets:
		return nil, fmt.Errorf("a token of over %d octets", MaxOctets)
	case len(parts) == 5:
		return nil, ErrEncrypted
	case len(parts) != 3:
		return nil, ErrNotToken
	}
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || len(head) > maxHeader {
		return nil, ErrNotToken
	}
	var header map[string]json.RawMessage
	if json.Unmarshal(head, &header) != nil || header == nil {
		return nil, ErrNotToken
	}
	t := &Token{raw: text}
	if json.Unmarshal(header["alg"], &t.Alg) != nil {
		return nil, fmt.Errorf("%w: its header names no alg", ErrNotToken)
	}
	if raw, ok := header["kid"]; ok {
		var kid string
		if json.Unmarshal(raw, &kid) != nil {
			return nil, fmt.Errorf("%w: the kid of its header is no string", ErrNotToken)
		}
		t.Kid = &kid
	}
	for _, name := range []string{"jku", "jwk", "x5u", "x5c"} {
		if _, ok := header[name]; ok {
			t.Sent = append(t.Sent, name)
		}
	}
	t.claims(parts[1])
	return t, nil
}

// claims reads what is needed of the payload, which need not be JSON.
func (t *Token) claims(part string) {
	payload, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return
	}
	var claims struct {
		Issuer any `json:"iss"`
		Issued any `json:"iat"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return
	}
	t.Issuer, _ = claims.Issuer.(string)
	// RFC 7519, section 2: seconds since 1970, perhaps with a fraction.
	if s, ok := claims.Issued.(float64); ok && s > 0 && s < math.MaxInt32*8 {
		whole, fraction := math.Modf(s)
		t.Issued = time.Unix(int64(whole), int64(fraction*1e9)).UTC()
	}
}
