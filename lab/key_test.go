package lab

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"testing"
	"time"
)

// secretMembers are those that RFC 7517, 7518 and 8037 keep for the private half.
func secretMembers() []string { return []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} }

func text(t *testing.T, entry map[string]any, member string) []byte {
	t.Helper()
	s, _ := entry[member].(string)
	octets, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(octets) == 0 {
		t.Fatalf("member %s: %q does not decode: %v", member, entry[member], err)
	}
	return octets
}

func TestPublicNeverHoldsThePrivateHalf(t *testing.T) {
	t.Parallel()
	for _, k := range []Key{
		NewEC("a", "P-256"), NewEC("a", "P-384"), NewEC("a", "P-521"), NewEd25519("a"), NewOct("a"),
		NewRSA("a", 512), ECFromSeed("a", "P-256", "s"), Ed25519FromSeed("a", "s"), NewEC("a", "P-256").Renew(),
	} {
		public, private := k.Public(), k.Private()
		held := 0
		for _, name := range secretMembers() {
			if v, ok := public[name]; ok {
				t.Errorf("%v: the public entry has %s: %v", k.Alg, name, v)
			}
			v, ok := private[name].(string)
			if !ok {
				continue
			}
			held++
			if bytes.Contains(Document(k), []byte(v)) {
				t.Errorf("%v: the public document has the value of %s", k.Alg, name)
			}
		}
		if held == 0 {
			t.Errorf("%v: the private entry has no private member", k.Alg)
		}
		for _, name := range secretMembers() {
			delete(private, name)
		}
		if !maps.Equal(public, private) {
			t.Errorf("%v: the halves differ in more than the private members: %v and %v", k.Alg, public, private)
		}
	}
}

func TestPrivateHalvesBelongToPublicOnes(t *testing.T) {
	t.Parallel()
	digest := sha256.Sum256([]byte("message"))
	for crv, size := range map[string]int{"P-256": 32, "P-384": 48, "P-521": 66} {
		k := NewEC("a", crv)
		e := k.Private()
		if e["kty"] != "EC" || e["crv"] != crv || e["alg"] == nil {
			t.Errorf("%s: entry %v", crv, e)
		}
		for _, name := range []string{"x", "y", "d"} {
			if got := text(t, e, name); len(got) != size {
				t.Errorf("%s: %s has %d octets, RFC 7518 wants %d", crv, name, len(got), size)
			}
		}
		curve := k.Signer().Public().(*ecdsa.PublicKey).Curve
		private, err := ecdsa.ParseRawPrivateKey(curve, text(t, e, "d"))
		if err != nil {
			t.Fatalf("%s: d: %v", crv, err)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, text(t, e, "x"), text(t, e, "y")))
		if err != nil {
			t.Fatalf("%s: x and y: %v", crv, err)
		}
		signature, err := ecdsa.SignASN1(nil, private, digest[:])
		if err != nil || !ecdsa.VerifyASN1(public, digest[:], signature) {
			t.Errorf("%s: d does not belong to x and y (%v)", crv, err)
		}
	}
	e := NewEd25519("a").Private()
	private := ed25519.NewKeyFromSeed(text(t, e, "d"))
	if !bytes.Equal(private.Public().(ed25519.PublicKey), text(t, e, "x")) {
		t.Error("Ed25519: d does not belong to x")
	}
	if got := len(text(t, NewOct("a").Private(), "k")); got != 32 {
		t.Errorf("oct: k has %d octets, want 32", got)
	}
}

