package keyhealth_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
)

func identity(t *testing.T, thumbprint string) jwks.Identity {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(thumbprint)
	if err != nil || len(b) != 32 {
		t.Fatalf("thumbprint %q: %v", thumbprint, err)
	}
	return jwks.Identity{Kind: jwks.Thumbprint, Sum: [32]byte(b)}
}

func TestEveryLineIsFound(t *testing.T) {
	data, err := os.ReadFile("published/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	var before string
	n := 0
	for line := range strings.Lines(string(data)) {
		thumb, source, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || source == "" || thumb <= before {
			t.Fatalf("line %q after %q", line, before)
		}
		before = thumb
		if got, ok := keyhealth.Published(identity(t, thumb)); !ok || got != source {
			t.Errorf("%s: %q %v, want %q", thumb, got, ok, source)
		}
		n++
	}
	if n < 500 {
		t.Errorf("%d keys", n)
	}
	for _, sum := range [][32]byte{{}, {0xff, 0xff, 0xff}, sha256.Sum256(nil)} {
		if got, ok := keyhealth.Published(jwks.Identity{Kind: jwks.Thumbprint, Sum: sum}); ok {
			t.Errorf("%x is of %q", sum, got)
		}
	}
	// The hash of an entry that cannot be read proves nothing.
	id := identity(t, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
	if _, ok := keyhealth.Published(id); !ok {
		t.Error("the sample key of RFC 7638 is not on the list")
	}
	id.Kind = jwks.Opaque
	if _, ok := keyhealth.Published(id); ok {
		t.Error("an unreadable key is on the list")
	}
}

// The embedded list is what the data says.
func TestPublishedIsTheData(t *testing.T) {
	type entry struct {
		Thumbprint string   `json:"thumbprint_sha256"`
		Kty        string   `json:"kty"`
		Verified   bool     `json:"verified"`
		Sources    []string `json:"sources"`
	}
	var in struct{ Keys []entry }
	data, err := os.ReadFile(filepath.Join(cmp.Or(os.Getenv("JWKSWATCH_DATA"), "../../shared/data"), "known-published-keys.json"))
	if err != nil {
		t.Skipf("no data: %v", err)
	}
	if err := json.Unmarshal(data, &in); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range in.Keys {
		if !e.Verified || e.Kty == "oct" {
			continue
		}
		n++
		source, ok := keyhealth.Published(identity(t, e.Thumbprint))
		if !ok {
			t.Errorf("%s is missing", e.Thumbprint)
		} else if number, rfc := strings.CutPrefix(source, "RFC "); rfc {
			if !slices.ContainsFunc(e.Sources, func(s string) bool { return strings.Contains(s, number) || strings.HasPrefix(s, "ietf-jose/") }) {
				t.Errorf("%s: %s is none of %q", e.Thumbprint, source, e.Sources)
			}
		} else if !strings.Contains(e.Sources[0], "/"+source+":") {
			t.Errorf("%s: %s, its source is %s", e.Thumbprint, source, e.Sources[0])
		}
	}
	lines, err := os.ReadFile("published/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(lines, []byte("\n")); got != n {
		t.Errorf("%d keys, the data has %d", got, n)
	}
}

// TestBlocklist looks up keys whose hashes the format's own tool would make.
func TestBlocklist(t *testing.T) {
	n := mul(prime(t, 256), prime(t, 256))
	keys := []jwks.Public{
		rsaOf(n),
		{Kty: "EC", Crv: "P-256", X: append([]byte{0}, bytes.Repeat([]byte{3}, 31)...), Y: make([]byte, 32)},
		{Kty: "OKP", Crv: "Ed25519", X: append([]byte{0, 0}, bytes.Repeat([]byte{4}, 30)...)},
		{Kty: "AKP", Alg: "ML-DSA-44", Pub: []byte{0, 1, 2}},
	}
	values := [][]byte{n.Bytes(), bytes.Repeat([]byte{3}, 31), bytes.Repeat([]byte{4}, 30), {0, 1, 2}}
	var records [][]byte
	for i, v := range values {
		sum := sha256.Sum256(v)
		records = append(records, append(slices.Clone(sum[:15]), byte(i+1)))
	}
	slices.SortFunc(records, bytes.Compare)
	list, err := keyhealth.ParseBlocklist("own", bytes.Join(records, nil))
	if err != nil {
		t.Fatal(err)
	}
	list.Lists = map[byte]string{1: "debianssl"}
	for i, want := range []string{"debianssl", "list 2", "list 3", "list 4"} {
		if got, ok := list.Find(keys[i]); !ok || got != want {
			t.Errorf("key %d: %q %v, want %q", i, got, ok, want)
		}
	}
	for _, p := range []jwks.Public{rsaOf(mul(n, n)), {}, {Kty: "AKP", Pub: []byte{1, 2}}} {
		if got, ok := list.Find(p); ok {
			t.Errorf("a stranger is in %s", got)
		}
	}
	slices.Reverse(records)
	if _, err := keyhealth.ParseBlocklist("own", bytes.Join(records, nil)); err == nil {
		t.Error("a list out of order is accepted")
	}
	if _, err := keyhealth.ParseBlocklist("own", records[0][1:]); err == nil {
		t.Error("half a record is accepted")
	}
	empty, err := keyhealth.ParseBlocklist("own", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := empty.Find(keys[0]); ok {
		t.Error("an empty list has a key")
	}
}

// A hash that was computed elsewhere.
func TestBlocklistHash(t *testing.T) {
	x, _ := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") // RFC 8037, appendix A.2
	hash, _ := hex.DecodeString("21fe31dfa154a261626bf854046fd2")
	list, err := keyhealth.ParseBlocklist("own", append(hash, 9))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := list.Find(jwks.Public{Kty: "OKP", Crv: "Ed25519", X: x}); !ok {
		t.Error("not found")
	}
}
