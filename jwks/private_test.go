package jwks

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// canary stands for a secret. It is base64url, so that it also decodes.
const canary = "CANARYsecretCANARYsecretCANARYsecretCANARYs"

// wantNoTrace looks for a secret in everything that a set holds.
func wantNoTrace(t *testing.T, s *Set, secret string) {
	t.Helper()
	if bytes.Contains(s.Body, []byte(secret)) {
		t.Errorf("the body holds the secret: %q", s.Body)
	}
	if all := fmt.Sprintf("%+v", struct {
		A string
		K []Key
		D []Defect
	}{s.Reason, s.Keys, s.Defects}); strings.Contains(all, secret) {
		t.Errorf("the set holds the secret: %s", all)
	}
}

type leak struct {
	name, body string
	shape      Shape
	private    []string // of the first key
	key, doc   []string // defects
}

func leaks() []leak {
	pem := `-----BEGIN EC PRIVATE KEY-----\n` + canary + `\n-----END EC PRIVATE KEY-----\n`
	in := func(name, extra string, private []string, defects ...string) leak {
		return leak{name, string(doc(rsaKey(1, "a", extra))), ShapeJWKS, private, defects, nil}
	}
	v := `"` + canary + `"`
	return []leak{
		in("d", `"d":`+v, []string{"d"}, "private_member /keys/0/d"),
		in("p and q without d", `"p":`+v+`,"q":`+v, []string{"p", "q"}, "private_member /keys/0/p", "private_member /keys/0/q"),
		in("the rest of RSA", `"dp":`+v+`,"dq":`+v+`,"qi":`+v, []string{"dp", "dq", "qi"},
			"private_member /keys/0/dp", "private_member /keys/0/dq", "private_member /keys/0/qi"),
		in("oth", `"oth":[{"r":`+v+`,"d":`+v+`,"t":`+v+`}]`, []string{"oth"}, "private_member /keys/0/oth"),
		in("upper case", `"D":`+v, []string{"d"}, "private_member /keys/0/D", "case_variant /keys/0/D"),
		in("escaped name", `"\u0064":`+v, []string{"d"}, "private_member /keys/0/d"),
		in("escaped value", `"d":"\u0043`+canary[1:]+`"`, []string{"d"}, "private_member /keys/0/d"),
		in("number", `"d":12345678901234567890`, []string{"d"}, "private_member /keys/0/d"),
		in("true", `"d":true`, []string{"d"}, "private_member /keys/0/d"),
		in("within arrays", `"d":[[],[`+v+`]]`, []string{"d"}, "private_member /keys/0/d"),
		in("repeated, empty last", `"d":`+v+`,"d":""`, []string{"d"}, "private_member /keys/0/d", "repeated_member /keys/0/d"),
		in("repeated, empty first", `"d":"","d":`+v, []string{"d"}, "private_member /keys/0/d", "repeated_member /keys/0/d"),
		in("nested", `"jwk":{"a":[0,{"d":`+v+`}]}`, []string{"d"}, "private_member /keys/0/jwk/a/1/d"),
		in("nested oct", `"jwk":{"k":`+v+`,"kty":"oct"}`, []string{"k"}, "symmetric_key /keys/0/jwk/k"),
		in("PEM", `"key":"`+pem+`"`, nil, "private_key_text /keys/0/key"),
		in("PEM, escaped", `"key":"-----BEGIN \u0050RIVATE KEY----- `+canary+`"`, nil, "private_key_text /keys/0/key"),
		in("PEM in a label", `"x5u":"`+pem+`"`, nil, "private_key_text /keys/0/x5u"),
		in("PEM by lines", `"key":["-----BEGIN PRIVATE KEY-----",`+v+`,"-----END PRIVATE KEY-----"]`, nil, "private_key_text /keys/0/key/0"),
		in("PEM as a name", `"`+pem+`":1`, nil, "private_key_text /keys/0/[redacted]"),
		in("PEM header as a name", `"-----BEGIN RSA PRIVATE KEY-----":`+v, nil, "private_key_text /keys/0/[redacted]"),
		in("PEM header as a name of lines", `"-----BEGIN PRIVATE KEY-----":[1,`+v+`]`, nil, "private_key_text /keys/0/[redacted]"),
		in("PEM header as a name of an object", `"a":{"-----BEGIN PRIVATE KEY-----":{"`+canary+`":`+v+`}}`, nil, "private_key_text /keys/0/a/[redacted]"),
		in("PEM header as a name of nothing", `"-----BEGIN PRIVATE KEY-----":"","b":[null]`, nil, "private_key_text /keys/0/[redacted]"),
		in("key within text", `"key":"{\"kty\":\"EC\",\"d\":\"`+canary+`\"}"`, nil, "private_key_text /keys/0/key"),
		in("k beside RSA", `"k":`+v, nil),
		in("nested k beside RSA", `"a":{"k":`+v+`}`, nil),
		{"oct", string(doc(`{"kty":"oct","kid":"a","k":` + v + `}`)), ShapeJWKS, []string{"k"}, []string{"symmetric_key /keys/0/k"}, nil},
		{
			"OCT", string(doc(`{"k":` + v + `,"kty":"OCT"}`)), ShapeJWKS,
			[]string{"k"},
			[]string{"symmetric_key /keys/0/k", "unknown_kty /keys/0/kty"},
			nil,
		},
		{
			"k without kty", string(doc(`{"\u212a":` + v + `}`)), ShapeJWKS,
			[]string{"k"},
			[]string{"symmetric_key /keys/0/\u212a", "missing_kty /keys/0", "case_variant /keys/0/\u212a"},
			nil,
		},
		{"rsa with k", string(doc(`{"kty":"rsa","k":` + v + `}`)), ShapeJWKS, []string{"k"}, []string{"symmetric_key /keys/0/k", "unknown_kty /keys/0/kty"}, nil},
		{
			"two kty with k", string(doc(`{"kty":"oct","kty":"RSA","k":` + v + `}`)), ShapeJWKS,
			[]string{"k"},
			[]string{"symmetric_key /keys/0/k", "repeated_member /keys/0/kty"},
			nil,
		},
		{
			"EC", string(doc(`{"kty":"EC","crv":"P-256","x":"AQ","y":"Ag","d":` + v + `}`)), ShapeJWKS,
			[]string{"d"},
			[]string{"private_member /keys/0/d"},
			nil,
		},
		{
			"AKP", string(doc(`{"kty":"AKP","alg":"ML-DSA-44","pub":"` + b64(octets(1, 1312)) + `","priv":` + v + `}`)), ShapeJWKS,
			[]string{"priv"},
			[]string{"private_member /keys/0/priv"},
			nil,
		},
		{"entry of an array", string(doc(`[{"kty":"RSA","d":` + v + `},{"k":1}]`)), ShapeJWKS, []string{"d", "k"}, []string{
			"not_object /keys/0", "private_member /keys/0/0/d", "symmetric_key /keys/0/1/k",
		}, nil},
		{"entry of PEM", string(doc(`"` + pem + `"`)), ShapeJWKS, nil, []string{"not_object /keys/0", "private_key_text /keys/0"}, nil},
		{
			"entries of lines", string(doc(`"-----BEGIN PRIVATE KEY-----"`, v, `{"kty":"RSA","d":`+v+`}`, v+" ", `"-----END PRIVATE KEY-----"`)),
			ShapeJWKS, nil,
			[]string{"not_object /keys/0", "private_key_text /keys/0"},
			[]string{"missing_kid /keys/0"},
		},
		{"entries of lines, the end alone", string(doc(v, `"-----END PRIVATE KEY-----"`)), ShapeJWKS, nil, []string{"not_object /keys/0", "private_key_text /keys/0"}, nil},
		{"header as a name beside keys", `{"keys":[],"-----BEGIN PRIVATE KEY-----":` + v + `}`, ShapeJWKS, nil, nil, []string{"stray_private_member /[redacted]"}},
		{"header as the name of keys", `{"-----BEGIN PRIVATE KEY-----":[{"kid":` + v + `}]}`, ShapeNoKeys, nil, nil, []string{"stray_private_member /[redacted]"}},
		{"beside keys", `{"keys":[],"d":` + v + `,"k":` + v + `}`, ShapeJWKS, nil, nil, []string{"stray_private_member /d", "stray_private_member /k"}},
		{"deep beside keys", `{"keys":[],"a":[{"kty":"EC","d":` + v + `,"k":1}]}`, ShapeJWKS, nil, nil, []string{"stray_private_member /a/0/d"}},
		{"PEM beside keys", `{"keys":[],"key":"` + pem + `"}`, ShapeJWKS, nil, nil, []string{"stray_private_member /key"}},
		{"in KEYS", `{"KEYS":[{"kty":"RSA","d":` + v + `}],"keys":[]}`, ShapeJWKS, nil, nil, []string{"case_variant /KEYS", "stray_private_member /KEYS/0/d"}},
		{"bare key", `{"kty":"RSA","d":` + v + `}`, ShapeNoKeys, nil, nil, []string{"stray_private_member /d"}},
		{"error", `{"error":{"d":` + v + `}}`, ShapeNoKeys, nil, nil, []string{"stray_private_member /error/d"}},
		{"array", `[{"kty":"oct","k":` + v + `}]`, ShapeArray, nil, nil, []string{"stray_private_member /0/k"}},
		{"string", `"` + pem + `"`, ShapeString, nil, nil, []string{"stray_private_member "}},
		{"repeated keys", `{"keys":[{"kty":"RSA","d":` + v + `}],"keys":[]}`, ShapeRepeatedKeys, nil, nil, []string{"stray_private_member /keys/0/d", "repeated_member /keys"}},
		{"keys of text", `{"keys":"` + pem + `"}`, ShapeKeysType, nil, nil, []string{"stray_private_member /keys"}},
		{"too many", `{"keys":[` + strings.Repeat(`{},`, MaxKeys) + `{"d":` + v + `}]}`, ShapeTooMany, nil, nil, []string{"stray_private_member /keys/4096/d"}},
		{"trailing", `{"keys":[{"d":` + v + `}]};`, ShapeTrailing, nil, nil, nil},
		{"truncated", `{"keys":[{"d":` + v, ShapeTruncated, nil, nil, nil},
		{"truncated, escaped PEM", `{"keys":["-----BEGIN \u0050RIVATE KEY\u002d---- ` + canary, ShapeTruncated, nil, nil, nil},
		{"page with OpenPGP", "<pre>-----BEGIN PGP PRIVATE KEY BLOCK-----\n" + canary, ShapeHTML, nil, nil, nil},
		{"too deep", `{"d":` + v + `,"a":` + strings.Repeat("[", 70), ShapeTooDeep, nil, nil, nil},
		{"too deep in a private member", `{"keys":[{"d":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}]}`, ShapeTooDeep, nil, nil, nil},
		{"single quotes", `{'d': '` + canary + `'}`, ShapeNotJSON, nil, nil, nil},
		{"page", `<pre>{&quot;a&quot;: "` + `\"priv\" ` + strings.Repeat(" ", 99) + `: ` + canary + `</pre>`, ShapeHTML, nil, nil, nil},
		{"page with PEM", "<pre>-----BEGIN PRIVATE KEY-----\n" + canary, ShapeHTML, nil, nil, nil},
		{"byte order mark", "\xef\xbb\xbf{\"keys\":[{\"d\":" + v + `}]}`, ShapeBOM, nil, nil, nil},
		{"UTF-16", string(utf16le(`{"keys":[{"d":` + v + `}]}`)), ShapeEncoding, nil, nil, nil},
	}
}

