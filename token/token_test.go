package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/token"
)

func at(hour int) time.Time { return time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC) }

type signer struct {
	private *ecdsa.PrivateKey
	key     query.PublishedKey
}

// newSigner is a key that was published from 10:00 on, first missed at 9:00.
func newSigner(t *testing.T, kid string) signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := json.Marshal(jose.JSONWebKey{Key: private.Public(), KeyID: kid, Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	return signer{private, query.PublishedKey{
		Endpoint: "corp-idp", Issuer: new("https://idp.example"), Kid: new(kid), Thumbprint: new("thumb-" + kid), Alg: new("ES256"),
		FirstAfter: new(event.At(at(9))), FirstSeen: new(event.At(at(10))), WatchedFrom: new(event.At(at(10))), LastSeen: new(event.At(at(12))), JWK: entry,
	}}
}

func (s signer) sign(t *testing.T, claims string, header map[jose.HeaderKey]any) string {
	t.Helper()
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.private}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := made.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parse(t *testing.T, text string) *token.Token {
	t.Helper()
	out, err := token.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func codes(r token.Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Code)
	}
	return strings.Join(out, " ")
}

func claims(hour int) string {
	b, _ := json.Marshal(map[string]any{"iss": "https://idp.example/", "iat": at(hour).Unix(), "sub": "SECRETSUBJECT"})
	return string(b)
}

func TestExamine(t *testing.T) {
	t.Parallel()
	a, other := newSigner(t, "a"), newSigner(t, "b")
	kid := map[jose.HeaderKey]any{"kid": "a"}
	gone := a.key
	gone.LastSeen, gone.GoneBy = new(event.At(at(12))), new(event.At(at(13)))
	baseline := a.key
	baseline.FirstAfter, baseline.FirstSeen = nil, nil
	back := a.key
	back.Returned = true
	padded := a.key
	var members map[string]string
	if err := json.Unmarshal(a.key.JWK, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "y"} {
		members[name] = strings.NewReplacer("-", "+", "_", "/").Replace(members[name]) + "="
	}
	padded.JWK, _ = json.Marshal(members)
	private := a.key
	private.JWK = json.RawMessage(strings.Replace(string(a.key.JWK), "{", `{"d":"[redacted]",`, 1))
	broken := a.key
	broken.JWK = nil
	good := a.sign(t, claims(11), kid)
	for name, c := range map[string]struct {
		token         string
		named, others []query.PublishedKey
		signature     token.Signature
		published     token.Published
		codes         string
	}{
		"as it should be":          {good, []query.PublishedKey{a.key}, nil, token.Valid, token.Yes, ""},
		"with Bearer":              {"  Bearer " + good + "\n", []query.PublishedKey{a.key}, nil, token.Valid, token.Yes, ""},
		"in a lenient alphabet":    {good, []query.PublishedKey{padded}, nil, token.Valid, token.Yes, ""},
		"private half was shown":   {good, []query.PublishedKey{private}, nil, token.Valid, token.Yes, ""},
		"between the polls":        {a.sign(t, claims(9), kid), []query.PublishedKey{a.key}, nil, token.Valid, token.Yes, ""},
		"before the key":           {a.sign(t, claims(8), kid), []query.PublishedKey{a.key}, nil, token.Valid, token.Before, "issued_before_key"},
		"before a baseline":        {a.sign(t, claims(8), kid), []query.PublishedKey{baseline}, nil, token.Valid, token.Unknown, "issued_before_watch"},
		"before it came back":      {a.sign(t, claims(8), kid), []query.PublishedKey{back}, nil, token.Valid, token.Unknown, "key_returned"},
		"after it came back":       {good, []query.PublishedKey{back}, nil, token.Valid, token.Yes, ""},
		"after a baseline":         {good, []query.PublishedKey{baseline}, nil, token.Valid, token.Yes, ""},
		"until it was gone":        {a.sign(t, claims(13), kid), []query.PublishedKey{gone}, nil, token.Valid, token.Yes, ""},
		"after it was gone":        {a.sign(t, claims(14), kid), []query.PublishedKey{gone}, nil, token.Valid, token.After, "issued_after_key"},
		"no iat":                   {a.sign(t, `{}`, kid), []query.PublishedKey{a.key}, nil, token.Valid, token.Yes, "no_iat"},
		"no iat, gone":             {a.sign(t, `no JSON`, kid), []query.PublishedKey{gone}, nil, token.Valid, token.After, "issued_after_key no_iat"},
		"forged":                   {other.sign(t, claims(11), kid), []query.PublishedKey{a.key}, nil, token.Invalid, token.Yes, "signature_invalid"},
		"the second of that kid":   {other.sign(t, claims(11), kid), []query.PublishedKey{a.key, other.key}, nil, token.Valid, token.Yes, ""},
		"under another kid":        {other.sign(t, claims(11), kid), []query.PublishedKey{a.key}, []query.PublishedKey{other.key}, token.Valid, token.Yes, "kid_differs"},
		"never seen":               {good, nil, []query.PublishedKey{other.key}, token.Invalid, token.Never, "signature_invalid unknown_key"},
		"nothing known":            {good, nil, nil, token.NoKey, token.Never, "unknown_key"},
		"its snapshot is gone":     {good, []query.PublishedKey{broken}, nil, token.NoKey, token.Yes, ""},
		"no kid":                   {a.sign(t, claims(11), nil), nil, []query.PublishedKey{other.key, a.key}, token.Valid, token.Yes, ""},
		"another issuer":           {a.sign(t, `{"iss":"https://evil.example","iat":1795345200}`, kid), []query.PublishedKey{a.key}, nil, token.Valid, token.Yes, "issuer_differs"},
		"brings its own key":       {a.sign(t, claims(11), map[jose.HeaderKey]any{"kid": "a", "jku": "https://evil.example"}), []query.PublishedKey{a.key}, nil, token.Valid, token.Yes, "header_jku"},
		"kid of a path":            {a.sign(t, claims(11), map[jose.HeaderKey]any{"kid": "../a"}), []query.PublishedKey{a.key}, nil, token.Valid, token.Yes, "kid_unsafe"},
		"not signed":               {unsigned(`{"alg":"none","kid":"a"}`), []query.PublishedKey{a.key}, nil, token.NoKey, token.Yes, "alg_none alg_differs"},
		"a public key as a secret": {unsigned(`{"alg":"HS256","kid":"a"}`), []query.PublishedKey{a.key}, nil, token.NoKey, token.Yes, "alg_hmac alg_differs"},
		"an unheard-of algorithm":  {unsigned(`{"alg":"XX1"}`), nil, nil, token.NoKey, token.Never, "alg_unknown unknown_key"},
	} {
		r := token.Examine(parse(t, c.token), c.named, c.others)
		if r.Signature != c.signature || r.Published != c.published || codes(r) != c.codes {
			t.Errorf("%s: %s, %s, %q; want %s, %s, %q", name, r.Signature, r.Published, codes(r), c.signature, c.published, c.codes)
		}
		told, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(c.token, ".")
		if strings.Contains(string(told), "SECRETSUBJECT") || parts[2] != "" && strings.Contains(string(told), parts[2]) {
			t.Errorf("%s: the report shows the token: %s", name, told)
		}
	}
}

