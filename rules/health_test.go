package rules_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/rules"
)

// TestKeyLengths pins the lengths from both sides.
func TestKeyLengths(t *testing.T) {
	for n, want := range map[uint]string{1023: "critical", 1024: "high", 1535: "high", 1536: "medium", 2047: "medium", 2048: ""} {
		s := newSim(t)
		got := s.poll(rsaDoc(b64(bits(n))))
		told := count(got, want+" key.weak a once")
		if want == "" && len(got) != 1 || want != "" && told != 1 {
			t.Errorf("%d bits: %q", n, got)
		}
	}
}

func TestAlgorithmsFitTheirKeys(t *testing.T) {
	rsa := `"kty":"RSA","e":"AQAB","n":"` + b64(bits(2048)) + `"`
	ec := func(crv string, size int) string {
		return `"kty":"EC","crv":"` + crv + `","x":"` + b64(make([]byte, size)) + `","y":"` + b64(make([]byte, size)) + `"`
	}
	okp := func(crv string, size int) string {
		return `"kty":"OKP","crv":"` + crv + `","x":"` + b64(make([]byte, size)) + `"`
	}
	for _, tt := range []struct{ key, alg, want string }{
		{rsa, "RS256", ""},
		{rsa, "PS512", ""},
		{rsa, "RSA-OAEP-256", ""},
		{rsa, "", ""},
		{rsa, "http://www.w3.org/2000/09/xmldsig#rsa-sha1", ""},
		{rsa, "ES256", "medium alg_mismatch"},
		{rsa, "EdDSA", "medium alg_mismatch"},
		{rsa, "A128KW", "medium alg_mismatch"},
		{rsa, "dir", "medium alg_mismatch"},
		{rsa, "HS256", "critical alg_mismatch"},
		{rsa, "HS512", "critical alg_mismatch"},
		{rsa, "none", "critical alg_none"},
		{rsa, "NONE", "critical alg_none"},
		{ec("P-256", 32), "ES256", ""},
		{ec("P-256", 32), "ES384", "medium alg_mismatch"},
		{ec("P-384", 48), "ES384", ""},
		{ec("P-521", 66), "ES512", ""},
		{ec("P-384", 48), "ES256", "medium alg_mismatch"},
		{ec("secp256k1", 32), "ES256K", ""},
		{ec("P-256", 32), "ES256K", "medium alg_mismatch"},
		{ec("P-256", 32), "ECDH-ES+A256KW", ""},
		{ec("P-256", 32), "RS256", "medium alg_mismatch"},
		{ec("P-256", 32), "HS384", "critical alg_mismatch"},
		{okp("Ed25519", 32), "EdDSA", ""},
		{okp("Ed25519", 32), "Ed25519", ""},
		{okp("Ed25519", 32), "ED25519", ""},
		{okp("Ed25519", 32), "Ed448", "medium alg_mismatch"},
		{okp("X25519", 32), "ECDH-ES", ""},
		{okp("Ed25519", 32), "ECDH-ES", "medium alg_mismatch"},
		{okp("X25519", 32), "EdDSA", "medium alg_mismatch"},
		{rsa, "ML-DSA-44", "medium alg_mismatch"},
		{`"kty":"AKP","pub":"AQID"`, "ML-DSA-99", ""},
	} {
		set := jwks.Parse([]byte(`{"keys":[{"kid":"a","alg":"` + tt.alg + `",` + tt.key + `}]}`))
		var got strings.Builder
		for _, f := range rules.Inspect(rules.Book(), set) {
			if d, ok := f.Details.(*event.KeyWeakDetails); ok {
				got.WriteString(f.Severity.String() + " " + strings.Join(d.Codes, " "))
			}
		}
		if got.String() != tt.want {
			t.Errorf("%.20s… with %q: %q, want %q", tt.key, tt.alg, got.String(), tt.want)
		}
	}
}