func utf16le(s string) []byte {
	var out []byte
	for _, c := range []byte(s) {
		out = append(out, c, 0)
	}
	return out
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	for _, c := range leaks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := checkParse(t, []byte(c.body))
			if s.Shape != c.shape {
				t.Fatalf("shape %s, want %s", s.Shape, c.shape)
			}
			if !s.HeldSecret {
				t.Error("no secret was held")
			}
			wantNoTrace(t, s, canary)
			wantNoTrace(t, s, "12345678901234567890")
			wantDefects(t, "document", s.Defects, c.doc...)
			if len(s.Keys) == 0 {
				return
			}
			wantDefects(t, "key", s.Keys[0].Defects, c.key...)
			if !slices.Equal(s.Keys[0].Private, c.private) {
				t.Errorf("private %q, want %q", s.Keys[0].Private, c.private)
			}
		})
	}
}

// Every kind of armour is found wherever text can stand, and takes with it what
// it names and what surrounds it.
func TestArmours(t *testing.T) {
	t.Parallel()
	v := `"` + canary + `"`
	places := map[string]string{
		"value":         `{"keys":[{"kty":"EC","kid":"a","x":"%s"}]}`,
		"label":         `{"keys":[{"kty":"EC","kid":"%s"}]}`,
		"certificate":   `{"keys":[{"kty":"EC","x5c":["%s"]}]}`,
		"name":          `{"keys":[{"kty":"EC","%s":` + v + `}]}`,
		"name of array": `{"keys":[{"kty":"EC","%s":[` + v + `]}]}`,
		"lines":         `{"keys":[{"kty":"EC","a":["%s",` + v + `]}]}`,
		"entries":       `{"keys":["%s",` + v + `]}`,
		"beside":        `{"keys":[],"a":{"b":["%s"]}}`,
		"name beside":   `{"keys":[],"%s":` + v + `}`,
		"no set":        `["%s",` + v + `]`,
		"text":          `"%s"`,
	}
	for _, label := range []string{
		"-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----", "-----BEGIN DSA PRIVATE KEY-----",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----", "-----BEGIN PGP PRIVATE KEY BLOCK-----",
		"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", "-----begin private key-----", "-----END PGP PRIVATE KEY BLOCK-----",
	} {
		for where, format := range places {
			for _, armour := range []string{label, strings.ReplaceAll(label, "----", `\u002d---`), strings.ReplaceAll(label, "K", `\u004B`)} {
				text := armour + `\nVersion: 1\n\n` + canary + `\n`
				s := checkParse(t, []byte(strings.ReplaceAll(format, "%s", text)))
				if !s.HeldSecret {
					t.Errorf("%s as %s: no secret was held", armour, where)
				}
				wantNoTrace(t, s, canary)
			}
		}
	}
}

