package jwks

import (
	"strings"
	"testing"
)

func TestClass(t *testing.T) {
	t.Parallel()
	use := func(use string, extra ...string) string {
		return strings.Replace(rsaKey(1, "a", extra...), `"use":"sig"`, `"use":"`+use+`"`, 1)
	}
	for entry, want := range map[string]Class{
		use("sig"): ClassSignature, use(""): ClassSignature, use("jwt-svid"): ClassSignature, use("wit-svid"): ClassSignature,
		use("x509-svid"): ClassAuthority, use("enc"): ClassEncryption, use("tls"): ClassOther,
		use("sig", `"key_ops":["verify"]`): ClassSignature, use("sig", `"key_ops":["sign"]`): ClassOther, use("", `"key_ops":[]`): ClassSignature,
		`{"kty":"oct","k":"AQ","use":"sig"}`: ClassNone, `{"kty":"new","use":"enc"}`: ClassSignature, `null`: ClassSignature,
	} {
		k := one(t, entry)
		if got := k.Class(); got != want {
			t.Errorf("%s: class %q, want %q", entry, got, want)
		}
	}
}

// Nobody takes another kind of identity for a thumbprint, and that of a
// symmetric key is cut short.
func TestIdentityString(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]struct {
		prefix string
		length int
	}{
		rsaKey(1, "a"):         {"", 43},
		`{"kty":"oct"}`:        {"oct:", 4 + 16},
		`{"kty":"new","a":[]}`: {"opaque:", 7 + 64},
	} {
		k := one(t, entry)
		got := k.ID.String()
		if len(got) != want.length || !strings.HasPrefix(got, want.prefix) || strings.Contains(got, ":") != (want.prefix != "") {
			t.Errorf("%s: %s, want %q and %d octets in all", entry, got, want.prefix, want.length)
		}
	}
}