func TestRSA(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{128, 511, 512, 2048} {
		k := NewRSA("a", bits)
		e := k.Private()
		number := func(member string) *big.Int { return new(big.Int).SetBytes(text(t, e, member)) }
		n, p, q, d := number("n"), number("p"), number("q"), number("d")
		if n.BitLen() != bits || new(big.Int).Mul(p, q).Cmp(n) != 0 || !p.ProbablyPrime(20) || !q.ProbablyPrime(20) {
			t.Errorf("%d bits: n of %d bits is no product of the primes p and q", bits, n.BitLen())
		}
		m := big.NewInt(4711)
		c := new(big.Int).Exp(m, number("e"), n)
		if c.Exp(c, d, n).Cmp(m) != 0 {
			t.Errorf("%d bits: d does not undo e", bits)
		}
		if got := new(big.Int).Mul(number("qi"), q); got.Mod(got, p).Int64() != 1 {
			t.Errorf("%d bits: qi is not the inverse of q", bits)
		}
		for member, prime := range map[string]*big.Int{"dp": p, "dq": q} {
			want := new(big.Int).Sub(prime, big.NewInt(1))
			if want.Mod(d, want).Cmp(number(member)) != 0 {
				t.Errorf("%d bits: %s is wrong", bits, member)
			}
		}
		if (k.Signer() != nil) != (bits >= 1024) {
			t.Errorf("%d bits: Signer is %v", bits, k.Signer())
		}
		if bits >= 1024 && k.Signer().Public().(*rsa.PublicKey).N.Cmp(n) != 0 {
			t.Errorf("%d bits: Signer is of another key", bits)
		}
	}
}

func TestSeedsDecide(t *testing.T) {
	t.Parallel()
	same := func(a, b Key) bool { return bytes.Equal(Document(a), Document(b)) }
	for _, crv := range []string{"P-256", "P-384", "P-521"} {
		if !same(ECFromSeed("a", crv, "s"), ECFromSeed("a", crv, "s")) {
			t.Errorf("%s: one seed made two keys", crv)
		}
		if same(ECFromSeed("a", crv, "s"), ECFromSeed("a", crv, "t")) || same(NewEC("a", crv), NewEC("a", crv)) {
			t.Errorf("%s: two seeds made one key", crv)
		}
	}
	if !same(Ed25519FromSeed("a", "s"), Ed25519FromSeed("a", "s")) {
		t.Error("Ed25519: one seed made two keys")
	}
	if same(Ed25519FromSeed("a", "s"), Ed25519FromSeed("a", "t")) {
		t.Error("Ed25519: two seeds made one key")
	}
	// Frozen: the demo prints these, and a toolchain must not change them.
	const want = `{"keys":[{"kty":"EC","use":"sig","kid":"a","alg":"ES256","crv":"P-256",` +
		`"x":"zzobx1HA3AhJH-rOuWCsmWUKatJySiJLFWQ5b_lkR5o","y":"vvxfG8MWXm-LkAxNlXWyHUQ0ukM6KLl5M0QJwWgJgV8"}]}`
	if got := string(Document(ECFromSeed("a", "P-256", "s"))); got != want {
		t.Errorf("the key of a known seed is %s", got)
	}
	first := ECFromSeed("a", "P-256", "s")
	if second := first.Renew(); same(first, second) || !same(second, first.Renew()) {
		t.Error("Renew of a seeded key is not the next key of a fixed series")
	}
}

func TestRenewKeepsLabelsAndDropsOldMaterial(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, k := range []Key{NewEC("a", "P-384"), NewEd25519("a"), NewRSA("a", 512)} {
		old := k.With("key_ops", []string{"verify"})
		if k.Signer() != nil {
			old = old.WithCertificate(now, now.AddDate(1, 0, 0))
		}
		before, after := old.Public(), old.Renew().Public()
		for _, name := range []string{"kid", "alg", "use", "kty", "crv"} {
			if before[name] != after[name] {
				t.Errorf("%s: %s was %v and is %v", k.Alg, name, before[name], after[name])
			}
		}
		for _, name := range []string{"x", "y", "n"} {
			if before[name] != nil && before[name] == after[name] {
				t.Errorf("%s: %s stayed", k.Alg, name)
			}
		}
		if after["x5c"] != nil || after["x5t"] != nil || after["x5t#S256"] != nil {
			t.Errorf("%s: the old certificate stayed", k.Alg)
		}
		if after["key_ops"] == nil {
			t.Errorf("%s: key_ops is gone", k.Alg)
		}
	}
}

