package jwks

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// b64 is base64url of octets.
func b64(octets []byte) string { return base64.RawURLEncoding.EncodeToString(octets) }

// octets are n octets that depend on seed alone; the first and the last are odd
// and have their top bit set.
func octets(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	b[0] |= 0x80
	b[n-1] |= 0x81
	return b
}

// rsaKey is an entry whose modulus has 2048 bits; extra members come last.
func rsaKey(seed uint64, kid string, extra ...string) string {
	members := append([]string{
		`"kty":"RSA"`, `"kid":"` + kid + `"`, `"alg":"RS256"`, `"use":"sig"`, `"e":"AQAB"`,
		`"n":"` + b64(octets(seed, 256)) + `"`,
	}, extra...)
	return "{" + strings.Join(members, ",") + "}"
}

// doc is a set of the given entries.
func doc(entries ...string) []byte {
	return []byte(`{"keys":[` + strings.Join(entries, ",") + `]}`)
}

// one parses a set of one entry and returns its key.
func one(t *testing.T, entry string) Key {
	t.Helper()
	s := Parse(doc(entry))
	if s.Shape != ShapeJWKS || len(s.Keys) != 1 {
		t.Fatalf("Parse(%.200q): shape %s, %d keys, want jwks with 1", entry, s.Shape, len(s.Keys))
	}
	return s.Keys[0]
}

// told writes defects as "code pointer", sorted as they come.
func told(defects []Defect) []string {
	out := []string{}
	for _, d := range defects {
		out = append(out, fmt.Sprintf("%s %s", d.Code, d.Pointer))
	}
	return out
}

// wantDefects compares defects with a list of "code pointer".
func wantDefects(t *testing.T, what string, got []Defect, want ...string) {
	t.Helper()
	slices.Sort(want)
	have := told(got)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("%s: defects %q, want %q", what, have, want)
	}
}

func hasCode(defects []Defect, code Code) bool {
	return slices.ContainsFunc(defects, func(d Defect) bool { return d.Code == code })
}
