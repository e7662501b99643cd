package rules

import (
	"slices"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
)

// weakLabels finds what is weak in keys by their length and their alg alone.
func weakLabels(s *jwks.Set) []Flaw {
	var out []Flaw
	type finding struct {
		id   jwks.Identity
		code string
	}
	seen := map[finding]bool{}
	for i := range s.Keys {
		k := &s.Keys[i]
		if !k.Decoded() && !has(k.Defects, jwks.PublicSecret) {
			continue
		}
		add := func(code string, severity event.Severity) {
			if f := (finding{k.ID, code}); severity != 0 && !seen[f] {
				seen[f] = true
				out = append(out, weak(k, severity, []string{code}, ""))
			}
		}
		if k.Kty == "RSA" {
			add(keyhealth.RSAShort, event.Severity(keyhealth.RSALength(k.Bits)))
		}
		if k.Decoded() {
			add(algorithm(k))
			continue
		}
		add("public_key_as_secret", event.SeverityCritical)
	}
	return out
}

// algorithm judges the alg of an asymmetric key. HS* and none on a public key are
// what a confusion of algorithms needs: verifiers that believe the entry take the
// public key for a shared secret, or ask for no signature (RFC 8725, section 2.1).
func algorithm(k *jwks.Key) (code string, severity event.Severity) {
	alg := k.Alg
	fits := true
	switch {
	case strings.EqualFold(alg, "none"):
		return "alg_none", event.SeverityCritical
	case alg == "HS256", alg == "HS384", alg == "HS512":
		return "alg_mismatch", event.SeverityCritical
	case oneOf(alg, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"):
		fits = k.Kty == "RSA"
	case alg == "ES256":
		fits = k.Kty == "EC" && k.Crv == "P-256"
	case alg == "ES384":
		fits = k.Kty == "EC" && k.Crv == "P-384"
	case alg == "ES512":
		fits = k.Kty == "EC" && k.Crv == "P-521"
	case alg == "ES256K":
		fits = k.Kty == "EC" && k.Crv == "secp256k1"
	case alg == "EdDSA":
		fits = k.Kty == "OKP" && oneOf(k.Crv, "Ed25519", "Ed448")
	case alg == "Ed25519", alg == "Ed448":
		fits = k.Kty == "OKP" && k.Crv == alg
	case strings.HasPrefix(alg, "ECDH-ES"):
		fits = k.Kty == "EC" || k.Kty == "OKP" && oneOf(k.Crv, "X25519", "X448")
	case strings.HasPrefix(alg, "ML-DSA-"):
		fits = k.Kty == "AKP"
	case oneOf(alg, "dir", "A128KW", "A192KW", "A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW"), strings.HasPrefix(alg, "PBES2-"):
		fits = false
	}
	if fits {
		return "", 0
	}
	return "alg_mismatch", event.SeverityMedium
}

func oneOf(s string, list ...string) bool {
	return slices.Contains(list, s)
}