func TestWithDoesNotAlias(t *testing.T) {
	t.Parallel()
	ops := []string{"verify"}
	nested := map[string]any{"a": []any{"b"}}
	a := NewEC("a", "P-256").With("key_ops", ops).With("nested", nested)
	b := a.With("extra", 1)
	c := a.With("extra", 2).Without("key_ops")
	want := string(Document(a))

	ops[0] = "sign"
	nested["a"].([]any)[0] = "changed"
	got := a.Public()
	got["nested"].(map[string]any)["a"] = "changed"
	got["key_ops"].([]string)[0] = "changed"
	if now := string(Document(a)); now != want {
		t.Errorf("a changed from %s to %s", want, now)
	}
	if b.Public()["extra"] != 1 || c.Public()["extra"] != 2 || c.Public()["key_ops"] != nil || b.Public()["key_ops"] == nil {
		t.Errorf("copies share members: %v and %v", b.Public(), c.Public())
	}
	// Two copies of one copy must not write into one list of removed members.
	base := a.Without("x").Without("y").Without("crv")
	d, e := base.Without("nested"), base.Without("kty")
	if d.Public()["kty"] == nil || e.Public()["nested"] == nil {
		t.Error("copies share their removed members")
	}
}

func TestWithOverrides(t *testing.T) {
	t.Parallel()
	k := Key{Kid: "a", Alg: "ES256"}
	for name, c := range map[string]struct {
		key  Key
		want string
	}{
		"fields":   {k, `{"kid":"a","alg":"ES256"}`},
		"label":    {k.With("kid", "b"), `{"kid":"b","alg":"ES256"}`},
		"empty":    {k.With("kid", ""), `{"kid":"","alg":"ES256"}`},
		"null":     {k.With("kid", nil), `{"kid":null,"alg":"ES256"}`},
		"raw":      {k.With("kid", json.RawMessage("\"\\ud800\xff\"")), "{\"kid\":\"\\ud800\xff\",\"alg\":\"ES256\"}"},
		"back":     {k.Without("kid").With("kid", "c"), `{"kid":"c","alg":"ES256"}`},
		"again":    {k.With("kid", 1).With("kid", "c"), `{"kid":"c","alg":"ES256"}`},
		"without":  {k.Without("alg"), `{"kid":"a"}`},
		"markup":   {k.With("kid", "<&>"), `{"kid":"<&>","alg":"ES256"}`},
		"empty []": {k.With("key_ops", []string{}), `{"kid":"a","alg":"ES256","key_ops":[]}`},
		"order": {
			k.With("zz", 1).With("aa", true).With("x5c", []string{"MAA="}).With("kty", "EC"),
			`{"kty":"EC","kid":"a","alg":"ES256","x5c":["MAA="],"aa":true,"zz":1}`,
		},
	} {
		if got := string(DocumentOf(c.key.Public())); got != `{"keys":[`+c.want+`]}` {
			t.Errorf("%s: %s, want the entry %s", name, got, c.want)
		}
	}
	if got := k.With("kid", "b").Kid; got != "b" {
		t.Errorf("With left the field Kid at %q", got)
	}
	if got := string(Document()); got != `{"keys":[]}` {
		t.Errorf("the empty document is %s", got)
	}
}

func TestWithCertificate(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	k := NewEC("a", "P-256")
	first, second := k.WithCertificate(begin, begin.AddDate(1, 0, 0)), k.WithCertificate(begin, begin.AddDate(2, 0, 0))
	der, err := base64.StdEncoding.DecodeString(first.Public()["x5c"].([]string)[0])
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if !k.Signer().Public().(*ecdsa.PublicKey).Equal(cert.PublicKey) || !cert.NotAfter.Equal(begin.AddDate(1, 0, 0)) {
		t.Error("the certificate is of another key or time")
	}
	if sum := sha256.Sum256(der); first.Public()["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Error("x5t#S256 is not the hash of x5c")
	}
	if first.Public()["x5t"] == second.Public()["x5t"] || first.Public()["x"] != second.Public()["x"] {
		t.Error("a renewal must change the certificate and keep the key")
	}
}

func TestWrongArgumentsPanic(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(){
		"curve":       func() { NewEC("a", "P-224") },
		"size":        func() { NewRSA("a", 64) },
		"certificate": func() { NewOct("a").WithCertificate(time.Time{}, time.Time{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
