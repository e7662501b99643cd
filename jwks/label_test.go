package jwks

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestLabels(t *testing.T) {
	t.Parallel()
	k := one(t, rsaKey(1, `\ud83d\ude00\ud800\/\"`+"\xff", `"key_ops":["verify","sign","verify"]`, `"alg":"PS256"`))
	if want := "😀\xed\xa0\x80/\"\xff"; k.Kid != want {
		t.Errorf("kid %q, want %q", k.Kid, want)
	}
	if k.Alg != "PS256" || k.Use != "sig" || k.Kty != "RSA" || !k.HasOps || !slices.Equal(k.Ops, []string{"sign", "verify"}) {
		t.Errorf("labels %+v", k)
	}
	if k := one(t, rsaKey(1, "a", `"key_ops":[]`)); !k.HasOps || len(k.Ops) != 0 {
		t.Errorf("empty key_ops: %v %q", k.HasOps, k.Ops)
	}
	if k := one(t, rsaKey(1, "a", `"key_ops":["a",1]`)); k.HasOps || k.Ops != nil {
		t.Errorf("bad key_ops: %v %q", k.HasOps, k.Ops)
	}
	if k := one(t, ec("P-256", "AQ", "AQ")); k.Crv != "P-256" {
		t.Errorf("crv %q", k.Crv)
	}
	// Labels that U+FFFD would make one stay two.
	s := Parse(doc(rsaKey(1, "\xff"), rsaKey(2, "\xfe"), rsaKey(3, `\ud800`), rsaKey(4, `\udc00`), rsaKey(5, "\ufffd")))
	if hasCode(s.Defects, RepeatedKid) {
		t.Errorf("different kids became one: %q", told(s.Defects))
	}
}

func TestLongLabels(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 600)
	a, b := one(t, rsaKey(1, long+"a")), one(t, rsaKey(1, long+"b"))
	sum := sha256.Sum256([]byte(long + "a"))
	if len(a.Kid) != MaxText || !strings.HasSuffix(a.Kid, "…sha256:"+hex.EncodeToString(sum[:])) || !strings.HasPrefix(long, a.Kid[:400]) {
		t.Errorf("kid %q", a.Kid)
	}
	if a.Kid == b.Kid {
		t.Error("two long kids became one")
	}
	// The text of a cut label, served as a label, is not that label.
	if forged := one(t, rsaKey(1, a.Kid)); forged.Kid == a.Kid || !hasCode(forged.Defects, TextTooLong) {
		t.Errorf("a forged label passes: %q", forged.Kid)
	}
	ops := one(t, rsaKey(1, "a", `"key_ops":["`+long+`"]`))
	if len(ops.Ops) != 1 || len(ops.Ops[0]) != MaxText || !hasCode(ops.Defects, TextTooLong) {
		t.Errorf("key_ops %q", ops.Ops)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	der := octets(5, 301)
	std := base64.StdEncoding.EncodeToString(der)
	with := func(extra ...string) Key { return one(t, rsaKey(1, "a", extra...)) }
	same := func(what string, a, b Key) {
		t.Helper()
		if a.Cert != b.Cert || a.Cert == [32]byte{} || a.ID != b.ID {
			t.Errorf("%s is a change of the certificate", what)
		}
	}
	same("base64url", with(`"x5c":["`+std+`"]`), with(`"x5c":["`+b64(der)+`"]`))
	same("a line break", with(`"x5c":["`+std+`"]`), with(`"x5c":["`+std[:64]+`\n`+std[64:]+`"]`))
	same("padding", with(`"x5t":"AQ"`), with(`"x5t":"AQ=="`))
	same("an empty member", with(`"x5t":"AQ"`), with(`"x5t":"AQ","x5c":[],"x5t#S256":null`))
	seen := map[[32]byte]string{}
	for _, extra := range []string{
		`"a":1`, `"x5c":["` + std + `"]`, `"x5t":"` + std + `"`, `"x5t#S256":"` + std + `"`, `"x5c":["` + std + `","` + std + `"]`,
		`"x5c":["AQ","Ag"]`, `"x5c":["Ag","AQ"]`, `"x5c":["AQ"],"x5t":"Ag"`, `"x5c":"AQ"`, `"x5c":[1]`, `"x5t":"?"`, `"x5t":"Pw"`,
	} {
		k := with(extra)
		if other, ok := seen[k.Cert]; ok {
			t.Errorf("%s: the digest of %s", extra, other)
		}
		seen[k.Cert] = extra
	}
	if seen[[32]byte{}] != `"a":1` {
		t.Error("no certificate has a digest")
	}
}

// TestMembersBesideTheMaterial holds that they are read, and change nothing else.
func TestMembersBesideTheMaterial(t *testing.T) {
	t.Parallel()
	plain := one(t, rsaKey(1, "a"))
	k := one(t, rsaKey(1, "a", `"issuer":"https://idp.example/\u0061"`, `"x5u":"https://idp.example/c"`, `"exp":1900000000`, `"nbf":"12"`))
	if k.Issuer != "https://idp.example/a" || k.X5U != "https://idp.example/c" || k.Exp != "1900000000" || k.Nbf != "12" {
		t.Errorf("%+v", k)
	}
	if !slices.Equal(k.appendDigest(nil), plain.appendDigest(nil)) {
		t.Error("they are part of the digest")
	}
	for _, odd := range []string{`{}`, `[1]`, `null`, `true`} {
		k := one(t, rsaKey(1, "a", `"issuer":`+odd, `"exp":`+odd, `"nbf":`+odd))
		if k.Issuer+k.Exp+k.Nbf != "" || len(k.Defects) != 0 {
			t.Errorf("%s: %+v", odd, k)
		}
	}
	long := one(t, rsaKey(1, "a", `"issuer":"`+strings.Repeat("i", 4000)+`"`, `"exp":`+strings.Repeat("9", 4000), `"ISSUER":"x"`))
	if len(long.Issuer) > MaxText || len(long.Exp) > MaxText || len(long.Defects) != 0 {
		t.Errorf("%d and %d octets are kept, %v", len(long.Issuer), len(long.Exp), long.Defects)
	}
	if k := one(t, rsaKey(1, "a", `"issuer":"-----BEGIN PRIVATE KEY-----"`)); k.Issuer != Redacted {
		t.Errorf("a secret is kept: %q", k.Issuer)
	}
}

func TestExpires(t *testing.T) {
	t.Parallel()
	for exp, want := range map[string]int64{
		"1900000000": 1900000000, "253402300799": 253402300799, "": 0, "0": 0, "-1": 0, "253402300800": 0, "1900000000000": 0,
		"1.9e9": 0, "x": 0, "99999999999999999999": 0,
	} {
		got := (&Key{Exp: exp}).Expires()
		if want == 0 && !got.IsZero() || want != 0 && got.Unix() != want {
			t.Errorf("%q: %v", exp, got)
		}
	}
}
