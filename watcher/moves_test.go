package watcher_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestAnotherIssuerIsNotBelieved lets the document name another issuer, and
// with it another key set: told, and not followed.
func TestAnotherIssuerIsNotBelieved(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, n *town, idp *lab.Issuer) {
		e := discovered("idp", "http://idp.example", time.Minute)
		h.start(e)
		time.Sleep(5 * time.Minute)
		idp.Answer(lab.Discovery("http://evil.test", "http://evil.test/jwks", nil))
		time.Sleep(5 * time.Minute)
		h.restart(e)
		time.Sleep(5 * time.Minute)
		if st := h.w.Status()[0]; st.URL != "http://idp.example/jwks" || st.Failures != 0 || st.Keys != 2 {
			t.Errorf("%+v", st)
		}
		idp.Answer(lab.Discovery("", "", nil))
		time.Sleep(5 * time.Minute)
		h.stop()
		if got := n.issuers["evil.test"].Count(); got != 0 {
			t.Errorf("%d requests where a document led that must not be believed", got)
		}
		h.expect("informational baseline.established", "high discovery.issuer_mismatch", "informational discovery.issuer_mismatch closed")
	})
}

// TestAnotherIssuerAtFirstSight holds that there is no baseline then.
func TestAnotherIssuerAtFirstSight(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, n *town, idp *lab.Issuer) {
		idp.Answer(lab.Discovery("http://evil.test", "http://evil.test/jwks", nil))
		h.start(discovered("idp", "http://idp.example", time.Minute))
		time.Sleep(10 * time.Minute)
		h.stop()
		if got := n.issuers["evil.test"].Count(); got != 0 {
			t.Errorf("%d requests where a document led that must not be believed", got)
		}
		got := tell(h.events())
		slices.Sort(got)
		if !slices.Equal(got, []string{"high discovery.issuer_mismatch", "medium endpoint.unreachable"}) {
			t.Errorf("told %q", got)
		}
	})
}

// TestSecondLookTakesBothDocuments holds that a confirming look goes over fresh
// connections all the way.
func TestSecondLookTakesBothDocuments(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		h.start(discovered("idp", "http://idp.example", time.Minute))
		time.Sleep(3 * time.Minute)
		idp.Remove("k0")
		time.Sleep(90 * time.Second)
		h.stop()
		requests := map[string]int{}
		for _, s := range idp.Served() {
			requests[s.Remote]++
		}
		fresh := 0
		for _, n := range requests {
			if n == 1 {
				fresh++
			}
		}
		if len(requests) != 3 || fresh != 2 {
			t.Errorf("connections and their requests: %v", requests)
		}
		h.expect("informational baseline.established", "informational key.removed k0")
	})
}

// TestDiscoveryMoves moves the key set, and the keys with it: one change set,
// and the move leads. A place that is known is no news.
func TestDiscoveryMoves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		uri, want string
		restart   bool
	}{
		"path":      {"http://idp.example/other", "high discovery.moved", false},
		"host":      {"http://keys.idp.example/jwks", "high discovery.moved", false},
		"domain":    {"http://evil.test/jwks", "critical discovery.moved", false},
		"restarted": {"http://evil.test/jwks", "critical discovery.moved", true},
	} {
		t.Run(name, func(t *testing.T) {
			discovery(t, func(h *watched, n *town, idp *lab.Issuer) {
				e := discovered("idp", "http://idp.example", time.Minute)
				h.start(e)
				time.Sleep(5 * time.Minute)
				for _, i := range n.issuers {
					i.Add(lab.ECFromSeed("rogue", "P-256", "rogue"))
				}
				idp.Answer(lab.Discovery("", c.uri, nil))
				if c.restart { // between the looks
					for polls := h.w.Stats().Polls; h.w.Stats().Polls == polls; {
						time.Sleep(50 * time.Millisecond)
					}
					h.restart(e)
				}
				time.Sleep(5 * time.Minute)
				idp.Answer(lab.Discovery("", "", nil)) // back
				time.Sleep(5 * time.Minute)
				h.stop()
				list := h.events()
				told := tell(list)
				if len(list) != 3 || told[1] != c.want || !strings.HasSuffix(told[2], "key.added rogue") {
					t.Errorf("told %q", told)
					return
				}
				a, b := list[1].Data.Event.ChangeSet, list[2].Data.Event.ChangeSet
				if a.ID != b.ID || a.Index != 0 || b.Index != 1 || a.Total != 2 {
					t.Errorf("change sets %+v and %+v", a, b)
				}
				if u := list[1].Data.Endpoint.JWKSURI; u == nil || *u != c.uri {
					t.Errorf("jwks_uri %v", u)
				}
			})
		})
	}
}

// TestLastKeySetIsTheLast moves the key set away and back, and takes discovery
// away over a restart: what goes on is what was used last, not what was new last.
func TestLastKeySetIsTheLast(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, n *town, idp *lab.Issuer) {
		e := discovered("idp", "http://idp.example", time.Minute)
		h.start(e)
		time.Sleep(5 * time.Minute)
		idp.Answer(lab.Discovery("", "http://evil.test/jwks", nil))
		time.Sleep(5 * time.Minute)
		idp.Answer(lab.Discovery("", "", nil))
		time.Sleep(5 * time.Minute)
		idp.Answer(lab.When(func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/.well-known/") }, lab.Status(503, nil, "sorry"), nil))
		before := n.issuers["evil.test"].Count()
		h.restart(e)
		time.Sleep(5 * time.Minute)
		if st := h.w.Status()[0]; st.URL != "http://idp.example/jwks" || n.issuers["evil.test"].Count() != before {
			t.Errorf("%+v", st)
		}
		h.stop()
		h.expect("informational baseline.established", "critical discovery.moved", "medium endpoint.unreachable")
	})
}

// TestAmbiguousDocumentIsNoMissingOne repeats jwks_uri in the document of an
// endpoint that is watched: whoever is called must not look for an outage.
func TestAmbiguousDocumentIsNoMissingOne(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		h.start(discovered("idp", "http://idp.example", time.Minute))
		time.Sleep(5 * time.Minute)
		twice := `{"issuer":"http://idp.example","jwks_uri":"http://idp.example/jwks","jwks_uri":"http://evil.example/jwks"}`
		idp.Answer(lab.When(func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/.well-known/") }, lab.Status(200, nil, twice), nil))
		time.Sleep(10 * time.Minute)
		h.stop()
		h.expect("informational baseline.established", "medium endpoint.unreachable")
		d := h.events()[1].Data
		if !strings.Contains(d.Event.Message, "idp: a discovery document that must not be used since") || !strings.Contains(d.Failure.Error, "/jwks_uri: stands more than once") {
			t.Errorf("%s; %s", d.Event.Message, d.Failure.Error)
		}
	})
}
