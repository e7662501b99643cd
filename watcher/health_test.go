package watcher_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/watcher"
)

func primes(t *testing.T, n, bits int) []*big.Int {
	t.Helper()
	var out []*big.Int
	for range n {
		p, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// modulus is an RSA key with the product of two numbers.
func modulus(kid string, p, q *big.Int) lab.Key {
	n := new(big.Int).Mul(p, q)
	return lab.Key{Kid: kid, Use: "sig"}.With("kty", "RSA").With("e", "AQAB").With("n", base64.RawURLEncoding.EncodeToString(n.Bytes()))
}

// TestKeysAreCheckedOnce publishes a key whose modulus is a square: told within
// two intervals, over when the key is gone, and neither checked nor told again
// after a restart.
func TestKeysAreCheckedOnce(t *testing.T) {
	t.Parallel()
	p := primes(t, 1, 1024)[0]
	bubble(t, time.Minute, func(h *watched, issuer *lab.Issuer) {
		time.Sleep(5 * time.Minute)
		issuer.Add(modulus("weak", p, p))
		time.Sleep(3 * time.Minute)
		want := []string{"informational baseline.established", "low key.added weak", "critical key.weak weak"}
		h.expect(want...)
		if d := h.events()[2]; d.Data.Event.Condition == nil || !d.Data.Event.Confirmed {
			t.Errorf("%+v", d.Data.Event)
		}
		time.Sleep(time.Hour)
		was := h.w.Stats().Commits
		h.stop()
		h.start(endpoint("idp", "http://idp.example/jwks", time.Minute))
		time.Sleep(10 * time.Minute)
		if n := h.w.Stats().Commits; n != 0 {
			t.Errorf("%d commits after a restart without a change, %d before it", n, was)
		}
		issuer.Remove("weak")
		time.Sleep(5 * time.Minute)
		h.expect(append(want, "informational key.removed weak", "informational key.weak weak closed")...)
	})
}

// TestSharedFactor publishes two moduli with a common prime at two endpoints, the
// second after a restart. Both keys are lost, and both endpoints tell it.
func TestSharedFactor(t *testing.T) {
	t.Parallel()
	pqr := primes(t, 3, 1024)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		net := newTown("one.example", "two.example")
		one, two := net.issuers["one.example"], net.issuers["two.example"]
		one.Publish(modulus("a", pqr[0], pqr[1]), lab.ECFromSeed("x", "P-256", "x"))
		two.Publish(lab.ECFromSeed("y", "P-256", "y"))
		h := &watched{t: t, db: open(t, dir), dial: net.pipe}
		first, second := endpoint("one", "http://one.example/jwks", time.Minute), endpoint("two", "http://two.example/jwks", time.Minute)
		h.start(first)
		time.Sleep(5 * time.Minute)
		h.stop()
		h.start(first, second)
		time.Sleep(5 * time.Minute)
		two.Add(modulus("b", pqr[0], pqr[2]))
		time.Sleep(5 * time.Minute)
		peers := map[string]string{}
		for _, e := range h.events() {
			if d, ok := e.Data.Details.(*event.KeyWeakDetails); ok && e.Data.Event.Severity == event.SeverityCritical && d.Peer != nil {
				peers[e.Data.Endpoint.Name+" "+*e.Data.Key.Kid] = *d.Peer
			}
		}
		if want := map[string]string{"one a": "two", "two b": "one"}; !maps.Equal(peers, want) {
			t.Errorf("told %v, want %v: %q", peers, want, tell(h.events()))
		}
		h.stop()
		_ = net.server.Close()
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestCompromisedKeys knows a key from each of the operator's two sources.
func TestCompromisedKeys(t *testing.T) {
	t.Parallel()
	pq := primes(t, 2, 1024)
	sum := sha256.Sum256(new(big.Int).Mul(pq[0], pq[1]).Bytes())
	list, err := keyhealth.ParseBlocklist("blocklist.dat", append(sum[:15:15], 3))
	if err != nil {
		t.Fatal(err)
	}
	list.Lists = map[byte]string{3: "debianssl"}
	stolen := lab.ECFromSeed("stolen", "P-256", "stolen")
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		issuer := &lab.Issuer{}
		pipe := lab.NewPipe()
		stop := issuer.Serve(pipe)
		issuer.Publish(modulus("blocked", pq[0], pq[1]), stolen)
		h := &watched{t: t, db: open(t, dir), dial: pipe}
		e := endpoint("idp", "http://idp.example/jwks", time.Minute)
		h.make(e)
		h.w.Blocklists = []*keyhealth.Blocklist{list}
		h.run()
		time.Sleep(5 * time.Minute)
		h.expect("informational baseline.established", "critical key.compromised blocked")
		e.Compromised = map[string]string{thumbprintOf(t, issuer, "stolen"): "incident 7"}
		if err := h.w.Update([]watcher.Endpoint{e}, observer(0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		h.expect("informational baseline.established", "critical key.compromised blocked", "critical key.compromised stolen")
		for i, want := range []event.KeyCompromisedDetails{{List: "blocklist.dat", Source: "debianssl"}, {List: "operator", Source: "incident 7"}} {
			d := h.events()[1+i].Data.Details.(*event.KeyCompromisedDetails)
			if d.List != want.List || d.Source != want.Source {
				t.Errorf("%+v, want %+v", d, want)
			}
		}
		h.stop()
		stop()
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestCertificateOfAKeyExpires serves one set for weeks: what only time changes is told
// too, at its time.
func TestCertificateOfAKeyExpires(t *testing.T) {
	t.Parallel()
	bubble(t, time.Hour, func(h *watched, issuer *lab.Issuer) {
		end := time.Now().Add(10*24*time.Hour + 90*time.Minute)
		key := lab.ECFromSeed("certified", "P-256", "certified").WithCertificate(time.Now().Add(-time.Hour), end)
		issuer.Publish(key)
		time.Sleep(10 * 24 * time.Hour)
		before := len(h.events())
		time.Sleep(24 * time.Hour)
		list := h.events()
		if len(list) != before+1 {
			t.Fatalf("told %q", tell(list))
		}
		e := list[before]
		d, ok := e.Data.Details.(*event.KeyCertificateInvalidDetails)
		if !ok || len(d.Codes) != 1 || d.Codes[0] != "expired" || e.Data.Event.Severity != event.SeverityLow {
			t.Fatalf("told %q: %+v", tell(list), e.Data.Details)
		}
		if at := e.Time.Time; at.Before(end) || at.After(end.Add(70*time.Minute)) {
			t.Errorf("told at %v, it ended at %v", at, end)
		}
	})
}

func thumbprintOf(t *testing.T, issuer *lab.Issuer, kid string) string {
	t.Helper()
	for _, k := range jwks.Parse(issuer.Current()).Keys {
		if k.Kid == kid {
			return k.ID.String()
		}
	}
	t.Fatal("no key " + kid)
	return ""
}