// Lines of a private key among the entries do not touch the entries that are
// keys.
func TestLinesAmongEntries(t *testing.T) {
	t.Parallel()
	plain := one(t, rsaKey(1, "a"))
	s := checkParse(t, doc(`"-----BEGIN PRIVATE KEY-----"`, rsaKey(1, "a", `"d":"`+canary+`","b":"b"`), `"`+canary+`"`))
	wantNoTrace(t, s, canary)
	if len(s.Keys) != 3 || s.Keys[1].ID != plain.ID {
		t.Fatalf("%d keys, the second of identity %s, want 3 and %s", len(s.Keys), s.Keys[1].ID, plain.ID)
	}
	wantDefects(t, "key", s.Keys[1].Defects, "private_member /keys/1/d")
}

// A private member beside the public ones changes no identity, and two secrets
// cannot be told apart from what is kept.
func TestSecretsAndIdentity(t *testing.T) {
	t.Parallel()
	plain := one(t, rsaKey(1, "a"))
	if got := one(t, rsaKey(1, "a", `"d":"`+canary+`"`)); got.ID != plain.ID {
		t.Error("d changes the identity")
	}
	for _, kty := range []string{"oct", "new"} {
		x := one(t, `{"kty":"`+kty+`","kid":"a","k":"AAAA"}`)
		y := one(t, `{"kid":"a","k":"BBBBBBBB","kty":"`+kty+`"}`)
		if x.ID != y.ID {
			t.Errorf("%s: the identity depends on the secret", kty)
		}
		if other := one(t, `{"kty":"`+kty+`","kid":"b","k":"AAAA"}`); other.ID == x.ID {
			t.Errorf("%s: another kid, the same identity", kty)
		}
	}
	if kind := one(t, `{"kty":"oct","k":"AAAA"}`).ID.Kind; kind != Secret {
		t.Errorf("oct: kind %d, want Secret", kind)
	}
}

