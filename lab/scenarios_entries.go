package lab

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"time"
)

func kidScenarios() []Scenario {
	kid := func(name, title, does, text string) Scenario {
		return Scenario{"kid-" + name, title, does, Whole, func() Answer { return Kid(text) }}
	}
	return []Scenario{
		kid("control", "Control characters", "Escape sequences that clear a terminal.", `"\u0001\u001b[2J\u001b]0;owned\u0007\u009b31m"`),
		kid("newline", "A second log line", "A line break and a forged line of a log.", `"a\r\n{\"level\":\"info\",\"message\":\"all is well\"}"`),
		kid("nul", "NUL", "A zero octet in the midst.", `"a\u0000b"`),
		kid("bidi", "Bidirectional text", "Marks that show the kid backwards.", `"\u202egpj.a\u2066\u2069\u200f"`),
		kid("invisible", "Invisible characters", "Zero-width characters, a byte order mark and a tag character.", `"a\u200b\u200d\u2060\ufeff\udb40\udc41b"`),
		kid("nats", "NATS wildcards", "The tokens of a subject: separators and wildcards.", `"a.*.> b"`),
		kid("cef", "CEF metacharacters", "Bars, equals signs and backslashes.", `"a|b=c\\|d\\=e\n"`),
		kid("html", "Markup", "A script element, for whoever shows it in a page.", `"</script><script>alert(1)</script>"`),
		kid("formula", "Formula", "What a spreadsheet would run.", `"=HYPERLINK(\"http://keys.invalid\",\"a\")"`),
		kid("template", "Templates", "What format strings, shells and configurations would expand.", `"%s%n ${env:HOME} $(id) {{.}}"`),
		kid("path", "Path traversal", "A path out of the folder of snapshots.", `"../../../../etc/passwd"`),
		{"kid-huge", "A megabyte", "One kid of 1 MiB.", Whole, func() Answer { return Kid(`"` + strings.Repeat("A", 1<<20) + `"`) }},
		kid("surrogate", "Lone surrogate", "Half of a pair, which is no character.", `"a\ud800b"`),
		kid("octets", "Ill-formed UTF-8", "Raw octets that are no UTF-8.", "\"a\xff\xfe\xc0\xafb\""),
		kid("number", "A number", "A kid that is no string.", `20261122`),
		kid("object", "An object", "A kid that is no string.", `{"kid":"a"}`),
		kid("null", "null", "A kid that is no string.", `null`),
		kid("empty", "Nothing", "A kid without a character.", `""`),
		kid("redacted", "The mark of redaction", "A kid that looks like the place of a secret.", `"[redacted]"`),
		{
			"kid-repeated", "One kid, eighty keys", "80 different keys under one kid, as seen in the wild.", Whole,
			func() Answer { return RepeatedKid("same", 80) },
		},
	}
}

func entryScenarios() []Scenario {
	entry := func(e map[string]any) Answer { return Beside(string(encodeEntry(e))) }
	return []Scenario{
		{"bad-neighbours", "Bad entries", "Entries that no library reads beside those that all do.", Whole, badNeighbours},
		{"odd-labels", "Odd labels", "Sound keys with alg none, an address as alg, unknown uses and contradictory key_ops.", Whole, oddLabels},
		{"odd-encodings", "One key, four spellings", "Padded, standard base64, with line breaks and with a leading zero octet.", Whole, oddEncodings},
		{
			"private-ec", "A private EC key", "An entry with d.", Whole,
			func() Answer { return entry(NewEC("private-ec", "P-256").Private()) },
		},
		{
			"private-oct", "A symmetric key", "An entry of type oct with k: whoever reads the set can sign.", Whole,
			func() Answer { return entry(NewOct("private-oct").Private()) },
		},
		{"private-pem", "A private key as text", "A PEM private key inside an extension member.", Whole, privatePEM},
		{"private-stray", "A private key outside keys", "d beside the keys member, where no library looks.", Whole, privateStray},
		{
			"weak-rsa", "A short RSA key", "A modulus of 512 bits.", Whole,
			func() Answer { return entry(NewRSA("weak-rsa", 512).Public()) },
		},
		{"expired-certificate", "An expired certificate", "x5c of a certificate that ended in 2001.", Whole, func() Answer {
			begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			return entry(NewEC("expired-certificate", "P-256").WithCertificate(begin, begin.AddDate(1, 0, 0)).Public())
		}},
	}
}

