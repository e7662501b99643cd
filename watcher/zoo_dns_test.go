package watcher_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/lab"
)

// resolved is an endpoint of a real issuer, at a name that a real name server gives.
type resolved struct {
	*watched
	dns    *names
	issuer *lab.Issuer
	port   string
}

// resolve serves an issuer at an address and begins to watch it by its name.
func resolve(t *testing.T, at string, private bool, script func(name string, v6 bool, asked int) (dnsmessage.RCode, []netip.Addr)) *resolved {
	t.Helper()
	r := &resolved{dns: serveNames(t), issuer: &lab.Issuer{}}
	r.dns.play(script)
	r.issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
	r.issuer.Answer(lab.Honest(http.Header{"Connection": {"close"}}))
	l, err := net.Listen("tcp4", at+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.issuer.Serve(l))
	_, r.port, _ = net.SplitHostPort(l.Addr().String())
	r.watched = &watched{t: t, db: open(t, t.TempDir()), client: &fetch.Client{Resolver: r.dns.resolver()}}
	e := endpoint("idp", "http://idp.example:"+r.port+"/jwks", 200*time.Millisecond)
	e.Target.Policy.AllowPrivate = private
	r.start(e)
	return r
}

func (r *resolved) polls(n uint64) {
	r.t.Helper()
	before := r.w.Stats().Polls
	until(r.t, fmt.Sprint(n, " polls more"), func() bool { return r.w.Stats().Polls >= before+n })
}

func (r *resolved) end() {
	r.t.Helper()
	r.stop()
	if err := r.db.Close(); err != nil {
		r.t.Error(err)
	}
}

func addresses(list ...string) (out []netip.Addr) {
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// TestZooOfDNS lets the name of an honest issuer lead to it in every odd way that
// still leads there: nothing is told. A server that fails is told, and its end.
func TestZooOfDNS(t *testing.T) {
	t.Parallel()
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprint("127.0.1.", i+1) // nobody is there
	}
	many[57] = "127.0.0.1"
	for name, script := range map[string]func(name string, v6 bool, asked int) (dnsmessage.RCode, []netip.Addr){
		"another address each time": func(_ string, _ bool, asked int) (dnsmessage.RCode, []netip.Addr) {
			all := addresses("127.0.1.1", "127.0.1.2", "127.0.1.3")
			all[asked%3] = netip.MustParseAddr("127.0.0.1")
			return 0, all
		},
		"100 addresses, one alive": func(string, bool, int) (dnsmessage.RCode, []netip.Addr) { return 0, addresses(many...) },
		"dead by IPv6": func(string, bool, int) (dnsmessage.RCode, []netip.Addr) {
			return 0, addresses("::1", "2001:db8::1", "127.0.0.1")
		},
		"a private one first": func(string, bool, int) (dnsmessage.RCode, []netip.Addr) {
			return 0, addresses("169.254.169.254", "127.0.0.1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := resolve(t, "127.0.0.1", true, script)
			until(t, "the baseline", func() bool { return len(r.events()) > 0 })
			r.polls(20)
			r.expect("informational baseline.established")
			r.end()
		})
	}
	t.Run("SERVFAIL", func(t *testing.T) {
		t.Parallel()
		r := resolve(t, "127.0.0.1", true, nil)
		r.dns.set("idp.example", true)
		until(t, "the baseline", func() bool { return len(r.events()) > 0 })
		r.dns.play(func(string, bool, int) (dnsmessage.RCode, []netip.Addr) { return dnsmessage.RCodeServerFailure, nil })
		until(t, "told", func() bool { return len(r.events()) > 1 })
		if st := r.w.Status()[0]; st.Phase != "resolve" || st.Code == "nxdomain" {
			t.Errorf("%+v", st)
		}
		r.polls(4) // a name that nobody could look up is no name that is gone
		r.dns.play(nil)
		until(t, "its end is told", func() bool { return len(r.events()) > 2 })
		r.expect("informational baseline.established", unreachable, "informational endpoint.unreachable closed")
		r.end()
	})
}