func TestNoSecret(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty values":     string(doc(rsaKey(1, "a", `"d":"","p":null,"q":[ ],"dp":{ },"oth":[],"hasPrivateKey":false,"k":false`))),
		"longer names":     string(doc(rsaKey(1, "a", `"id":"x","priv2":"x","kd":"x","data":"x"`))),
		"certificate":      `{"a":"-----BEGIN CERTIFICATE-----"}`,
		"public OpenPGP":   `{"a":"-----BEGIN PGP PUBLIC KEY BLOCK-----"}`,
		"words and dashes": `{"a":"the private key -- is elsewhere: -- PRIVATE KEY BLOCKS -----, PRIVATE KEYS-----, PRIVATE KEY"}`,
		"public PEM":       `{"a":"-----BEGIN PUBLIC KEY-----"}`,
		"public, as text":  string(doc(rsaKey(1, "a", `"t":"{\"kty\":\"RSA\",\"n\":\"x\"}"`))),
		"page":             `<p id="d">time: 12</p>`,
		"words":            `error: "d" is not a key`,
		"truncated public": `{"keys":[{"kty":"RSA","n":"AQAB`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := checkParse(t, []byte(body))
			if s.HeldSecret {
				t.Errorf("held a secret: %s", s.Body)
			}
			for _, k := range s.Keys {
				if len(k.Private) > 0 {
					t.Errorf("private %q", k.Private)
				}
				wantDefects(t, "key", k.Defects)
			}
		})
	}
}

