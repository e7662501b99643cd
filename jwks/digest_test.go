package jwks

import (
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Digests are stored and compared for years: these may never change.
func TestDigestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		body []byte
		want string
	}{
		{"empty", doc(), "79528ca761c719ede4e356cc91f1da07711ed0e974794d7aaf521503dbbd719a"},
		{"one RSA key", doc(rsaKey(1, "a")), "4f151d2a8d60ff8210a2046216a282a1bbd1630a3ef886508ea1bcbe200d8a0f"},
		{"keys of every kind", doc(
			rsaKey(1, "a", `"key_ops":["verify"]`, `"x5c":["AQ=="]`), ec("P-256", b64(octets(2, 32)), b64(octets(3, 31))),
			okp("Ed25519", b64(octets(4, 32))), akp("ML-DSA-44", b64(octets(5, 1312))), `{"kty":"oct","kid":"s","k":"AAAA"}`, `{"kty":"new"}`, `null`,
		), "027345ee551be5e8cdfc4c5e2c4c5d1e3db927088dd8ba5090d515d3db8cef7b"},
		{
			"one key, computed by hand from the layout",
			doc(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a","alg":"EdDSA","use":"sig","key_ops":["verify","sign"],"x5c":["AQ=="],"x5t":"?"}`),
			"e26fafae3f7650e04fa19e83ea6e83e5020507bbf77bf421aefcb6fed061800d",
		},
		{"document with defects", []byte(`{"keys":[],"KEYS":[],"a":1,"a":2}`), "337c51c3ea469e6b86b4b8287a644435a2bd2b7aad120bcba9635ed2c4647e97"},
	} {
		s := Parse(c.body)
		if got := hex.EncodeToString(s.Digest[:]); got != c.want {
			t.Errorf("%s: digest %s, want %s", c.name, got, c.want)
		}
	}
}

// What is the same set, whatever its octets.
func TestDigestSame(t *testing.T) {
	t.Parallel()
	a, b, c := rsaKey(1, "a", `"key_ops":["verify","sign"]`), ec("P-256", "AQ", "Ag"), `{"kty":"new","kid":"c"}`
	want := Parse(doc(a, b, c)).Digest
	if want == [32]byte{} {
		t.Fatal("no digest")
	}
	for name, body := range map[string][]byte{
		"order":            doc(c, a, b),
		"repeated entry":   doc(a, b, a, c, c),
		"white space":      []byte(strings.NewReplacer(",", " ,\r\n", ":", "\t: ").Replace(string(doc(a, b, c)))),
		"order of members": doc(a, `{"y":"Ag","x":"AQ","crv":"P-256","kty":"EC"}`, `{"kid":"c","kty":"new"}`),
		"unknown members":  doc(a[:len(a)-1]+`,"iat":1,"x":{"a":[1]}}`, b, c),
		"request id":       []byte(`{"requestid":"1",` + string(doc(a, b, c))[1:]),
		"escapes":          doc(strings.Replace(a, "RS256", `RS\u0032\u00356`, 1), b, c),
		"order of key_ops": doc(strings.Replace(a, `["verify","sign"]`, `["sign","verify","sign"]`, 1), b, c),
		"empty private":    doc(a[:len(a)-1]+`,"oth":[],"d":""}`, b, c),
	} {
		if got := Parse(body); got.Digest != want {
			t.Errorf("%s: another digest", name)
		}
	}
	cert := func(x string) [32]byte { return Parse(doc(rsaKey(1, "a", `"x5c":["`+x+`"]`))).Digest }
	if cert("AQID\\nBAUG") != cert("AQIDBAUG") {
		t.Error("a line break in x5c: another digest")
	}
	oct := func(k string) [32]byte { return Parse(doc(`{"kty":"oct","k":"` + k + `"}`)).Digest }
	if oct("AAAA") != oct("BBBB") {
		t.Error("the digest tells one secret from another")
	}
}

// What is another set.
func TestDigestDiffers(t *testing.T) {
	t.Parallel()
	n := b64(octets(1, 256))
	seen := map[[32]byte]string{}
	for _, body := range []string{
		`{"keys":[]}`, `{"keys":[],"KEYS":[]}`, string(doc(rsa(n, "AQAB"))), string(doc(rsa(n, "Aw"))),
		string(doc(rsa(n, "AQAB\n"))), string(doc(rsa(n, "AQAB="))),
		string(doc(rsaKey(1, "a"))), string(doc(rsaKey(1, "b"))), string(doc(rsaKey(1, "a"), rsaKey(1, "b"))),
		string(doc(rsaKey(1, "a", `"alg":"PS256"`))), string(doc(rsaKey(1, "a", `"use":"enc"`))),
		string(doc(rsaKey(1, "a", `"key_ops":[]`))), string(doc(rsaKey(1, "a", `"key_ops":["verify"]`))), string(doc(rsaKey(1, "a", `"key_ops":1`))),
		string(doc(rsaKey(1, "a", `"x5t":"AQ"`))), string(doc(rsaKey(1, "a", `"x5t#S256":"AQ"`))), string(doc(rsaKey(1, "a", `"d":"AQ"`))),
		string(doc(rsaKey(1, "a", `"zz":1,"zz":1`))), string(doc(`{"kty":"oct"}`)), string(doc(`{"kty":"oct","k":"AQ"}`)), string(doc(`1`)), string(doc(`2`)),
	} {
		d := Parse([]byte(body)).Digest
		if other, ok := seen[d]; ok {
			t.Errorf("%s\nhas the digest of\n%s", body, other)
		}
		seen[d] = body
	}
}

func TestDigestOfManyOrders(t *testing.T) {
	t.Parallel()
	list := []string{}
	for _, c := range entries() {
		list = append(list, c.entry)
	}
	want := Parse(doc(list...)).Digest
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if Parse(doc(list...)).Digest != want {
			t.Fatal("another order, another digest")
		}
	}
}

// The oracle is another program: its opinion is in no digest.
func TestDigestIgnoresOracle(t *testing.T) {
	t.Parallel()
	s := Parse(doc(rsaKey(1, "a"), ec("P-256", "AQ", "Ag")))
	keys := slices.Clone(s.Keys)
	for i := range keys {
		keys[i].Defects = append(slices.Clone(keys[i].Defects), Defect{Code: OracleRefuses}, Defect{Code: OracleDiffersSet})
	}
	if Digest(keys, append(slices.Clone(s.Defects), Defect{Code: OracleRefusesSet})) != s.Digest {
		t.Error("a defect of the oracle changes the digest")
	}
	if Digest(keys, append(slices.Clone(s.Defects), Defect{Code: StrayPrivate})) == s.Digest {
		t.Error("a defect of the document does not change the digest")
	}
}
