package rules_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// TestCertificateOfAnotherCA holds that a renewal with the same names is no news,
// and another issuer or subject is; where the one before was not checked, nobody
// knows.
func TestCertificateOfAnotherCA(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	serial := int64(0)
	certified := func(issuer, subject string) []byte {
		serial++
		c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: subject}, NotBefore: start, NotAfter: start.Add(year)}
		der, err := x509.CreateCertificate(rand.Reader, c, &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Appendf(nil, `{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"%s","y":"%s","x5c":["%s"]}]}`,
			b64(point[1:33]), b64(point[33:]), base64.StdEncoding.EncodeToString(der))
	}
	plain := fmt.Appendf(nil, `{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"%s","y":"%s"}]}`, b64(point[1:33]), b64(point[33:]))
	before := certified("CA one", "idp")
	// two is the key in two entries, each with its certificate.
	two := func(a, b []byte) []byte {
		return slices.Concat(a[:len(a)-2], []byte(","), bytes.Replace(b[len(`{"keys":[`):], []byte(`"kid":"a"`), []byte(`"kid":"b"`), 1))
	}
	for name, c := range map[string]struct {
		first, then []byte
		unchecked   bool
		want        event.Severity
		reasons     []string
	}{
		"a renewal":           {before, certified("CA one", "idp"), false, event.SeverityInformational, nil},
		"another CA":          {before, certified("CA two", "idp"), false, event.SeverityMedium, []string{"issuer_changed"}},
		"another subject":     {before, certified("CA one", "idp2"), false, event.SeverityMedium, []string{"subject_changed"}},
		"both":                {before, certified("CA two", "idp2"), false, event.SeverityMedium, []string{"issuer_changed", "subject_changed"}},
		"one came":            {plain, before, false, event.SeverityInformational, nil},
		"it went":             {before, plain, false, event.SeverityInformational, nil},
		"nobody looked yet":   {before, certified("CA two", "idp"), true, event.SeverityInformational, nil},
		"another beside it":   {before, two(before, certified("CA two", "idp")), false, event.SeverityMedium, []string{"issuer_changed"}},
		"the same beside it":  {before, two(before, certified("CA one", "idp")), false, event.SeverityInformational, nil},
		"one of two":          {two(before, certified("CA two", "idp")), two(before, certified("CA three", "idp")), false, event.SeverityInformational, nil},
		"no certificate came": {before, fmt.Appendf(nil, `%s,"x5c":["AAAA"]}]}`, plain[:len(plain)-3]), false, event.SeverityInformational, nil},
	} {
		s := newSim(t)
		if c.unchecked {
			s.poll(c.first)
		} else {
			examined(c.first)(s)
		}
		s.poll(c.then)
		f := s.only(event.KeyCertificateChanged)
		if f.Severity != c.want || !slices.Equal(f.Reasons, c.reasons) {
			t.Errorf("%s: %s %q: %s", name, f.Severity, f.Reasons, f.Message)
		}
	}
}

// TestGoodCertificateBesideABadOne holds that a key which stands twice, first with
// its own certificate or none, hides no certificate of another key behind it.
func TestGoodCertificateBesideABadOne(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(k *ecdsa.PrivateKey) string {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: start, NotAfter: start.Add(year)}
		der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`,"x5c":[%q]`, base64.StdEncoding.EncodeToString(der))
	}
	entry := func(more string) string {
		return fmt.Sprintf(`{"kty":"EC","kid":"a","crv":"P-256","x":"%s","y":"%s"%s}`, b64(point[1:33]), b64(point[33:]), more)
	}
	set := func(entries ...string) []byte { return []byte(`{"keys":[` + strings.Join(entries, ",") + `]}`) }
	good, bad := certificate(key), certificate(other)
	for name, c := range map[string]struct {
		then []byte
		want int
	}{
		"alone":                {set(entry(bad)), 1},
		"behind one without":   {set(entry(""), entry(bad)), 1},
		"behind a good one":    {set(entry(good), entry(bad)), 1},
		"behind the good ones": {set(entry(good), entry(good), entry(bad)), 1},
		"two that are good":    {set(entry(good), entry(certificate(key))), 0},
		"a good one and none":  {set(entry(""), entry(good)), 0},
	} {
		s := newSim(t)
		s.now = start.Add(time.Hour)
		s.poll(set(entry(good)))
		scene(examined(c.then), polls(c.then, c.then))(s)
		list := s.openings(event.KeyCertificateInvalid)
		if len(list) != c.want || c.want > 0 && list[0].Severity != event.SeverityHigh {
			t.Errorf("%s: %v", name, tell(s.all))
		}
		set := jwks.Parse(c.then)
		if due := s.memory().Unchecked(set.Keys, rules.Checks(nil)); len(due) > 0 {
			t.Errorf("%s: still to be checked: %v", name, due)
		}
	}
}
