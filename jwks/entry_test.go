package jwks

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

type entryCase struct {
	name, entry string
	kind        IdentityKind
	defects     []string // code and pointer below /keys/0
	encoding    []string
}

func ec(crv, x, y string) string {
	return fmt.Sprintf(`{"kty":"EC","crv":%q,"x":%q,"y":%q}`, crv, x, y)
}

func rsa(n, e string) string { return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":%q}`, n, e) }

func okp(crv, x string) string { return fmt.Sprintf(`{"kty":"OKP","crv":%q,"x":%q}`, crv, x) }

func akp(alg, pub string) string { return fmt.Sprintf(`{"kty":"AKP","alg":%q,"pub":%q}`, alg, pub) }

// entries has what issuers really serve, and every input on which go-jose was
// seen to fail a whole set, to drop something or to read it in its own way.
func entries() []entryCase {
	n := b64(octets(1, 256))
	zero := func(b []byte) string { return b64(append([]byte{0}, b...)) }
	c := func(name, entry string, kind IdentityKind, defects ...string) entryCase {
		return entryCase{name: name, entry: entry, kind: kind, defects: defects}
	}
	enc := func(name, entry string, encoding ...string) entryCase {
		return entryCase{name: name, entry: entry, kind: Thumbprint, encoding: encoding}
	}
	x32, y32 := b64(octets(2, 32)), b64(octets(3, 32))
	return []entryCase{
		c("RSA", rsa(n, "AQAB"), Thumbprint),
		c("RSA of 17 bits", rsa("AQAB", "AQAB"), Thumbprint),
		c("RSA of 16384 bits", rsa(b64(octets(9, 2048)), "AQAB"), Thumbprint),
		c("RSA, even", rsa("gAAA", "AQAB"), Thumbprint),
		c("RSA, e is 1", rsa(n, "AQ"), Thumbprint),
		c("RSA, e is 35", rsa(n, "Iw"), Thumbprint),
		c("RSA, e beyond 63 bits", rsa(n, "gAAAAAAAAAAB"), Thumbprint),
		c("RSA, n empty", rsa("", "AQAB"), Opaque, "empty_number /n"),
		c("RSA, n zero", rsa("AAAA", "AQAB"), Opaque, "empty_number /n"),
		c("RSA, n missing", `{"kty":"RSA","e":"AQAB"}`, Opaque, "missing_member "),
		c("RSA, n and e missing", `{"kty":"RSA"}`, Opaque, "missing_member ", "missing_member "),
		c("RSA, n not base64", rsa("?", "AQAB"), Opaque, "bad_base64 /n"),
		c("RSA, n one letter too long", rsa("AAAAA", "AQAB"), Opaque, "bad_base64 /n"),
		c("RSA, n a number", `{"kty":"RSA","n":3,"e":"AQAB"}`, Opaque, "not_string /n"),
		c("RSA, e null", `{"kty":"RSA","n":"`+n+`","e":null}`, Opaque, "not_string /e"),
		c("RSA, text behind padding", rsa(n+"=A", "AQAB"), Opaque, "bad_base64 /n"),
		enc("RSA, leading zero", rsa(zero(octets(1, 256)), "AQAB"), "leading_zero"),
		enc("RSA, leading zero in e", rsa(n, "AAEAAQ"), "leading_zero"),
		enc("RSA, padded", rsa(n+"==", "AQAB"), "padded"),
		enc("RSA, standard base64", rsa(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xfb, 0xff, 1}, 86)), "AQAB"), "standard_base64"),
		enc("RSA, line breaks", rsa(n, "AQAB\r\n"), "whitespace"),
		enc("RSA, tab and space within", rsa(n[:9]+"\t "+n[9:], "AQAB"), "whitespace"),
		enc("RSA, trailing bits", rsa(n[:len(n)-1]+string(n[len(n)-1]+1), "AQAB"), "trailing_bits"),
		c("EC P-256", ec("P-256", x32, y32), Thumbprint),
		c("EC P-384", ec("P-384", b64(octets(2, 48)), b64(octets(3, 48))), Thumbprint),
		c("EC P-521", ec("P-521", b64(octets(2, 66)), b64(octets(3, 66))), Thumbprint),
		c("EC secp256k1", ec("secp256k1", x32, y32), Thumbprint),
		c("EC brainpool", ec("BP-256", x32, y32), Opaque, "unknown_crv /crv"),
		c("EC p-256", ec("p-256", x32, y32), Opaque, "unknown_crv /crv"),
		c("EC, crv missing", `{"kty":"EC","x":"`+x32+`","y":"`+y32+`"}`, Opaque, "missing_member "),
		c("EC, crv empty", ec("", x32, y32), Opaque, "missing_member /crv"),
		c("EC, crv a number", `{"kty":"EC","crv":256,"x":"`+x32+`","y":"`+y32+`"}`, Opaque, "not_string /crv"),
		c("EC, y missing", `{"kty":"EC","crv":"P-256","x":"`+x32+`"}`, Opaque, "missing_member "),
		c("EC, x empty", ec("P-256", "", y32), Opaque, "empty_number /x"),
		c("EC, x too long", ec("P-256", b64(octets(2, 33)), y32), Opaque, "bad_length /x"),
		enc("EC, x short", ec("P-256", b64(octets(2, 31)), y32), "short"),
		enc("EC, x short, y long", ec("P-256", b64(octets(2, 31)), zero(octets(3, 32))), "leading_zero", "short"),
		c("Ed25519", okp("Ed25519", x32), Thumbprint),
		c("Ed25519, low order", okp("Ed25519", b64(make([]byte, 32))), Thumbprint),
		c("X25519", okp("X25519", x32), Thumbprint),
		c("Ed448", okp("Ed448", b64(octets(2, 57))), Thumbprint),
		c("X448", okp("X448", b64(octets(2, 56))), Thumbprint),
		c("Ed25519, short", okp("Ed25519", b64(octets(2, 31))), Opaque, "bad_length /x"),
		c("Ed25519, leading zero", okp("Ed25519", zero(octets(2, 32))), Opaque, "bad_length /x"),
		c("Ed25519, empty", okp("Ed25519", ""), Opaque, "bad_length /x"),
		c("ED25519 as crv", okp("ED25519", x32), Opaque, "unknown_crv /crv"),
		c("ML-DSA-44", akp("ML-DSA-44", b64(octets(2, 1312))), Thumbprint),
		c("ML-DSA-65", akp("ML-DSA-65", b64(octets(2, 1952))), Thumbprint),
		c("ML-DSA-87", akp("ML-DSA-87", b64(octets(2, 2592))), Thumbprint),
		c("ML-DSA-87, length of another", akp("ML-DSA-87", b64(octets(2, 1952))), Opaque, "bad_length /pub"),
		c("AKP, new algorithm", akp("SLH-DSA-SHA2-128s", x32), Thumbprint, "unknown_akp_alg /alg"),
		c("AKP, new algorithm, empty", akp("SLH-DSA-SHA2-128s", ""), Opaque, "bad_length /pub"),
		c("AKP, alg missing", `{"kty":"AKP","pub":"AAAA"}`, Opaque, "missing_member "),
		c("AKP, pub missing", `{"kty":"AKP","alg":"ML-DSA-44"}`, Opaque, "missing_member "),
		c("kty missing", `{"n":"`+n+`","e":"AQAB"}`, Opaque, "missing_kty "),
		c("kty empty", `{"kty":""}`, Opaque, "missing_kty "),
		c("kty a number", `{"kty":1}`, Opaque, "not_string /kty"),
		c("kty unknown", `{"kty":"LATTICE"}`, Opaque, "unknown_kty /kty"),
		c("kty in lower case", `{"kty":"rsa","n":"`+n+`","e":"AQAB"}`, Opaque, "unknown_kty /kty"),
		c("KTY", `{"KTY":"RSA","n":"`+n+`","e":"AQAB"}`, Opaque, "missing_kty ", "case_variant /KTY"),
		c("empty object", `{}`, Opaque, "missing_kty "),
		c("null", `null`, Opaque, "not_object "),
		c("string", `"RSA"`, Opaque, "not_object "),
		c("number", `1e999`, Opaque, "not_object "),
		c("array", `[]`, Opaque, "not_object "),
		c("Kid, and x5u a number", rsaKey(1, "a", `"Kid":"b"`, `"x5u":1`), Thumbprint, "case_variant /Kid", "not_string /x5u"),
		c("labels of other types", `{"kty":"RSA","n":"`+n+`","e":"AQAB","kid":1,"alg":[],"use":null}`, Thumbprint,
			"not_string /kid", "not_string /alg", "not_string /use"),
		c("kid null", `{"kty":"RSA","n":"`+n+`","e":"AQAB","kid":null}`, Thumbprint, "not_string /kid"),
		c("kid with controls", rsaKey(1, `\u0000\u001b[2J`), Thumbprint),
		c("kid with an unpaired surrogate", rsaKey(1, `a\ud800`), Thumbprint, "invalid_utf8 /kid"),
		c("kid with a pair", rsaKey(1, `\ud83d\ude00`), Thumbprint),
		c("kid with stray octets", rsaKey(1, "a\xff"), Thumbprint, "invalid_utf8 /kid"),
		c("name with stray octets", rsaKey(1, "a", "\"\xff\":1"), Thumbprint, "invalid_utf8 /\xff"),
		c("kid too long", rsaKey(1, strings.Repeat("k", 513)), Thumbprint, "text_too_long /kid"),
		c("kid as long as may be", rsaKey(1, strings.Repeat("k", 512)), Thumbprint),
		c("member repeated", rsaKey(1, "a", `"\u006bid":"a"`), Thumbprint, "repeated_member /kid"),
		c("nested member repeated", rsaKey(1, "a", `"a/b":{"~":[{"c":1,"c":1}]}`), Thumbprint, "repeated_member /a~1b/~0/0/c"),
		c("n repeated, equal", rsaKey(1, "a", `"n":"`+n+`"`), Thumbprint, "repeated_member /n"),
		c("n repeated, different", rsaKey(1, "a", `"n":"`+y32+`"`), Opaque, "repeated_member /n"),
		c("kty repeated, different", rsaKey(1, "a", `"kty":"oct"`), Opaque, "repeated_member /kty"),
		c("x repeated, different, of no meaning", rsaKey(1, "a", `"x":"a","x":"b"`), Thumbprint, "repeated_member /x"),
		c("alg repeated, different", rsaKey(1, "a", `"alg":"PS256"`), Thumbprint, "repeated_member /alg"),
		c("alg of AKP repeated, different", `{"alg":"a",`+akp("ML-DSA-44", b64(octets(2, 1312)))[1:], Opaque, "repeated_member /alg"),
		c("key_ops", rsaKey(1, "a", `"key_ops":["verify","verify"]`), Thumbprint),
		c("key_ops a string", rsaKey(1, "a", `"key_ops":"verify"`), Thumbprint, "bad_key_ops /key_ops"),
		c("key_ops with a number", rsaKey(1, "a", `"key_ops":["verify",1]`), Thumbprint, "bad_key_ops /key_ops"),
		c("key_ops null", rsaKey(1, "a", `"key_ops":null`), Thumbprint, "bad_key_ops /key_ops"),
		c("key_ops too many", rsaKey(1, "a", `"key_ops":["a"`+strings.Repeat(`,"a"`, 16)+`]`), Thumbprint, "bad_key_ops /key_ops"),
		c("x5c empty, x5t empty", rsaKey(1, "a", `"x5c":[],"x5t":""`), Thumbprint),
		c("x5c a string", rsaKey(1, "a", `"x5c":"MIIB"`), Thumbprint, "bad_certificate /x5c"),
		c("x5c null", rsaKey(1, "a", `"x5c":null`), Thumbprint, "bad_certificate /x5c"),
		c("x5c with a number", rsaKey(1, "a", `"x5c":["MIIB",1]`), Thumbprint, "bad_certificate /x5c"),
		c("x5c of junk", rsaKey(1, "a", `"x5c":["MIIB"]`), Thumbprint),
		c("x5t padded", rsaKey(1, "a", `"x5t":"AQ=="`), Thumbprint),
		c("x5t not base64", rsaKey(1, "a", `"x5t":"a:b"`), Thumbprint, "bad_certificate /x5t"),
		c("x5t#S256 a number", rsaKey(1, "a", `"x5t#S256":1`), Thumbprint, "not_string /x5t#S256"),
		c("extensions", rsaKey(1, "a", `"iat":1e999,"exp":12345678901234567890,"acr":true,"oth":[],"a":{"b":null},"algorithm":"RS256"`), Thumbprint),
		c("labels of the field", `{"kty":"RSA","n":"`+n+`","e":"AQAB","alg":"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256","use":"tls","kid":"/+=:.*> |"}`, Thumbprint),
	}
}