// TestPrivateMaterialIsProven serves a leak, and a public key as a shared secret.
func TestPrivateMaterialIsProven(t *testing.T) {
	body := func(entries ...map[string]any) []byte {
		b, err := json.Marshal(map[string]any{"keys": entries})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := lab.NewEC("a", "P-256")
	s := newSim(t)
	s.poll(body(key.Public()))
	s.expect(s.poll(body(key.Private())), "critical key.private a")
	if f := s.findings[0]; !slices.Contains(f.Reasons, "proven") || !strings.Contains(f.Message, "proven") {
		t.Errorf("%q %q", f.Reasons, f.Message)
	}
	s = newSim(t)
	s.poll(body(key.Public()))
	s.expect(s.poll(body(key.With("d", "AAAA").Public())), "critical key.private a")
	if f := s.findings[0]; slices.Contains(f.Reasons, "proven") {
		t.Errorf("%q", f.Reasons)
	}
	rsa := lab.NewRSA("a", 2048)
	oct := map[string]any{"kty": "oct", "kid": "h", "k": rsa.Public()["n"]}
	s = newSim(t)
	s.expect(s.poll(body(rsa.Public(), oct)), "informational baseline.established once", "critical key.private h once", "critical key.weak h once")
}

// TestSetWithoutSigningKeys: medium at first sight, high by a change, and only
// when two looks agree.
func TestSetWithoutSigningKeys(t *testing.T) {
	s := newSim(t)
	s.expect(s.poll(doc("E:e:use=enc")), "informational baseline.established once", "medium set.no_signing_keys once")
	s.expect(s.poll(doc("E:e:use=enc", "A:a")), "informational set.no_signing_keys closed", "low key.added a")

	s = newSim(t)
	s.poll(doc("A:a", "E:e:use=enc"))
	s.expect(s.poll(doc("R:a:use=enc", "E:e:use=enc")), "high set.no_signing_keys", "critical key.mutated a")

	s = newSim(t) // that all are gone is told by set.replaced, which leads
	s.poll(doc("A:a", "E:e:use=enc"))
	s.expect(s.poll(doc("A:a:use=enc", "E:e:use=enc")), "high set.replaced", "low set.no_signing_keys", "low key.altered a")

	s = newSim(t)
	s.poll(doc("A:a", "E:e:use=enc"))
	s.wait(time.Minute)
	s.answer(doc("E:e:use=enc"))
	s.wait(s.look)
	s.expect(s.answer(doc("A:a", "E:e:use=enc"))) // one of two looks: no absence is proven

	s = newSim(t)
	s.poll(doc("A:a"))
	s.expect(s.poll(doc()), "critical set.emptied")
}

func TestUnreadableSigningKey(t *testing.T) {
	s := newSim(t)
	s.expect(s.poll(doc("!A:a", "B:b")), "informational baseline.established once", "medium key.unparseable a once")
	s.expect(s.poll(doc("!A:a", "B:b", "!C:c")), "low key.added c", "medium key.unparseable c")
	s.expect(s.poll(doc("!A:a", "!B:b", "!C:c")), "critical key.mutated b", "high key.unparseable b")
}

func TestKidsThatLookAlike(t *testing.T) {
	for _, tt := range []struct {
		one, two string
		want     bool
	}{
		{"key-1", "key-l", true},
		{"key-1", "KEY-1", true},
		{"key-1", "key-1 ", true},
		{"key-1", "ｋｅｙ－１", true},
		{"key-1", "key‐1", true},
		{"admin", "аdmin", true},
		{"prod", "prоd", true},
		{"prod", "p\u200brod", true},
		{"rnain", "main", true},
		{"KEY", "ΚΕΥ", true},
		{"key-1", "key-2", false},
		{"key-1", "key_1", false},
		{"prod", "prod2", false},
		{"é", "e", false},
		{"2026-01", "2026-10", false},
	} {
		s := newSim(t)
		s.poll(doc("A:" + tt.one))
		got := s.poll(doc("A:"+tt.one, "B:"+tt.two))
		if told := count(got, "high set.ambiguous") == 1; told != tt.want {
			t.Errorf("%q beside %q: %q", tt.one, tt.two, got)
		}
	}
	s := newSim(t)
	s.expect(s.poll(doc("A:key", "B:KEY")), "informational baseline.established once", "medium set.ambiguous once")
}

func TestUnsafeKids(t *testing.T) {
	for kid, want := range map[string]bool{
		"../../etc/passwd": true, `..\windows`: true, "/dev/null": true, "a' or 1=1": true, `a"b`: true, "a`id`": true, "${jndi}": true, "{{7*7}}": true,
		"#{x}": true, "$(id)": true, "<%= x %>": true, "<svg>": true, "https;//idp.example": false, "https://idp.example/k": true, "a\u202eb": true, "a\nb": true,
		"ab/cd+ef==": false, "a.b_c-d": false, "a=b:c d": false, "kid..1": false, "2026/01/02": false, `CN=a\b`: false,
	} {
		b, err := json.Marshal(kid)
		if err != nil {
			t.Fatal(err)
		}
		set := jwks.Parse([]byte(`{"keys":[{"kty":"RSA","e":"AQAB","n":"` + b64(bits(2048)) + `","kid":` + string(b) + `}]}`))
		got := slices.ContainsFunc(rules.Inspect(rules.Book(), set), func(f rules.Flaw) bool { return f.Rule.ID == "set-ambiguous-kid-unsafe" })
		if got != want {
			t.Errorf("%q: %v", kid, got)
		}
	}
}

// TestDecodersThatFail opens one finding for all decoders of one step, and another
// for one that comes later.
func TestDecodersThatFail(t *testing.T) {
	good, _ := broken()
	plain, padded := rsaDoc(good), rsaDoc(good, `,"x5t":"AA=="`)
	akp := []byte(strings.Replace(string(plain), "]}", `,{"kty":"AKP","alg":"ML-DSA-99","kid":"q","pub":"AQID"}]}`, 1))
	s := newSim(t)
	examined(plain)(s)
	got := s.poll(akp)
	if count(got, "high set.breaks_verifiers") != 1 {
		t.Fatalf("told %q", got)
	}
	for _, f := range s.findings {
		if d, ok := f.Details.(*event.SetBreaksVerifiersDetails); ok && (len(d.Decoders) != 3 || d.Decoders[0].Keys != 1 || !strings.Contains(f.Message, "and 2 more")) {
			t.Errorf("%+v %q", d, f.Message)
		}
	}
	s.examine(akp)
	s.expect(s.poll(akp), "high set.breaks_verifiers")
	// While another set was not tried yet, what stood before stands.
	more := []byte(strings.Replace(string(akp), `"kid":"q"`, `"kid":"q2"`, 1))
	s.expect(s.poll(more), "medium key.relabelled q2")
	if n := len(openConditions(t, s)); n != 3 { // an algorithm that is not known, and the two of decoders
		t.Errorf("%d conditions are open", n)
	}
	s.poll(plain)
	if n := len(openConditions(t, s)); n != 0 {
		t.Errorf("%d conditions are open", n)
	}

	s = newSim(t) // at first sight, though the verdict comes later
	s.poll(padded)
	s.examine(padded)
	s.expect(s.poll(padded), "medium set.breaks_verifiers")

	s = newSim(t) // a change that was made long before anybody looked
	s.poll(plain)
	s.poll(padded)
	s.wait(25 * time.Hour)
	s.examine(padded)
	s.expect(s.poll(padded), "medium set.breaks_verifiers")
	s = newSim(t)
	s.poll(plain)
	s.poll(padded)
	s.wait(23 * time.Hour)
	s.examine(padded)
	s.expect(s.poll(padded), "high set.breaks_verifiers")
}

func openConditions(t *testing.T, s *sim) []*history.Condition {
	t.Helper()
	m, err := history.Decode(s.stored)
	if err != nil {
		t.Fatal(err)
	}
	return m.Conditions
}

// The version in a finding is that of the decoder which was asked.
func TestDecoderIsTheOneInUse(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	s := newSim(t)
	examined(doc("A:a:x5t=AA=="))(s)
	for _, f := range s.all {
		if d, ok := f.Details.(*event.SetBreaksVerifiersDetails); ok {
			name, version, _ := strings.Cut(d.Decoders[0].Name, " ")
			if !strings.Contains(string(mod), "github.com/go-jose/"+name+"/v4 "+version+"\n") {
				t.Errorf("%s is not in go.mod", d.Decoders[0].Name)
			}
			return
		}
	}
	t.Error("nothing was told")
}

func TestOversizedSets(t *testing.T) {
	for n, want := range map[int]int{50: 0, 51: 1} {
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprintf("L%d:l%d", i, i)
		}
		s := newSim(t)
		if got := s.poll(doc(words...)); count(got, "medium set.oversized once") != want {
			t.Errorf("%d keys: %q", n, got)
		}
	}
	body := string(doc("A:a"))
	for n, want := range map[int]int{256 << 10: 0, 256<<10 + 1: 1} {
		s := newSim(t)
		if got := s.poll([]byte(body + strings.Repeat(" ", n-len(body)))); count(got, "medium set.oversized once") != want {
			t.Errorf("%d octets: %q", n, got)
		}
	}
}