func badNeighbours() Answer {
	return Beside(
		`null`, `17`, `"key"`, `[]`, `{}`,
		`{"kid":"no-kty"}`,
		`{"kty":"rsa","kid":"lower-case","n":"AQAB","e":"AQAB"}`,
		`{"kty":"RSA","kid":"no-e","n":"AQAB"}`,
		`{"kty":"RSA","kid":"no-base64","n":"***","e":"AQAB"}`,
		`{"kty":"RSA","kid":"zero","n":"","e":""}`,
		`{"kty":"RSA","kid":"e-is-one","n":"`+b64([]byte(strings.Repeat("\xc5", 256)))+`","e":"AQ"}`,
		`{"kty":"EC","kid":"short","crv":"P-256","x":"AQ","y":"Ag"}`,
		`{"kty":"EC","kid":"off-curve","crv":"P-256","x":"`+strings.Repeat("A", 42)+`E","y":"`+strings.Repeat("A", 42)+`E"}`,
		`{"kty":"EC","kid":"koblitz","crv":"secp256k1","x":"`+strings.Repeat("B", 42)+`A","y":"`+strings.Repeat("C", 42)+`A"}`,
		`{"kty":"OKP","kid":"unknown-curve","crv":"Ed999","x":"AQ"}`,
		`{"kty":"FUTURE","kid":"unknown-type","alg":"NEW1"}`,
		`{"kty":"EC","kid":"twice","kid":"thrice","crv":"P-256"}`,
		`{"kty":"RSA","kid":"types","n":1,"e":true,"alg":[],"use":{},"key_ops":"verify","x5c":"MAA="}`,
	)
}

func oddLabels() Answer {
	entry := func(kid, member string, value any) string {
		return string(encodeEntry(NewEd25519(kid).With(member, value).Public()))
	}
	return Beside(
		entry("alg-none", "alg", "none"),
		entry("alg-address", "alg", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"),
		entry("alg-symmetric", "alg", "HS256"),
		entry("use-tls", "use", "tls"),
		entry("use-case", "use", "SIG"),
		entry("ops-encrypt", "key_ops", []string{"encrypt", "verify", "verify"}),
		entry("ops-none", "key_ops", []string{}),
	)
}

func oddEncodings() Answer {
	key := NewRSA("", 2048)
	n := key.material.public["n"]
	standard := strings.NewReplacer("-", "+", "_", "/").Replace(n)
	entry := func(kid, n string) string {
		k := key.With("n", n)
		k.Kid = kid
		return string(encodeEntry(k.Public()))
	}
	// 256 octets are 342 characters; the leading zero octet is spelt through
	// decoding, for it shifts every character.
	return Beside(
		entry("padded", n+"=="),
		entry("standard", standard),
		entry("line-breaks", n[:76]+"\r\n"+n[76:]),
		entry("leading-zero", b64(append([]byte{0}, unb64(n)...))),
	)
}

func privatePEM() Answer {
	key := NewEC("private-pem", "P-256")
	der, err := x509.MarshalPKCS8PrivateKey(key.Signer())
	if err != nil {
		panic("lab: encoding a private key: " + err.Error()) // it is one we made
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return Beside(string(encodeEntry(key.With("note", string(text)).Public())))
}

func privateStray() Answer {
	d, err := json.Marshal(NewEC("", "P-256").material.private["d"])
	if err != nil {
		panic("lab: encoding a string: " + err.Error())
	}
	return Edited(func(current []byte, _ uint64) []byte {
		return append([]byte(`{"d":`+string(d)+`,`), current[1:]...)
	})
}