// One bad entry hides none beside it, and each is tracked with its own defects.
func TestEntries(t *testing.T) {
	t.Parallel()
	seen := map[Identity]string{}
	for _, c := range entries() {
		good := rsaKey(77, "good")
		s := checkParse(t, doc(good, c.entry, good))
		if len(s.Keys) != 3 || s.Keys[0].ID.Kind != Thumbprint || s.Keys[0].ID != s.Keys[2].ID || len(s.Keys[0].Defects) > 0 {
			t.Errorf("%s: the entries beside it are %+v", c.name, s.Keys)
			continue
		}
		k := one(t, c.entry)
		if k.ID.Kind != c.kind || k.ID != s.Keys[1].ID {
			t.Errorf("%s: identity %s, and %s among others; want kind %d", c.name, k.ID, s.Keys[1].ID, c.kind)
		}
		want := []string{}
		for _, d := range c.defects {
			code, below, _ := strings.Cut(d, " ")
			want = append(want, code+" /keys/0"+below)
		}
		wantDefects(t, c.name, k.Defects, want...)
		if !slices.Equal(k.Encoding, c.encoding) {
			t.Errorf("%s: encoding %q, want %q", c.name, k.Encoding, c.encoding)
		}
		for _, d := range k.Defects {
			if d.Text == "" {
				t.Errorf("%s: %s has no text", c.name, d.Code)
			}
		}
		if c.kind == Opaque {
			if other, ok := seen[k.ID]; ok {
				t.Errorf("%s: the identity of %s", c.name, other)
			}
			seen[k.ID] = c.name
		}
	}
}

