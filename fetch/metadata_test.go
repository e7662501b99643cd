package fetch

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

const published = `{
 "issuer": "https://issuer.test",
 "jwks_uri": "https://issuer.test/keys",
 "id_token_signing_alg_values_supported": ["RS256", "ES256"],
 "userinfo_signing_alg_values_supported": ["RS256", "none"],
 "token_endpoint_auth_signing_alg_values_supported": ["HS256"],
 "code_challenge_methods_supported": ["plain", "S256"],
 "signed_metadata": "eyJ.e30.x",
 "scopes_supported": ["openid", {"nested": [1, 2.5e3, true, null]}],
 "scopes_supported": ["a member that does not matter may repeat"]
}`

func TestParseMetadata(t *testing.T) {
	t.Parallel()
	least := Metadata{Issuer: "https://i.test", JWKSURI: "https://i.test/k"}
	document := func(more string) string {
		return `{"issuer":"https://i.test","jwks_uri":"https://i.test/k"` + more + "}"
	}
	for body, want := range map[string]Metadata{
		published: {
			Issuer: "https://issuer.test", JWKSURI: "https://issuer.test/keys",
			Algs: []string{"ES256", "HS256", "RS256", "none"}, SignedMetadata: true, PKCE: true,
		},
		document(""):              least,
		" " + document("") + "\n": least,
		// Absent members that a server writes as null, and empty lists.
		document(`,"signed_metadata":null,"code_challenge_methods_supported":null,"id_token_signing_alg_values_supported":null`): least,
		document(`,"code_challenge_methods_supported":[],"id_token_signing_alg_values_supported":[]`):                            least,
		document(`,"code_challenge_methods_supported":["plain","s256"]`):                                                         least,
		// In other letters it is another member.
		document(`,"Signed_Metadata":"x"`): least,
		// Only the top level counts.
		document(`,"mtls_endpoint_aliases":{"jwks_uri":"https://evil.test","jwks_uri":1}`): least,
		// No issuer is a mismatch for the judge, no broken document.
		`{"jwks_uri":"https://i.test/k"}`:                                {JWKSURI: "https://i.test/k"},
		`{"issuer":null,"jwks_uri":"https://i.test/k"}`:                  {JWKSURI: "https://i.test/k"},
		`{"issuer":"http://i.test","jwks_uri":"http://i.test/k?a=b"}`:    {Issuer: "http://i.test", JWKSURI: "http://i.test/k?a=b"},
		`{"issuer":"https://i.test","jwks\u005furi":"https://i.test/k"}`: least,
		document(`,"x_signing_alg_values_supported":["a\u202eb"]`): {
			Issuer: least.Issuer, JWKSURI: least.JWKSURI, Algs: []string{"a\ufffdb"},
		},
	} {
		got, err := ParseMetadata([]byte(body))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v, %v; want\n%+v", body, got, err, want)
		}
	}
}

