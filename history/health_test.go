package history_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

func TestHealthSurvivesStorage(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	keys := []jwks.Key{
		{ID: jwks.Identity{Kind: jwks.Thumbprint, Sum: [32]byte{1}}, Kid: "a", Cert: [32]byte{9}},
		{ID: jwks.Identity{Kind: jwks.Thumbprint, Sum: [32]byte{2}}, Kid: "b"},
		{ID: jwks.Identity{Kind: jwks.Thumbprint, Sum: [32]byte{2}}, Kid: "again"},
		{ID: jwks.Identity{Kind: jwks.Opaque, Sum: [32]byte{3}}, Kid: "c"},
	}
	m, _ := history.Decode(nil)
	m.Accept(keys, time.Time{}, at)
	if got := m.Unchecked(keys, 7); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("to be checked: %v", got)
	}
	h := &history.Health{
		Checked: 7, Weak: []history.Weakness{{Code: "rsa_even", Severity: 5}}, Peer: "other", List: "builtin", Source: "RFC 0",
		Cert: [32]byte{9}, CertCodes: []string{"key_mismatch"}, NotBefore: at, NotAfter: at.Add(time.Hour),
	}
	m.Sightings[keys[0].ID].Health = h
	m.Note(history.Digest{Sum: [32]byte{4}, At: at, Keys: 4})
	m.Digests[0].Verdict = history.Verdict{Read: history.Rejects, Entries: 2, Reason: "why"}
	encoded, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := history.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Sightings[keys[0].ID].Health, h) || back.Sightings[keys[1].ID].Health != nil {
		t.Errorf("%+v", back.Sightings[keys[0].ID].Health)
	}
	if back.VerdictOf([32]byte{4}) != m.Digests[0].Verdict || back.VerdictOf([32]byte{5}).Read != history.Unread {
		t.Errorf("%+v", back.Digests)
	}
	for _, tt := range []struct {
		checks uint64
		cert   byte
		want   []int
	}{{7, 9, []int{1}}, {8, 9, []int{0, 1}}, {7, 8, []int{0, 1}}} {
		keys[0].Cert[0] = tt.cert
		if got := back.Unchecked(keys, tt.checks); !slices.Equal(got, tt.want) {
			t.Errorf("checks %d, certificate %d: to be checked %v, want %v", tt.checks, tt.cert, got, tt.want)
		}
	}
	// A set that comes back has the verdict it had.
	m.Note(history.Digest{Sum: [32]byte{6}, At: at})
	m.Note(history.Digest{Sum: [32]byte{4}, At: at})
	if len(m.Digests) != 2 || m.Digests[1].Verdict.Reason != "why" || m.Digests[0].Verdict.Read != history.Unread {
		t.Errorf("%+v", m.Digests)
	}
}

// TestHealthIsBounded fills what is remembered with all that checks can find.
func TestHealthIsBounded(t *testing.T) {
	m, _ := history.Decode(nil)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h := &history.Health{
		Checked: 1 << 63, Peer: strings.Repeat("p", 63), List: strings.Repeat("l", 200), Source: strings.Repeat("s", 200), Cert: [32]byte{9},
		CertCodes: []string{"key_mismatch", "thumbprint_mismatch", "weak_signature", "unparseable"}, NotBefore: at, NotAfter: at,
	}
	for range 8 {
		h.Weak = append(h.Weak, history.Weakness{Code: "rsa_perfect_power", Severity: 5})
	}
	for round := range 12 {
		var keys []jwks.Key
		for i := range 3000 {
			sum := [32]byte{1: byte(round), 2: byte(i >> 8), 3: byte(i)}
			keys = append(keys, jwks.Key{ID: jwks.Identity{Kind: jwks.Thumbprint, Sum: sum}, Kty: "RSA"})
		}
		now := at.Add(time.Duration(round) * 8 * 24 * time.Hour)
		m.Accept(keys, now, now)
		for _, s := range m.Sightings {
			s.Health = h
		}
	}
	m.Bound()
	encoded, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > history.MaxOctets {
		t.Errorf("%d octets", len(encoded))
	}
	if len(m.Sightings) < 4000 {
		t.Errorf("%d sightings are left: the bound is too dear", len(m.Sightings))
	}
}
