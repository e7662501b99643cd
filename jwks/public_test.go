package jwks_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/jwks"
)

func TestPublicMaterial(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	x := bytes.Repeat([]byte{7}, 32)
	body := `{"more":[{"keys":[1]}],"keys":[
		{"kty":"RSA","kid":"a","n":"AAEAAQ==","e":"AQAB","d":"c2VjcmV0","x5c":["AAEC","!"," AQ "],"x5t":"ab\n","x5t#S256":"cd","x5u":"https://idp.example/c"},
		{"kty":"EC","crv":"P-256","x":"` + b64(x[1:]) + `","y":"` + b64(x) + `"},
		{"kty":"RSA","n":"!","e":"AQAB"},
		{"kty":"oct","k":"c2VjcmV0"},
		17,
		{"kty":"OKP","crv":"Ed25519","x":"` + b64(x) + `"},
		{"kty":"AKP","alg":"ML-DSA-99","pub":"AQID","priv":"c2VjcmV0"}]}`
	set := jwks.Parse([]byte(body))
	got := map[int]jwks.Public{}
	for i, p := range set.Publics() {
		got[i] = p
		one, ok := set.Public(i)
		if !ok || fmt.Sprintf("%+v", one) != fmt.Sprintf("%+v", p) {
			t.Errorf("entry %d: %+v alone, %+v among all", i, one, p)
		}
	}
	if len(got) != 4 {
		t.Fatalf("%d of 4 entries", len(got))
	}
	a := got[0]
	if a.N.Cmp(big.NewInt(65537)) != 0 || a.E.Cmp(big.NewInt(65537)) != 0 || a.X5T != "ab\n" || a.X5TS256 != "cd" || a.X5U != "https://idp.example/c" {
		t.Errorf("%+v", a)
	}
	if len(a.X5C) != 3 || !bytes.Equal(a.X5C[0], []byte{0, 1, 2}) || a.X5C[1] != nil || !bytes.Equal(a.X5C[2], []byte{1}) {
		t.Errorf("x5c %x", a.X5C)
	}
	if ec := got[1]; len(ec.X) != 32 || ec.X[0] != 0 || !bytes.Equal(ec.Y, x) || ec.N != nil {
		t.Errorf("%+v", ec)
	}
	if !bytes.Equal(got[5].X, x) || !bytes.Equal(got[6].Pub, []byte{1, 2, 3}) || got[6].Alg != "ML-DSA-99" {
		t.Errorf("%+v %+v", got[5], got[6])
	}
	if s := fmt.Sprintf("%+v", got); strings.Contains(s, "secret") || strings.Contains(s, "c2VjcmV0") {
		t.Error("private material came out")
	}
	if _, ok := set.Public(3); ok {
		t.Error("a symmetric key has public material")
	}
	for range jwks.Parse([]byte("null")).Publics() {
		t.Error("what is no set yields material")
	}
}

// What Public decodes is what the identity is made of.
func TestPublicIsWhatIsIdentified(t *testing.T) {
	set := jwks.Parse([]byte(`{"keys":[{"kty":"RSA","n":"AMzz","e":"AQAB"}]}`))
	p, _ := set.Public(0)
	b64 := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256([]byte(`{"e":"` + b64(p.E.Bytes()) + `","kty":"RSA","n":"` + b64(p.N.Bytes()) + `"}`))
	if sum != set.Keys[0].ID.Sum {
		t.Error("another number than that of the thumbprint")
	}
}

func TestPublicBoundsChains(t *testing.T) {
	cert := `"` + strings.Repeat("A", 100<<10) + `"`
	body := `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","x5c":[` + cert + strings.Repeat(`,"AA"`, 20) + `]}]}`
	p, ok := jwks.Parse([]byte(body)).Public(0)
	if !ok || len(p.X5C) != 8 || p.X5C[0] != nil || p.X5C[1] == nil {
		t.Errorf("%d certificates", len(p.X5C))
	}
}
