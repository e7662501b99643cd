// Package keyhealth says what is wrong with public keys as such: numbers that
// can be factored, points that are on no curve, keys whose private half is
// public, certificates that do not belong to their key.
//
// The package is pure: it takes decoded public material and returns codes. Its
// work is bounded whatever an issuer serves.
package keyhealth

import (
	"slices"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// Version changes when a check is added or mended, so that keys which were
// checked by an older version are checked once more.
const Version = 2

// Grade is how bad a weakness is, in the numbers of event severities.
type Grade uint8

// The grades.
const (
	Low      Grade = 2
	Medium   Grade = 3
	High     Grade = 4
	Critical Grade = 5
)

// The codes of weak keys.
const (
	RSAShort        = "rsa_short"
	RSAEven         = "rsa_even"
	RSAExponent     = "rsa_exponent"
	RSASmallFactor  = "rsa_small_factor"
	RSAClosePrimes  = "rsa_close_primes"
	RSAROCA         = "rsa_roca"
	RSAPrime        = "rsa_prime"
	RSAPerfectPower = "rsa_perfect_power"
	RSASharedFactor = "rsa_shared_factor"
	ECOffCurve      = "ec_off_curve"
	OKPLowOrder     = "okp_low_order"
)

// Weakness is one thing wrong with a key.
type Weakness struct {
	Code  string
	Grade Grade
}

// Check returns what is wrong with the material itself, sorted by code. It costs
// about 10 ms for RSA of 2048 bits and at most half a second for what an issuer
// may serve; the checks that grow too dear are not made beyond 8,192 bits, and
// beyond 16,384 only those of single words are.
func Check(p jwks.Public) []Weakness {
	var out []Weakness
	switch {
	case p.N != nil:
		out = checkRSA(p.N, p.E)
	case p.Kty == "EC":
		out = checkEC(p.Crv, p.X, p.Y)
	case p.Kty == "OKP":
		out = checkOKP(p.Crv, p.X)
	}
	slices.SortFunc(out, func(a, b Weakness) int {
		if a.Code < b.Code {
			return -1
		}
		return 1
	})
	return out
}

// Codes are the codes alone.
func Codes(list []Weakness) []string {
	out := []string{}
	for _, w := range list {
		out = append(out, w.Code)
	}
	return out
}

// Sizes of RSA moduli, in bits.
const (
	factored = 1024 // below it single people factor; 829 bits have been, publicly
	weak     = 1536 // below it states may: 80 bits of strength at 1,024
	accepted = 2048 // NIST SP 800-131A, RFC 7518 section 3.3
)

// RSALength grades a modulus by its length in bits, 0 for one that is long enough.
func RSALength(bits int) Grade {
	switch {
	case bits < factored:
		return Critical
	case bits < weak:
		return High
	case bits < accepted:
		return Medium
	}
	return 0
}
