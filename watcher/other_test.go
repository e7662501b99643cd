package watcher_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// forms answers the two forms of the discovery document with these key sets.
func forms(openIDKeys, oauthKeys string) lab.Answer {
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		uri := openIDKeys
		if r.URL.Path == oauth {
			uri = oauthKeys
		}
		lab.Discovery("", uri, nil)(w, r, current)
	}
}

// TestDocumentsAreCompared lets the two forms of the discovery document part, and
// counts what the look at the second one costs.
func TestDocumentsAreCompared(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		h.flush = time.Hour
		h.start(discovered("idp", "http://idp.example", time.Minute))
		time.Sleep(30 * time.Minute)
		if n, writes := asked(idp, oauth), h.w.Stats().Commits; n != 1 || writes > 2 {
			t.Errorf("%d looks at the second document, %d commits", n, writes)
		}
		idp.Answer(forms("http://idp.example/jwks", "http://evil.test/jwks?code=s3cret"))
		time.Sleep(24 * time.Hour)
		h.stop()
		h.expect("informational baseline.established", "high discovery.moved")
		if n := asked(idp, oauth); n > 2 {
			t.Errorf("%d looks at the second document in a day", n)
		}
		e := h.events()[1]
		d := e.Data.Details.(*event.DiscoveryMovedDetails)
		if d.Code != "documents_disagree" || d.Document != "http://idp.example"+oauth || *d.After != "http://evil.test/jwks?code=***" || *d.Before != "http://idp.example/jwks" {
			t.Errorf("%+v", d)
		}
	})
}

// TestSecondDocumentThatHangs holds that it delays no poll.
func TestSecondDocumentThatHangs(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		honest := lab.Discovery("", "", nil)
		idp.Answer(func(w http.ResponseWriter, r *http.Request, current []byte) {
			if r.URL.Path == oauth {
				<-r.Context().Done()
				return
			}
			honest(w, r, current)
		})
		h.start(discovered("idp", "http://idp.example", 10*time.Second))
		time.Sleep(time.Hour)
		h.stop()
		if s := h.w.Stats(); s.Polls < 360 || s.Failed != 0 || asked(idp, oauth) != 1 {
			t.Errorf("%+v, %d looks", s, asked(idp, oauth))
		}
		h.expect("informational baseline.established")
	})
}

// TestTokenEndpointMoves lets the document send secrets elsewhere.
func TestTokenEndpointMoves(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		token := "http://login.idp.example/token"
		says := func() lab.Answer {
			body := `{"issuer":"http://idp.example","jwks_uri":"http://idp.example/jwks","token_endpoint":"` + token + `"}`
			return func(w http.ResponseWriter, r *http.Request, current []byte) {
				if strings.HasPrefix(r.URL.Path, "/.well-known/") {
					current = []byte(body)
				}
				lab.Honest(nil)(w, r, current)
			}
		}
		idp.Answer(says())
		h.start(discovered("idp", "http://idp.example", time.Minute))
		time.Sleep(5 * time.Minute)
		token = "http://user:pw@evil.test/token?key=s3cret#x"
		idp.Answer(says())
		time.Sleep(5 * time.Minute)
		h.stop()
		h.expect("informational baseline.established", "critical discovery.endpoint_moved")
		d := h.events()[1].Data.Details.(*event.DiscoveryEndpointMovedDetails)
		if len(d.Members) != 1 || *d.Members[0].Before != "login.idp.example" || strings.Contains(*d.Members[0].After, "s3cret") || strings.Contains(*d.Members[0].After, "pw") ||
			!strings.HasPrefix(*d.Members[0].After, "http://") || !slices.Contains(h.events()[1].Data.Event.Reasons, "other_domain") {
			t.Errorf("%+v, %s", d.Members, *d.Members[0].After)
		}
	})
}