// TestCertificatesInTime serves one set while its certificate begins and ends.
func TestCertificatesInTime(t *testing.T) {
	s := newSim(t)
	body := certifiedDoc(true, start.Add(time.Hour), start.Add(48*time.Hour))
	s.poll(body)
	s.examine(body)
	s.expect(s.poll(body), "low key.certificate_invalid a")
	s.now = start.Add(time.Hour - time.Minute)
	s.expect(s.poll(body), "informational key.certificate_invalid a closed")
	s.now = start.Add(48*time.Hour - time.Minute)
	s.expect(s.poll(body)) // valid in its last second
	s.expect(s.poll(body), "low key.certificate_invalid a")
}

func TestForeignX5U(t *testing.T) {
	for x5u, want := range map[string]int{
		"https://idp.example/c": 0, "https://keys.idp.example/c": 0, "https://IDP.example:8443/c": 0, "c.pem": 0, "": 0,
		"https://idp.example.evil.test/c": 1, "https://evil.test/idp.example": 1, "https://xidp.example/c": 1,
	} {
		s := newSim(t)
		s.policy.Site = "idp.example"
		s.poll(doc("A:a"))
		body := strings.Replace(string(doc("A:a")), `"kid"`, `"x5u":"`+x5u+`","kid"`, 1)
		if got := s.poll([]byte(body)); count(got, "high key.certificate_invalid a") != want {
			t.Errorf("%s: %q", x5u, got)
		}
	}
}

