package jwks_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/lab"
)

func setOf(t testing.TB, entries ...map[string]any) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"keys": entries})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// codesOf are the codes of an entry that speak of secrets. They must be the same
// when the redacted document is read again, and no value may be left in it.
func codesOf(t *testing.T, body []byte, i int, secrets ...string) []jwks.Code {
	t.Helper()
	set := jwks.Parse(body)
	again := jwks.Parse(set.Body)
	if !reflect.DeepEqual(again.Keys, set.Keys) || again.Digest != set.Digest || !bytes.Equal(again.Body, set.Body) {
		t.Errorf("read again:\n%+v\n%+v", again.Keys, set.Keys)
	}
	for _, secret := range secrets {
		if bytes.Contains(set.Body, []byte(secret)) {
			t.Errorf("%.20s… is left", secret)
		}
	}
	var out []jwks.Code
	for _, d := range set.Keys[i].Defects {
		if strings.Contains(d.Text, "AQAB") {
			t.Error("a text quotes a value")
		}
		switch d.Code {
		case jwks.PrivateProven, jwks.PublicSecret:
			out = append(out, d.Code)
		}
	}
	return slices.Compact(out)
}

func TestPrivateHalvesAreProven(t *testing.T) {
	rsa, ec := lab.NewRSA("a", 2048), lab.NewEC("a", "P-256")
	keys := map[string]lab.Key{
		"rsa": rsa, "p-256": ec, "p-384": lab.NewEC("a", "P-384"), "p-521": lab.NewEC("a", "P-521"), "ed25519": lab.NewEd25519("a"),
	}
	only := func(e map[string]any, keep ...string) map[string]any {
		e = maps.Clone(e)
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi"} {
			if !slices.Contains(keep, name) {
				delete(e, name)
			}
		}
		return e
	}
	type row struct {
		entry map[string]any
		want  bool
	}
	rows := map[string]row{
		"rsa by d":  {only(rsa.Private(), "d"), true},
		"rsa by p":  {only(rsa.Private(), "p"), true},
		"rsa by q":  {only(rsa.Private(), "q"), true},
		"rsa by dp": {only(rsa.Private(), "dp"), false}, // is no proof by itself
	}
	for name, k := range keys {
		rows[name] = row{k.Private(), true}
		other := k.Renew().Private()
		foreign := k.Private()
		for _, m := range []string{"d", "p", "q"} {
			if _, ok := foreign[m]; ok {
				foreign[m] = other[m]
			}
		}
		rows[name+" with the half of another"] = row{foreign, false}
	}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			var secrets []string
			for _, m := range []string{"d", "p", "q", "dp"} {
				if s, ok := r.entry[m].(string); ok {
					secrets = append(secrets, s)
				}
			}
			body := setOf(t, r.entry)
			if got := codesOf(t, body, 0, secrets...); r.want != slices.Equal(got, []jwks.Code{jwks.PrivateProven}) || !r.want && got != nil {
				t.Errorf("%q, want proven: %v", got, r.want)
			}
			// What is proven has no part in what the set is.
			plain := bytes.ReplaceAll(jwks.Parse(body).Body, []byte("[redacted: private half of this key]"), []byte(jwks.Redacted))
			if jwks.Parse(plain).Digest != jwks.Parse(body).Digest {
				t.Error("another digest")
			}
		})
	}
}

// A public key in the place of a shared secret is what a confusion of RS256 and
// HS256 needs; its identity does not depend on what else stands in the set.
func TestPublicKeyAsSecret(t *testing.T) {
	key := lab.NewRSA("a", 2048).WithCertificate(time.Unix(0, 0), time.Unix(1<<31, 0))
	pub := key.Public()
	der, err := x509.MarshalPKIXPublicKey(key.Signer().Public())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	b64 := base64.RawURLEncoding.EncodeToString
	n, err := base64.RawURLEncoding.DecodeString(pub["n"].(string))
	if err != nil {
		t.Fatal(err)
	}
	ed := lab.NewEd25519("b")
	for name, k := range map[string]string{
		"spki": b64(der), "pem": b64(text), "pem without its last line break": b64(bytes.TrimSpace(text)), "n": b64(n),
		"certificate": fmt.Sprint(pub["x5c"].([]string)[0]), "ed25519": ed.Public()["x"].(string),
	} {
		t.Run(name, func(t *testing.T) {
			oct := map[string]any{"kty": "oct", "kid": "h", "alg": "HS256", "k": k}
			if got := codesOf(t, setOf(t, pub, ed.Public(), oct), 2); !slices.Equal(got, []jwks.Code{jwks.PublicSecret}) {
				t.Errorf("%q", got)
			}
			beside, alone := jwks.Parse(setOf(t, pub, ed.Public(), oct)).Keys[2], jwks.Parse(setOf(t, oct)).Keys[0]
			if beside.ID != alone.ID {
				t.Error("another identity beside the public key")
			}
			if got := codesOf(t, setOf(t, oct), 0); got != nil {
				t.Errorf("alone: %q", got)
			}
		})
	}
	real := lab.NewOct("h").Private()
	if got := codesOf(t, setOf(t, pub, real), 1, real["k"].(string)); got != nil {
		t.Errorf("a real secret: %q", got)
	}
}

// TestProofsAreBounded serves a thousand private keys that each would take an
// exponentiation.
func TestProofsAreBounded(t *testing.T) {
	e := lab.NewRSA("a", 2048).Private()
	for _, m := range []string{"p", "q"} {
		delete(e, m)
	}
	var entries []map[string]any
	for range 1000 {
		entries = append(entries, e)
	}
	set := jwks.Parse(setOf(t, entries...))
	proven := 0
	for i := range set.Keys {
		for _, d := range set.Keys[i].Defects {
			if d.Code == jwks.PrivateProven {
				proven++
			}
		}
	}
	if proven != 1 {
		t.Errorf("%d proofs by exponentiation, want 1", proven)
	}
}

func BenchmarkProve(b *testing.B) {
	e := lab.NewRSA("a", 2048).Private()
	whole := setOf(b, e)
	delete(e, "p")
	delete(e, "q")
	for name, body := range map[string][]byte{"primes": whole, "exponent": setOf(b, e)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				jwks.Parse(body)
			}
		})
	}
}
