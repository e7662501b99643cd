package rules_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

func b64(octets []byte) string { return base64.RawURLEncoding.EncodeToString(octets) }

// examined is a poll of the document, its checks, and a poll after them, as the
// watcher makes them.
func examined(body []byte) play {
	return func(s *sim) {
		s.poll(body)
		s.examine(body)
		s.poll(body)
	}
}

// examine makes the checks of all keys of the document, to come with the next answer.
func (s *sim) examine(body []byte) {
	s.t.Helper()
	set := jwks.Parse(body)
	m, err := history.Decode(s.stored)
	if err != nil {
		s.t.Fatal(err)
	}
	s.health = &rules.Health{Keys: map[jwks.Identity]*history.Health{}, Sets: map[[32]byte]history.Verdict{set.Digest: rules.ReadBy(set)}}
	for _, i := range m.Unchecked(set.Keys, rules.Checks(nil)) {
		p, ok := set.Public(i)
		if !ok {
			s.t.Fatalf("no public material of key %d", i)
		}
		s.health.Keys[set.Keys[i].ID] = rules.CheckUp(set, i, &p, nil)
	}
}

// broken are RSA keys, made for real: of two good primes, and of two that are next
// to each other.
var broken = sync.OnceValues(func() (good, close string) {
	p, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	q, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	n := new(big.Int).Mul(p, q)
	r := new(big.Int).Add(p, big.NewInt(2))
	for !r.ProbablyPrime(10) {
		r.Add(r, big.NewInt(2))
	}
	return b64(n.Bytes()), b64(p.Mul(p, r).Bytes())
})

func rsaDoc(n string, more ...string) []byte {
	return []byte(`{"keys":[{"kty":"RSA","kid":"a","n":"` + n + `","e":"AQAB"` + strings.Join(more, "") + `}]}`)
}

// certifiedDoc is a set of one EC key with a certificate of it, or of another key,
// that is valid from begin to end.
func certifiedDoc(same bool, begin, end time.Time) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	if !same {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			panic(err)
		}
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: begin, NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"%s","y":"%s","x5c":["%s"]}]}`,
		b64(point[1:33]), b64(point[33:]), base64.StdEncoding.EncodeToString(der))
}

// sampleKey is the key of RFC 8037, appendix A.
const sampleKey = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`

func healthScenes() map[string]struct{ fires, quiet play } {
	good, close := broken()
	long := make([]string, rules.ManyKeys+1)
	for i := range long {
		long[i] = fmt.Sprintf("L%d:l%d", i, i)
	}
	return map[string]struct{ fires, quiet play }{
		"key-compromised": {polls([]byte(sampleKey)), polls([]byte(strings.Replace(sampleKey, "11qY", "22qY", 1)))},
		"key-weak":        {polls(rsaDoc(b64(bits(2047)))), polls(rsaDoc(b64(bits(2048))))},
		"key-weak-material": {
			examined(rsaDoc(close)),
			examined(rsaDoc(good)),
		},
		"key-certificate-invalid": {
			examined(certifiedDoc(false, start, start.Add(year))),
			examined(certifiedDoc(true, start, start.Add(year))),
		},
		"set-ambiguous-lookalike-kid": {polls(doc("A:admin", "B:аdmin")), polls(doc("A:admin", "A:аdmin"))}, // Cyrillic а
		"set-ambiguous-kid-unsafe":    {polls(doc("A:../../dev/null")), polls(doc("A:ab/+=:.. cd_"))},
		"set-no-signing-keys":         {polls(doc("A:a:use=enc")), polls(doc("A:a:use=enc", "B:b"))},
		"set-breaks-verifiers":        {examined(doc("A:a:x5t=AA==")), examined(doc("A:a:x5u=https://idp.example/c"))},
		"set-oversized":               {polls(doc(long...)), polls(doc(long[1:]...))},
	}
}

// start is when sims begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bits is an odd number of so many bits.
func bits(n uint) []byte {
	v := new(big.Int).Lsh(big.NewInt(1), n-1)
	return v.SetBit(v, 0, 1).Bytes()
}
