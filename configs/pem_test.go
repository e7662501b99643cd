package configs

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"
)

// pair509 is a certificate and its key, in PEM.
type pair509 struct{ cert, key string }

// issued makes a certificate that is the same in every run: Ed25519 signatures
// are deterministic, so digests can stand in golden files.
func issued(name string) pair509 {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(len(name))}, ed25519.SeedSize))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pair509{block("CERTIFICATE", der), block("PRIVATE KEY", secret)}
}

func block(typ string, content []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: content}))
}

// pems are the files with PEM, or with something else, of the tests.
var pems = sync.OnceValue(func() map[string]string {
	ca, client, other := issued("ca"), issued("client"), issued("another")
	encrypted := strings.ReplaceAll(client.key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
	return map[string]string{
		"ca.pem": "the authority of the tests\n" + ca.cert, "ca.key": ca.key, "client.pem": client.cert + ca.cert, "client.key": client.key,
		"other.key": other.key, "encrypted.key": encrypted, "request.pem": block("CERTIFICATE REQUEST", []byte(canary)),
		"garbage.pem": block("CERTIFICATE", []byte(canary)), "cut.pem": ca.cert[:len(ca.cert)/2], "huge.pem": strings.Repeat("x", MaxPEM+1),
	}
})

func TestKeyIsNeverPrinted(t *testing.T) {
	t.Parallel()
	key := KeyPEM(canary)
	holder := struct {
		Key  KeyPEM
		TLS  EndpointTLS
		Web  *Web
		List []KeyPEM
	}{key, EndpointTLS{Key: key}, &Web{Key: key, Token: NewSecret(canary)}, []KeyPEM{key}}
	for _, v := range []any{key, &key, holder, &holder, holder.TLS, holder.Web} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			check(t, verb, fmt.Sprintf(verb, v))
			if octets := strings.Trim(fmt.Sprint([]byte(canary)), "[]"); strings.Contains(fmt.Sprintf(verb, v), octets) {
				t.Errorf("%s shows the octets of the key: %s", verb, fmt.Sprintf(verb, v))
			}
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		check(t, "json", string(encoded))
		if !strings.Contains(string(encoded), "[redacted]") {
			t.Errorf("json: %s", encoded)
		}
	}
}

// What was read is what the file held, so that nobody needs to read it again.
func TestFilesLandInTheConfig(t *testing.T) {
	t.Parallel()
	c := good(t, corpus(t, "testdata/good/access.yaml")["main.yaml"])
	e := c.Endpoints[0]
	if string(e.TLS.CA) != pems()["ca.pem"] || string(e.TLS.Cert) != pems()["client.pem"] || string(e.TLS.Key) != pems()["client.key"] {
		t.Errorf("files of the endpoint: %+v", e.TLS)
	}
	if len(e.TLS.Pins) != 2 || e.Proxy != "" || e.Redirects != "same-host" || e.Issuer != "https://login.corp.example/tenant" || e.JWKSURI != "" {
		t.Errorf("%+v", e)
	}
	if got := c.Endpoints[1].Proxy; got != "http://proxy.corp.example:3128" {
		t.Errorf("the default proxy is %q", got)
	}
	w := c.Web
	if string(w.Cert) != pems()["client.pem"] || string(w.Key) != pems()["client.key"] || w.Token.Reveal() != webToken || w.Listen != "[2001:db8::7]:0" {
		t.Errorf("web: %+v", w)
	}
	if c.Observer.Heartbeat != 0 {
		t.Errorf("heartbeat: off is %v", c.Observer.Heartbeat)
	}
}

func sha(text string) [32]byte { return sha256.Sum256([]byte(text)) }
