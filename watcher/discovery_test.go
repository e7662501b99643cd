package watcher_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/watcher"
)

const (
	openID = "/.well-known/openid-configuration"
	oauth  = "/.well-known/oauth-authorization-server"
)

func discovered(name, issuer string, interval time.Duration) watcher.Endpoint {
	e := endpoint(name, issuer, interval)
	e.Issuer = issuer
	return e
}

// spy is a rule that finds nothing and remembers what the rules are shown.
type spy struct {
	mu     sync.Mutex
	sights []rules.Sight
}

func (s *spy) book() []rules.Rule {
	watch := rules.Rule{ID: "spy", Type: event.EndpointContentType, Title: "spy", Severity: event.SeverityLow, Verdict: event.Unexpected}
	watch.Observe = func(x *rules.Sight) []rules.Flaw {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sights = append(s.sights, *x)
		return nil
	}
	return append(rules.Book(), watch)
}

func (s *spy) last() rules.Sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sights) == 0 {
		return rules.Sight{}
	}
	return s.sights[len(s.sights)-1]
}

// metadata answers one form of the discovery document and the key set at /jwks.
func metadata(form, issuer, uri string) lab.Answer {
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		if strings.HasPrefix(r.URL.Path, "/.well-known/") && r.URL.Path != form {
			http.NotFound(w, r)
			return
		}
		lab.Discovery(issuer, uri, nil)(w, r, current)
	}
}

// asked counts the requests to a path.
func asked(i *lab.Issuer, path string) int {
	n := 0
	for _, s := range i.Served() {
		if s.Target == path {
			n++
		}
	}
	return n
}

// discovery plays with one issuer at http://idp.example, and with another host
// beside it, over simulated time.
func discovery(t *testing.T, play func(h *watched, n *town, idp *lab.Issuer)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newTown("idp.example", "keys.idp.example", "evil.test")
		defer n.server.Close()
		for host, i := range n.issuers {
			i.Publish(lab.ECFromSeed("k0", "P-256", "k0"), lab.ECFromSeed("k1", "P-256", "k1"))
			if host == "idp.example" {
				i.Answer(lab.Discovery("", "", nil))
			}
		}
		h := &watched{t: t, db: open(t, dir), dial: n.pipe, dir: dir}
		play(h, n, n.issuers["idp.example"])
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// restart stops the watcher, closes the state and begins again with it.
func (h *watched) restart(endpoints ...watcher.Endpoint) {
	h.t.Helper()
	h.stop()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.db, h.store = open(h.t, h.dir), nil
	h.start(endpoints...)
}

// TestDiscovery holds what an unchanged poll through discovery costs: two
// requests over one warm connection, which is made anew every five minutes, no
// parse, no write.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		h.flush = time.Hour
		h.start(discovered("idp", "http://idp.example", time.Minute))
		time.Sleep(90 * time.Second) // the second poll brings in what the checks of the keys found
		s, writes := h.w.Stats(), h.db.Stats().Writes
		if s.Parses != 3 || s.Commits == 0 {
			t.Errorf("%+v after the first poll", s)
		}
		time.Sleep(20 * time.Minute)
		now := h.w.Stats()
		if now.Parses != 3 || now.Unchanged < 19 || h.db.Stats().Writes != writes {
			t.Errorf("%+v, %d write transactions", now, h.db.Stats().Writes-writes)
		}
		st := h.w.Status()[0]
		if st.Issuer != "http://idp.example" || st.URL != "http://idp.example/jwks" || st.Host != "idp.example" || st.Site != "idp.example" || st.Keys != 2 || st.Phase != "" {
			t.Errorf("%+v", st)
		}
		h.stop()
		remotes := map[string]int{}
		for _, s := range idp.Served() {
			remotes[s.Remote]++
		}
		if len(remotes) > 5 || asked(idp, "/jwks") != int(now.Polls) || asked(idp, openID) != int(now.Polls) || asked(idp, oauth) != 1 {
			t.Errorf("%d polls: %d documents and %d sets over %d connections", now.Polls, asked(idp, openID), asked(idp, "/jwks"), len(remotes))
		}
		h.expect("informational baseline.established")
		e := h.events()[0].Data.Endpoint
		if e.Issuer == nil || *e.Issuer != "http://idp.example" || e.JWKSURI == nil || *e.JWKSURI != "http://idp.example/jwks" {
			t.Errorf("endpoint %+v", e)
		}
	})
}

// TestDiscoveryFacts holds what the rules are shown of it.
func TestDiscoveryFacts(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		idp.Answer(lab.Discovery("http://idp.example/", "http://keys.idp.example/jwks?key=secret", nil))
		h.make(discovered("idp", "http://idp.example", time.Minute))
		var s spy
		h.w.Book = s.book()
		h.run()
		time.Sleep(30 * time.Second)
		h.stop()
		x := s.last()
		if x.Policy.Issuer != "http://idp.example" || x.Policy.URL != "http://idp.example" || x.Policy.Site != "idp.example" {
			t.Errorf("policy %+v", x.Policy)
		}
		if x.Facts == nil || x.Facts.Discovery == nil {
			t.Errorf("facts %+v", x.Facts)
			return
		}
		d := *x.Facts.Discovery
		want := rules.Discovery{
			Document: "http://idp.example" + openID, Issuer: "http://idp.example/", JWKSURI: "http://keys.idp.example/jwks?key=secret",
			Shown: "http://keys.idp.example/jwks?key=***", Host: "keys.idp.example", Site: "idp.example",
			Used: "http://keys.idp.example/jwks?key=secret",
		}
		if d.Document != want.Document || d.Issuer != want.Issuer || d.JWKSURI != want.JWKSURI || d.Shown != want.Shown ||
			d.Host != want.Host || d.Site != want.Site || d.Used != want.Used || d.Failure != nil {
			t.Errorf("discovery %+v", d)
		}
		if x.Facts.Host != "keys.idp.example" || x.Facts.Evidence == nil || x.Facts.Evidence.URL != want.Shown || x.Facts.ContentType == "" {
			t.Errorf("facts %+v", x.Facts)
		}
	})
}