// TestMetadataIsNeverReached lets the name of an honest issuer change to addresses of
// metadata services and of the agent's own network, once it is trusted; and discovery
// lead to such. Each is refused before anything is sent, and no key goes. A trap stands
// where loopback is refused.
func TestMetadataIsNeverReached(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fe80::1", "0.0.0.0"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			r := resolve(t, "127.0.0.1", true, nil)
			r.dns.set("idp.example", true)
			until(t, "the baseline", func() bool { return len(r.events()) > 0 })
			r.dns.play(func(string, bool, int) (dnsmessage.RCode, []netip.Addr) { return 0, addresses(to) })
			until(t, "told", func() bool { return len(r.events()) > 1 })
			asked := r.issuer.Count()
			r.polls(3)
			if st := r.w.Status()[0]; st.Phase != string(fetch.PhaseRefused) {
				t.Errorf("%+v", st)
			}
			if n := r.issuer.Count(); n > asked+1 { // 0.0.0.0 is this machine
				t.Errorf("asked %d times", n-asked)
			}
			r.expect("informational baseline.established", unreachable)
			r.end()
		})
	}
	t.Run("loopback", func(t *testing.T) {
		t.Parallel()
		r := resolve(t, "127.0.0.1", false, func(string, bool, int) (dnsmessage.RCode, []netip.Addr) {
			return 0, addresses("127.0.0.1", "::ffff:127.0.0.1")
		})
		until(t, "told", func() bool { return len(r.events()) > 0 })
		r.polls(3)
		r.expect(unreachable)
		if st := r.w.Status()[0]; st.Phase != string(fetch.PhaseRefused) || r.issuer.Count() != 0 {
			t.Errorf("%+v, asked %d times", st, r.issuer.Count())
		}
		r.end()
	})
	for _, uri := range []string{"http://169.254.169.254/jwks", "http://[fd00:ec2::254]/jwks", "http://metadata.example/jwks", "http://2852039166/jwks", "http://0xa9fea9fe/jwks", "file:///etc/passwd", "http://idp.example:22/jwks"} {
		t.Run("discovery to "+uri[7:], func(t *testing.T) {
			t.Parallel()
			r := &resolved{dns: serveNames(t), issuer: &lab.Issuer{}}
			r.dns.play(func(name string, _ bool, _ int) (dnsmessage.RCode, []netip.Addr) {
				if strings.HasPrefix(name, "idp.example") {
					return 0, addresses("127.0.0.1")
				}
				return 0, addresses("169.254.169.254")
			})
			r.issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
			url, stop, err := r.issuer.Start()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
			own := "http://idp.example:" + port
			r.issuer.Answer(closing(lab.Discovery(own, own+"/jwks", nil)))
			r.watched = &watched{t: t, db: open(t, t.TempDir()), client: &fetch.Client{Resolver: r.dns.resolver()}}
			r.start(discovered("idp", own, 200*time.Millisecond))
			until(t, "the baseline", func() bool { return len(r.events()) > 0 })
			r.issuer.Answer(closing(lab.Discovery(own, uri, nil)))
			until(t, "told", func() bool { return len(r.events()) > 1 })
			r.polls(5)
			for _, e := range r.events()[1:] {
				if typ := string(e.Data.Event.Type); strings.HasPrefix(typ, "key.") || strings.HasPrefix(typ, "set.") {
					t.Errorf("told %s", typ)
				}
			}
			if got := tell(r.events()); !slices.Contains(got, unreachable) {
				t.Errorf("told %q", got)
			}
			r.end()
		})
	}
}

// closing ends each connection with its answer, so that the next poll asks for the name
// again.
func closing(a lab.Answer) lab.Answer {
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		w.Header().Set("Connection", "close")
		a(w, r, current)
	}
}