// Whatever the spelling of the material, the key is the same key, and its form
// another one.
func TestSpellingIsNoIdentity(t *testing.T) {
	t.Parallel()
	n := octets(1, 256)
	n[4], n[5], n[6] = 0xfb, 0xff, 0xfe
	n[255] = 0xfd
	std := base64.StdEncoding.EncodeToString(n)
	plain := b64(n)
	x, y := octets(2, 32), octets(3, 32)
	x[0] = 0
	groups := map[string][]string{
		"RSA": {
			rsa(plain, "AQAB"), rsa(std, "AQAB"), rsa(std[:76]+"\r\n"+std[76:], "AQAB"), rsa(plain+"==", "AQAB"),
			rsa(b64(append([]byte{0, 0}, n...)), "AQAB"), rsa(plain, "AAEAAQ"), rsa(plain, "AQAB\r\n"),
			rsa(plain[:len(plain)-1]+"R", "AQAB"), rsa(" "+plain+"\t", "AQAB=="),
		},
		"EC": {
			ec("P-256", b64(x), b64(y)), ec("P-256", b64(x[1:]), b64(y)), ec("P-256", b64(append([]byte{0}, x...)), b64(y)),
			ec("P-256", b64(x), b64(append([]byte{0, 0, 0}, y...))), ec("P-256", b64(x)+"=", b64(y)),
		},
		"OKP": {okp("Ed25519", b64(y)), okp("Ed25519", base64.StdEncoding.EncodeToString(y)), okp("Ed25519", "\n"+b64(y))},
	}
	for name, group := range groups {
		forms := map[[32]byte]bool{}
		first := one(t, group[0])
		for _, entry := range group {
			k := one(t, entry)
			if !k.Decoded() || k.ID != first.ID || k.Bits != first.Bits {
				t.Errorf("%s: %s has identity %s of %d bits, want %s of %d", name, entry, k.ID, k.Bits, first.ID, first.Bits)
			}
			if forms[k.Form] {
				t.Errorf("%s: %s has a form that was there before", name, entry)
			}
			forms[k.Form] = true
		}
	}
	if escaped := one(t, strings.Replace(rsa(plain, "AQAB"), "AQAB", `\u0041QAB`, 1)); escaped.Form != one(t, rsa(plain, "AQAB")).Form {
		t.Error("an escape of JSON is another form")
	}
}