// TestDiscoveryOfEitherForm holds that what worked is asked first, and the other
// form only when that fails.
func TestDiscoveryOfEitherForm(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		idp.Answer(metadata(oauth, "", ""))
		h.start(discovered("idp", "http://idp.example", time.Minute))
		time.Sleep(10 * time.Minute)
		if o, a, polls := asked(idp, openID), asked(idp, oauth), h.w.Stats().Polls; o != 2 || a != int(polls) {
			t.Errorf("%d polls asked %d times for OpenID Connect and %d times for RFC 8414", polls, o, a)
		}
		idp.Answer(metadata(openID, "", ""))
		time.Sleep(10 * time.Minute)
		if a := asked(idp, openID); a < 10 {
			t.Errorf("%d answers of OpenID Connect", a)
		}
		h.stop()
		if s := h.w.Stats(); s.Failed != 0 {
			t.Errorf("%+v", s)
		}
		h.expect("informational baseline.established")
	})
}

// TestFallbackIsNotBelievedLightly holds that a document of the other form with
// another issuer does not count while the usual one is out of order for a while.
func TestFallbackIsNotBelievedLightly(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		h.start(discovered("idp", "http://idp.example", time.Minute))
		time.Sleep(3 * time.Minute)
		idp.Answer(func(w http.ResponseWriter, r *http.Request, current []byte) {
			switch r.URL.Path {
			case openID:
				w.WriteHeader(http.StatusServiceUnavailable)
			case oauth:
				lab.Discovery("http://evil.test", "http://evil.test/jwks", nil)(w, r, current)
			default:
				lab.Honest(nil)(w, r, current)
			}
		})
		time.Sleep(time.Minute)
		if st := h.w.Status()[0]; st.Phase != "discovery" || st.URL != "http://idp.example/jwks" || st.Failures != 0 {
			t.Errorf("%+v", st)
		}
		h.stop()
		h.expect("informational baseline.established")
	})
}

// TestDiscoveryFails takes the document away for a while: the last key set goes
// on, its changes are told, and so is the failure, over a restart too.
func TestDiscoveryFails(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"running": false, "restarted": true} {
		t.Run(name, func(t *testing.T) {
			discovery(t, func(h *watched, n *town, idp *lab.Issuer) {
				e := discovered("idp", "http://idp.example", time.Minute)
				h.start(e)
				time.Sleep(5 * time.Minute)
				began := time.Now()
				idp.Answer(lab.When(func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/.well-known/") }, lab.Status(503, nil, "sorry"), nil))
				time.Sleep(time.Minute)
				if restart {
					h.restart(e)
				}
				time.Sleep(10 * time.Minute)
				idp.Add(lab.ECFromSeed("k2", "P-256", "k2"))
				time.Sleep(5 * time.Minute)
				st := h.w.Status()[0]
				if st.Phase != "discovery" || st.Failures != 0 || st.Since.IsZero() || time.Since(st.LastGood) > time.Minute || st.URL != "http://idp.example/jwks" || st.Keys != 3 {
					t.Errorf("%+v", st)
				}
				if restart {
					h.restart(e)
				}
				idp.Answer(lab.Discovery("", "", nil))
				time.Sleep(5 * time.Minute)
				if st := h.w.Status()[0]; st.Phase != "" || !st.Since.IsZero() {
					t.Errorf("%+v", st)
				}
				h.stop()
				h.expect("informational baseline.established", "medium endpoint.unreachable", "low key.added k2", "informational endpoint.unreachable closed")
				for _, e := range h.events() {
					if e.Data.Event.Type == event.EndpointUnreachable && e.Data.Event.Condition.State == event.Open && e.Time.Sub(began) > 4*time.Minute {
						t.Errorf("told only %v after it began", e.Time.Sub(began))
					}
					if f := e.Data.Failure; e.Data.Event.Type == event.EndpointUnreachable && f != nil && (f.Phase != "discovery" || !strings.Contains(e.Data.Event.Message, "no discovery document since")) {
						t.Errorf("phase %s: %s", f.Phase, e.Data.Event.Message)
					}
				}
			})
		})
	}
}

// TestDiscoveryNeverWorked holds that without a document and without a last key
// set the poll is a failure of discovery.
func TestDiscoveryNeverWorked(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]lab.Answer{
		"no document":     nil, // the key set instead
		"an error":        lab.Status(500, nil, ""),
		"a page":          lab.HTMLLogin(),
		"no https":        lab.Discovery("", "ftp://idp.example/jwks", nil),
		"truncated":       lab.Truncated(),
		"a metadata host": lab.Discovery("", "http://169.254.169.254/jwks", nil),
	} {
		t.Run(name, func(t *testing.T) {
			discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
				idp.Answer(answer)
				h.start(discovered("idp", "http://idp.example", time.Minute))
				time.Sleep(10 * time.Minute)
				st := h.w.Status()[0]
				h.stop()
				if st.Phase != "discovery" || st.Failures < 5 || st.URL != "" || !st.LastGood.IsZero() {
					t.Errorf("%+v", st)
				}
				h.expect("medium endpoint.unreachable")
				if d := h.events()[0].Data; d.Failure.Phase != "discovery" || d.Endpoint.JWKSURI != nil || d.Transport == nil {
					t.Errorf("%+v, %+v", d.Failure, d.Endpoint)
				}
			})
		})
	}
}
