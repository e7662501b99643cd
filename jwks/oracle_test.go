package jwks

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestOracle(t *testing.T) {
	t.Parallel()
	a := rsaKey(1, "a")
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"nothing", string(doc(a, `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`)), nil},
		{"empty", `{"keys":[]}`, nil},
		{"unusable", `{"keys":null}`, nil},
		{"unknown kty", string(doc(a, `{"kty":"new"}`, a)), []string{"gojose_refuses /keys/1", "gojose_refuses_set "}},
		{"off the curve", string(doc(ec("P-256", b64(octets(2, 32)), b64(octets(3, 32))), a)), []string{"gojose_refuses /keys/0", "gojose_refuses_set "}},
		{"X25519", string(doc(okp("X25519", b64(octets(2, 32))))), []string{"gojose_refuses /keys/0", "gojose_refuses_set "}},
		{"kid a number", string(doc(`{"kty":"RSA","kid":1}`, a)), []string{"gojose_refuses /keys/0", "gojose_refuses_set "}},
		{"x5t padded", string(doc(rsaKey(1, "a", `"x5t":"AQ=="`))), []string{"gojose_refuses /keys/0", "gojose_refuses_set "}},
		{"member repeated", string(doc(rsaKey(1, "a", `"use":"sig"`))), []string{"gojose_refuses /keys/0", "gojose_refuses_set "}},
		{"not one good", string(doc(`1`, `"a"`)), []string{"gojose_refuses /keys/0", "gojose_refuses /keys/1", "gojose_refuses_set "}},
		{"KEYS, which encoding/json prefers", `{"keys":[` + a + `],"KEYS":[]}`, []string{"gojose_differs_set "}},
		{"private members", string(doc(rsaKey(1, "a", `"d":"AQ","p":"AQ","D":"AQ"`), `{"kty":"oct","k":"AQ"}`)), nil},
		{"oct without k", string(doc(`{"kty":"oct"}`)), []string{"gojose_refuses /keys/0", "gojose_refuses_set "}},
		{"large entry", string(doc(a, rsaKey(2, "b", `"a":"`+strings.Repeat("x", maxOracleEntry)+`"`))), []string{"gojose_refuses /keys/1"}},
		{"large document", `{"a":"` + strings.Repeat("x", maxOracleSet) + `","keys":[null]}`, []string{"gojose_refuses_set "}},
	} {
		s := Parse([]byte(c.body))
		got := s.Oracle()
		wantDefects(t, c.name, got, c.want...)
		for _, d := range got {
			if d.Text == "" || len(d.Text) > maxOracleText {
				t.Errorf("%s: text %q", c.name, d.Text)
			}
			if strings.HasPrefix(c.name, "large") && !strings.HasPrefix(d.Text, "not tried") {
				t.Errorf("%s: text %q does not say that it was not tried", c.name, d.Text)
			}
		}
	}
}

// What go-jose sees holds no secret, redacted or not, and every entry is where
// its pointer says.
func TestOracleSeesNoSecret(t *testing.T) {
	t.Parallel()
	for _, c := range leaks() {
		s := Parse([]byte(c.body))
		if !s.Usable() {
			continue
		}
		st := stripper{in: s.Body}
		out := st.document()
		again := Parse(out)
		if again.Shape != ShapeJWKS || len(again.Keys) != len(s.Keys) || len(st.entries) != len(s.Keys) {
			t.Fatalf("%s: %s has %d keys and %d entries, want %d", c.name, out, len(again.Keys), len(st.entries), len(s.Keys))
		}
		for i, k := range again.Keys {
			if k.Decoded() && k.ID != s.Keys[i].ID {
				t.Errorf("%s: key %d is another", c.name, i)
			}
			for _, p := range k.Private {
				if p != "k" {
					t.Errorf("%s: go-jose is given %s", c.name, p)
				}
			}
		}
		for _, d := range s.Oracle() {
			if strings.Contains(d.Text, canary) {
				t.Errorf("%s: text %q", c.name, d.Text)
			}
		}
	}
}

func TestOracleQuotesNothing(t *testing.T) {
	t.Parallel()
	const value = "VALUE"
	for _, entry := range []string{
		ec(value, "AQ", "AQ"), ec("a'"+value+"'b'"+value, "AQ", "AQ"), ec(value+"'", "AQ", "AQ"), `{"kty":"RSA","n":"` + value + `!","e":"AQ"}`,
		rsaKey(1, "a", `"x5u":"http://`+value+`:port/`+value+`"`), rsaKey(1, "a", `"x5u":"`+value+`\u007f"`), rsaKey(1, "a", `"`+value+`":1,"`+value+`":2`),
		rsaKey(1, "a", `"x5t":"`+b64([]byte(strings.Repeat("Z", 40)))+`"`), `{"kty":"RSA","kid":4711}`,
	} {
		got := Parse(doc(entry)).Oracle()
		if len(got) == 0 {
			t.Errorf("%s is accepted: the case tests nothing", entry)
		}
		for _, d := range got {
			for _, bad := range []string{value, "4711", "'Z'", "U+005A"} {
				if strings.Contains(d.Text, bad) {
					t.Errorf("%s: text %q quotes %s", entry, d.Text, bad)
				}
			}
		}
	}
}

func TestOraclePanics(t *testing.T) {
	t.Parallel()
	if got := refusal(func() error { panic(canary) }); got != "panics" {
		t.Errorf("reason %q", got)
	}
	if got := refusal(func() error { return errors.New(canary) }); got != "does not decode" {
		t.Errorf("reason %q", got)
	}
	if got := refusal(func() error { return jose.ErrUnsupportedKeyType }); got != "unsupported key type/format" {
		t.Errorf("reason %q", got)
	}
	if got := refusal(func() error { return nil }); got != "" {
		t.Errorf("reason %q", got)
	}
}