// The same octets on another curve, or as another kind, are another key.
func TestKindsAreApart(t *testing.T) {
	t.Parallel()
	x, y := b64(octets(2, 32)), b64(octets(3, 32))
	seen := map[Identity]string{}
	for _, entry := range []string{
		ec("P-256", x, y), ec("secp256k1", x, y), ec("P-256", y, x), okp("Ed25519", x), okp("X25519", x),
		rsa(x, y), akp("A", x), akp("B", x), akp("a\\\"", x),
	} {
		id := one(t, entry).ID
		if other, ok := seen[id]; ok || id.Kind != Thumbprint {
			t.Errorf("%s: identity %s, also of %q", entry, id, other)
		}
		seen[id] = entry
	}
}

func TestBits(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]int{
		rsa(b64(octets(1, 256)), "AQAB"): 2048, rsa(b64([]byte{1, 0, 1}), "AQAB"): 17, rsa(b64(append([]byte{0}, octets(1, 128)...)), "AQAB"): 1024,
		ec("P-256", "AQ", "AQ"): 256, ec("P-384", "AQ", "AQ"): 384, ec("P-521", "AQ", "AQ"): 521, ec("secp256k1", "AQ", "AQ"): 256,
		okp("Ed25519", b64(octets(1, 32))): 256, okp("X25519", b64(octets(1, 32))): 256, okp("Ed448", b64(octets(1, 57))): 448, okp("X448", b64(octets(1, 56))): 448,
		akp("ML-DSA-44", b64(octets(1, 1312))): 0, `{"kty":"oct","k":"AAAA"}`: 0, `{"kty":"RSA"}`: 0,
	} {
		if got := one(t, entry).Bits; got != want {
			t.Errorf("%.60s: %d bits, want %d", entry, got, want)
		}
	}
}

func TestThumbprintVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, entry, want string }{
		{"RFC 7638 section 3.1", `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		{"RFC 8037 A.3", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		if got := one(t, c.entry).ID.String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	// By construction, from the members that RFC 7638 section 3.2, RFC 8812 and
	// RFC 9964 require.
	x, y, pub := b64(octets(2, 32)), b64(octets(3, 32)), b64(octets(4, 1312))
	for entry, hashed := range map[string]string{
		ec("P-256", x, y):                  `{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`,
		ec("secp256k1", x, y):              `{"crv":"secp256k1","kty":"EC","x":"` + x + `","y":"` + y + `"}`,
		akp("ML-DSA-44", pub):              `{"alg":"ML-DSA-44","kty":"AKP","pub":"` + pub + `"}`,
		akp(`a\u0001"`, x):                 `{"alg":"a\\u0001\"","kty":"AKP","pub":"` + x + `"}`,
		rsa(b64(octets(1, 256)), "AAEAAQ"): `{"e":"AQAB","kty":"RSA","n":"` + b64(octets(1, 256)) + `"}`,
	} {
		sum := sha256.Sum256([]byte(hashed))
		if got := one(t, entry).ID; got.Kind != Thumbprint || got.Sum != sum {
			t.Errorf("%.60s: %s, want the hash of %.80s", entry, got, hashed)
		}
	}
	opaque := one(t, `{"y":1.0,"kty":"new","d":"x"}`)
	if sum := sha256.Sum256([]byte(`{"d":"[redacted]","kty":"new","y":1}`)); opaque.ID != (Identity{Kind: Opaque, Sum: sum}) {
		t.Errorf("opaque identity %s, want the hash of the RFC 8785 form", opaque.ID)
	}
}
