package main

import (
	"encoding/hex"
	"strings"
	"unicode"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// keyRow describes a key in the JSON of the one-shot commands.
type keyRow struct {
	Kid        *string `json:"kid"`
	Thumbprint *string `json:"thumbprint"`
	Kty        *string `json:"kty"`
	Alg        *string `json:"alg"`
	Use        *string `json:"use"`
	Bits       *int    `json:"bits"`
}

func newKeyRow(k *jwks.Key) keyRow {
	r := keyRow{
		Kid: event.TextOrNil(k.Kid), Kty: event.TextOrNil(k.Kty), Alg: event.TextOrNil(k.Alg), Use: event.TextOrNil(k.Use),
		Thumbprint: thumbprint(k),
	}
	if k.Bits > 0 {
		r.Bits = new(k.Bits)
	}
	return r
}

// thumbprint is nil for symmetric keys and for keys that cannot be decoded.
func thumbprint(k *jwks.Key) *string {
	if k.ID.Kind != jwks.Thumbprint {
		return nil
	}
	return new(k.ID.String())
}

// terminal makes text of an issuer fit for a terminal and a table: nothing
// that moves the cursor, nothing that breaks the line.
func terminal(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, event.Text(s))
}

func or(s *string, none string) string {
	if s == nil {
		return none
	}
	return terminal(*s)
}

func digest(sum [32]byte) string { return "sha256:" + hex.EncodeToString(sum[:]) }