// TestWeaknessStaysWhileTheKeyDoes: a key that comes back is known to be weak, and
// what another endpoint proved of it is not forgotten by a later check.
func TestWeaknessStaysWhileTheKeyDoes(t *testing.T) {
	good, close := broken()
	weak := strings.Replace(string(rsaDoc(close)), "]}", ","+strings.TrimPrefix(string(doc("B:b")), `{"keys":[`), 1)
	s := newSim(t)
	examined([]byte(weak))(s)
	if count(tell(s.all), "critical key.weak a") != 1 {
		t.Fatalf("told %q", tell(s.all))
	}
	s.poll(doc("B:b"))
	s.wait(time.Hour)
	if got := s.poll([]byte(weak)); count(got, "critical key.weak a") != 1 {
		t.Errorf("it came back: %q", got)
	}
	s = newSim(t)
	body := rsaDoc(good)
	s.poll(body)
	s.health = &rules.Health{Factors: map[jwks.Identity]string{jwks.Parse(body).Keys[0].ID: "partner"}}
	s.expect(s.poll(body), "critical key.weak a")
	if d := s.findings[0].Details.(*event.KeyWeakDetails); d.Peer == nil || *d.Peer != "partner" {
		t.Errorf("%+v", d)
	}
	s.examine(body)
	s.expect(s.poll(body))
	if len(openConditions(t, s)) != 1 {
		t.Error("a check that knows nothing of other keys closed it")
	}
}

func TestCompromisedByTheOperator(t *testing.T) {
	id := jwks.Parse(doc("A:a")).Keys[0].ID.String()
	s := newSim(t)
	s.poll(doc("A:a"))
	s.policy.Compromised = map[string]string{id: "incident\x1b 7"}
	s.expect(s.poll(doc("A:a")), "critical key.compromised a")
	if d := s.findings[0].Details.(*event.KeyCompromisedDetails); d.List != "operator" || strings.Contains(d.Source, "\x1b") {
		t.Errorf("%+v", d)
	}
	s.policy.Compromised = nil
	s.expect(s.poll(doc("A:a")), "informational key.compromised a closed")
}

// BenchmarkJudgeHundredKeys is one change judged by the whole book.
func BenchmarkJudgeHundredKeys(b *testing.B) {
	before, after := jwks.Parse(many(100, 0, "")), jwks.Parse(append(many(100, 0, "")[:len(many(100, 0, ""))-2], ","+entry("X:x")+"]}"...))
	p := rules.Policy{Endpoint: "corp-idp", URL: "https://idp.example/jwks", Site: "idp.example", Interval: time.Minute}
	m, _ := history.Decode(nil)
	m = rules.Step(rules.Book(), m, rules.Observation{At: start, Set: before}, p).Memory
	m = rules.Step(rules.Book(), m, rules.Observation{At: start.Add(time.Minute), After: start, Set: after}, p).Memory
	for b.Loop() {
		out := rules.Step(rules.Book(), m, rules.Observation{At: start.Add(61 * time.Second), After: start, Set: after}, p)
		if len(out.Findings) != 1 {
			b.Fatal(tell(out.Findings))
		}
	}
}