func TestParseMetadataRefuses(t *testing.T) {
	t.Parallel()
	document := func(more string) string {
		return `{"issuer":"https://i.test","jwks_uri":"https://i.test/k"` + more + "}"
	}
	list := func(entries int, format string) string {
		var b strings.Builder
		for i := range entries {
			fmt.Fprintf(&b, ","+format, i)
		}
		return "[" + b.String()[1:] + "]"
	}
	var wide strings.Builder
	for i := range 2 {
		fmt.Fprintf(&wide, `,"x%d_signing_alg_values_supported":%s`, i, list(200, fmt.Sprintf(`"%d-%%d"`, i)))
	}
	for name, test := range map[string]struct{ body, text string }{
		"empty":                  {"", "document: empty"},
		"white space":            {" \n", "document: empty"},
		"an array":               {"[" + published + "]", "not a JSON object"},
		"a string":               {`"x"`, "not a JSON object"},
		"HTML":                   {"<html>", "invalid character"},
		"byte order mark":        {"\ufeff" + published, "invalid character"},
		"cut off":                {published[:len(published)-2], "ends too early"},
		"cut off in jwks_uri":    {`{"jwks_uri":"https`, "ends too early"},
		"a second object":        {published + published, "a second value"},
		"octets after it":        {published + "x", "invalid character"},
		"not UTF-8":              {document(`,"x":"` + "\xff" + `"`), "/x: invalid UTF-8"},
		"too large":              {document(`,"x":"` + strings.Repeat("x", maxMetadata) + `"`), "larger than 1048576 octets"},
		"too deep":               {document(`,"x":` + strings.Repeat("[", 100_000)), "depth"},
		"no jwks_uri":            {`{"issuer":"https://i.test"}`, "/jwks_uri: missing"},
		"jwks_uri null":          {`{"issuer":"https://i.test","jwks_uri":null}`, "/jwks_uri: missing"},
		"jwks_uri a number":      {`{"jwks_uri":1}`, "/jwks_uri: not a string"},
		"jwks_uri a list":        {`{"jwks_uri":["https://i.test/k"]}`, "/jwks_uri: not a string"},
		"jwks_uri in capitals":   {`{"issuer":"https://i.test","JWKS_URI":"https://i.test/k"}`, "/jwks_uri: missing"},
		"jwks_uri relative":      {`{"jwks_uri":"/k"}`, "/jwks_uri: the URL must begin"},
		"jwks_uri a file":        {`{"jwks_uri":"file:///etc/passwd"}`, "/jwks_uri: the URL must begin"},
		"jwks_uri with password": {`{"jwks_uri":"https://u:s3cret@i.test/"}`, "/jwks_uri: the URL must not hold credentials"},
		"jwks_uri of metadata":   {`{"jwks_uri":"https://169.254.169.254/"}`, "/jwks_uri: address 169.254.169.254 is refused"},
		"jwks_uri without TLS":   {`{"issuer":"https://i.test","jwks_uri":"http://i.test/k"}`, "/jwks_uri: must begin with https://"},
		"neither with TLS":       {`{"jwks_uri":"http://i.test/k"}`, "/jwks_uri: must begin with https://"},
		"jwks_uri too long":      {`{"jwks_uri":"https://i.test/` + strings.Repeat("x", maxMetadataURL) + `"}`, "/jwks_uri: longer than 2048"},
		"issuer too long":        {`{"issuer":"` + strings.Repeat("x", maxMetadataURL+1) + `"}`, "/issuer: longer than 2048"},
		"issuer an object":       {`{"issuer":{}}`, "/issuer: not a string"},
		"jwks_uri twice":         {document(`,"jwks_uri":"https://i.test/k"`), "/jwks_uri: stands more than once"},
		"and written otherwise":  {document(`,"jwks\u005Furi":"https://evil.test/k"`), "/jwks_uri: stands more than once"},
		"and in capitals":        {document(`,"JWKS_URI":"https://evil.test/k"`), "/jwks_uri: stands more than once"},
		"and with U+212A":        {document(`,"jw\u212as_uri":"https://evil.test/k"`), "/jwks_uri: stands more than once"},
		"issuer with U+017F":     {document(`,"i\u017fsuer":"https://evil.test"`), "/issuer: stands more than once"},
		"a list twice": {
			document(`,"id_token_signing_alg_values_supported":["RS256"],"id_token_signing_alg_values_supported":["none"]`),
			"/id_token_signing_alg_values_supported: stands more than once",
		},
		"a list that is none":   {document(`,"id_token_signing_alg_values_supported":"RS256"`), "/id_token_signing_alg_values_supported: not an array"},
		"a list of numbers":     {document(`,"code_challenge_methods_supported":["S256",256]`), "/code_challenge_methods_supported/1: not a string"},
		"a long entry":          {document(`,"id_token_signing_alg_values_supported":["` + strings.Repeat("x", 65) + `"]`), "supported/0: longer than 64"},
		"a long list":           {document(`,"x_signing_alg_values_supported":` + list(257, `"%d"`)), "more than 256 entries"},
		"many algorithms":       {document(wide.String()), "more than 256 signature algorithms"},
		"a hostile member name": {document(`,"\u001b[2m~/\u202e_signing_alg_values_supported":1`), "/\ufffd[2m~0~1\ufffd_signing_alg_values_supported: not an array"},
		"a long pointer":        {document(`,"` + strings.Repeat("x", 5000) + `":[00]`), "…: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := ParseMetadata([]byte(test.body))
			if !reflect.DeepEqual(m, Metadata{}) {
				t.Errorf("something is used: %+v", m)
			}
			if wantText(t, err, test.text); err == nil {
				return
			}
			checkMetadataError(t, err)
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("a password in %v", err)
			}
		})
	}
}