func unsigned(header string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims(11))) + ".c2lnbmF0dXJl"
}

func TestWorst(t *testing.T) {
	t.Parallel()
	r := token.Examine(parse(t, unsigned(`{"alg":"none"}`)), nil, nil)
	if r.Worst() != event.SeverityCritical {
		t.Error(r.Worst())
	}
	if (&token.Report{}).Worst() != 0 {
		t.Error("without findings")
	}
}

func TestWhatIsNoToken(t *testing.T) {
	t.Parallel()
	const canary = "CANARYCANARY"
	for _, text := range []string{
		"", canary, canary + "." + canary, "a." + canary + ".b", strings.Repeat(canary+".", 6),
		base64.RawURLEncoding.EncodeToString([]byte(`[]`)) + ".x.y", base64.RawURLEncoding.EncodeToString([]byte(`{"kid":1,"alg":"RS256"}`)) + ".x.y",
		base64.RawURLEncoding.EncodeToString([]byte(`{"alg":7,"kid":"`+canary+`"}`)) + ".x.y", strings.Repeat("a", token.MaxOctets+1) + ".b.c",
	} {
		_, err := token.Parse(text)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%.60q: %v", text, err)
		}
	}
	if _, err := token.Parse("a.b.c.d.e"); !errors.Is(err, token.ErrEncrypted) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(unsigned(`{"alg":"ES256","kid":"a","jku":"x"}`))
	f.Add("Bearer a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := token.Parse(text)
		if err != nil {
			return
		}
		token.Examine(tok, []query.PublishedKey{{Endpoint: "a", JWK: json.RawMessage(`{"kty":"RSA"}`)}, {Endpoint: "b"}}, nil)
	})
}