// Many secrets are bounded in what is told of them, and hide none of another
// object.
func TestManySecrets(t *testing.T) {
	t.Parallel()
	many := strings.Repeat(`{"k":1},`, 50)
	s := checkParse(t, []byte(`{"a":[`+many+`0],"keys":[[`+many+`0],`+rsaKey(1, "a", `"a":[`+many+`0]`)+`,{"kty":"oct","a":[`+many+`0],"k":1}]}`))
	if got := len(s.Defects); got != maxNotes+1 { // and a key without kid
		t.Errorf("%d defects of the document", got)
	}
	for i, want := range []int{maxNotes, 0, maxNotes} {
		got := 0
		for _, d := range s.Keys[i].Defects {
			if d.Code == SymmetricKey {
				got++
			}
		}
		if got != want || (len(s.Keys[i].Private) == 1) != (want > 0) {
			t.Errorf("key %d: %d secrets, private %q; want %d", i, got, s.Keys[i].Private, want)
		}
	}
}

// Without a secret the body is kept as it was served, not copied.
func TestBodyAliases(t *testing.T) {
	t.Parallel()
	body := doc(rsaKey(1, "a"))
	if s := Parse(body); &s.Body[0] != &body[0] || len(s.Body) != len(body) {
		t.Error("the body was copied")
	}
	body = doc(rsaKey(1, "a", `"d":"x"`))
	if s := Parse(body); &s.Body[0] == &body[0] {
		t.Error("the redacted body is the body")
	}
}