func checkMetadataError(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 2*maxMetadataQuoted+len("discovery document: : ") || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("%d octets: %q", len(text), text)
	}
}

func FuzzParseMetadata(f *testing.F) {
	for _, seed := range []string{
		published, "", "{", `{"issuer":1}`, `{"jwks_uri":"https://i.test/k"}`, `{"jwks_uri":"http://i.test/k","issuer":"http://i.test"}`,
		`{"x_signing_alg_values_supported":["a",null]}`, `{"Jwks_Uri":"x","jwks_uri":"y"}`, "\ufeff{}", `{"a":{"b":[[]]}}x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := slices.Clone(body)
		m, err := ParseMetadata(body)
		if !slices.Equal(before, body) {
			t.Error("the body was changed")
		}
		if err != nil {
			checkMetadataError(t, err)
			return
		}
		if err := CheckURL(m.JWKSURI); err != nil || !secure(m.JWKSURI) && secure(m.Issuer) || len(m.JWKSURI) > maxMetadataURL {
			t.Errorf("jwks_uri %q, issuer %q: %v", m.JWKSURI, m.Issuer, err)
		}
		if !slices.IsSorted(m.Algs) || len(slices.Compact(slices.Clone(m.Algs))) != len(m.Algs) || len(m.Algs) > maxMetadataList {
			t.Errorf("algs %q", m.Algs)
		}
		for _, alg := range m.Algs {
			if !utf8.ValidString(alg) || strings.ContainsFunc(alg, unicode.IsControl) {
				t.Errorf("alg %q", alg)
			}
		}
	})
}

func TestEndpointsOfMetadata(t *testing.T) {
	t.Parallel()
	const rest = `,"issuer":"https://i.test","jwks_uri":"https://i.test/k"}`
	long := strings.Repeat("x", maxMetadataURL)
	for body, want := range map[string][]MetadataEndpoint{
		`{"userinfo_endpoint":"https://I.test:8443/u","token_endpoint":"https://i.test/t"`: {
			{"token_endpoint", "https://i.test/t", "i.test"}, {"userinfo_endpoint", "https://I.test:8443/u", "i.test"},
		},
		`{"authorization_endpoint":" https://i.test./a","introspection_endpoint":"/x","revocation_endpoint":"https://[::1]/r","registration_endpoint":"%"`: {
			{"authorization_endpoint", "https://i.test./a", "i.test"},
			{"introspection_endpoint", "/x", ""},
			{"registration_endpoint", "%", ""},
			{"revocation_endpoint", "https://[::1]/r", "::1"},
		},
		// Any of two values may be the one that a client takes, and so may one in
		// other letters.
		`{"token_endpoint":"https://i.test/t","token_endpoint":"https://evil.test/t","To\u212aen_Endpoint":"https://other.test/t","token_endpoint":"https://i.test/t"`: {
			{"token_endpoint", "https://evil.test/t", "evil.test"}, {"token_endpoint", "https://i.test/t", "i.test"}, {"token_endpoint", "https://other.test/t", "other.test"},
		},
		`{"token_endpoint":null,"userinfo_endpoint":7,"revocation_endpoint":["https://i.test"],"registration_endpoint":""`: nil,
		`{"device_authorization_endpoint":"https://i.test"`:                                                                nil,
		`{"token_endpoint":"https://evil.test/` + long + `"`:                                                               {{"token_endpoint", ("https://evil.test/" + long)[:maxMetadataURL], "evil.test"}},
	} {
		m, err := ParseMetadata([]byte(body + rest))
		if err != nil || !slices.Equal(m.Endpoints, want) {
			t.Errorf("%.200s:\n%+v, %v; want\n%+v", body, m.Endpoints, err, want)
		}
	}
	// However many there are, the last one is seen.
	var many strings.Builder
	for i := range 3 * maxMetadataPlaces {
		fmt.Fprintf(&many, `"token_endpoint":"https://i.test/%d",`, i)
	}
	m, err := ParseMetadata([]byte(`{` + many.String() + `"token_endpoint":"https://evil.test"` + rest))
	if err != nil || len(m.Endpoints) != maxMetadataPlaces || !slices.ContainsFunc(m.Endpoints, func(e MetadataEndpoint) bool { return e.Host == "evil.test" }) {
		t.Errorf("%d endpoints, %v", len(m.Endpoints), err)
	}
}
