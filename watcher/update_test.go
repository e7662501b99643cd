package watcher_test

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// town is a network of issuers, one a host name, over one pipe.
type town struct {
	issuers map[string]*lab.Issuer // by host
	pipe    *lab.Pipe
	server  *http.Server
}

func newTown(hosts ...string) *town {
	n := &town{issuers: map[string]*lab.Issuer{}, pipe: lab.NewPipe()}
	for _, h := range hosts {
		n.issuers[h] = &lab.Issuer{}
	}
	n.server = &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), Handler: n}
	go func() { _ = n.server.Serve(n.pipe) }()
	return n
}

func (n *town) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i := n.issuers[r.Host]; i != nil {
		i.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

func observer(n int) watcher.Observer {
	return watcher.Observer{Name: "test", Version: "0", ConfigDigest: fmt.Sprintf("sha256:%064d", n)}
}

// perEndpoint tells events in short, of each endpoint by itself.
func (h *watched) perEndpoint() map[string][]string {
	h.t.Helper()
	out := map[string][]string{}
	for _, e := range h.events() {
		name := e.Data.Endpoint.Name
		out[name] = append(out[name], tell([]*event.Event{e})...)
	}
	return out
}

// TestUpdateUnderLoad replaces the fleet every few milliseconds while a third of
// two hundred issuers rotate: endpoints come, go and change, and what is told is
// exactly what the issuers did. Those that never change are polled as if nothing
// happened: no poll is lost or doubled.
func TestUpdateUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const size, calm, interval = 200, 40, 2 * time.Second
		var hosts []string
		for i := range size {
			hosts = append(hosts, fmt.Sprintf("idp%03d.example", i))
		}
		n := newTown(hosts...)
		h := &watched{t: t, db: open(t, dir), dial: n.pipe}
		var all []watcher.Endpoint
		for i, host := range hosts {
			seed := fmt.Sprint(i)
			n.issuers[host].Publish(lab.ECFromSeed("k0", "P-256", "a"+seed), lab.ECFromSeed("k1", "P-256", "b"+seed))
			all = append(all, endpoint(strings.TrimSuffix(host, ".example"), "http://"+host+"/jwks", interval))
		}
		h.start(all...)
		time.Sleep(2 * interval)
		rng := rand.New(rand.NewPCG(3, 1))
		updates := 0
		churn := func(span time.Duration) {
			for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(time.Duration(1+rng.IntN(20)) * time.Millisecond) {
				updates++
				if err := h.w.Update(shuffled(rng, all, calm), observer(updates)); err != nil {
					t.Fatal(err)
				}
			}
		}
		churn(interval)
		rotates := func(i int) bool { return i%3 == 0 }
		for i, host := range hosts {
			if rotates(i) {
				n.issuers[host].Add(lab.ECFromSeed("k2", "P-256", "c"+fmt.Sprint(i)))
			}
		}
		churn(2 * interval)
		for i, host := range hosts {
			if rotates(i) {
				n.issuers[host].Remove("k0")
			}
		}
		churn(2 * interval)
		if err := h.w.Update(all, observer(1_000_000)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * interval)
		if got := len(h.w.Status()); got != size {
			t.Errorf("%d endpoints", got)
		}
		h.stop()
		n.server.Close()
		got := h.perEndpoint()
		for i, e := range all {
			want := []string{"informational baseline.established"}
			if rotates(i) {
				want = append(want, "low key.added k2", "informational key.removed k0")
			}
			// Whether the two were seen one after the other depends on the updates.
			told := slices.DeleteFunc(got[e.Name], func(s string) bool { return s == "informational rotation.completed" })
			if !slices.Equal(told, want) {
				t.Errorf("%s told %q", e.Name, got[e.Name])
			}
		}
		for _, host := range hosts[:calm] {
			undisturbed(t, host, n.issuers[host].Served(), interval)
		}
		if updates < 300 {
			t.Errorf("%d updates", updates)
		}
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// shuffled is the fleet with some endpoints gone and some changed, but for the
// first calm of them.
func shuffled(rng *rand.Rand, all []watcher.Endpoint, calm int) []watcher.Endpoint {
	out := slices.Clone(all[:calm])
	for _, e := range all[calm:] {
		switch rng.IntN(20) {
		case 0:
			continue
		case 1:
			e.Interval = e.Interval * 4 / 5
		case 2:
			e.Labels = map[string]string{"env": fmt.Sprint(rng.IntN(3))}
		case 3:
			e.Target.MaxBody = 1 << 20
		}
		out = append(out, e)
	}
	rng.Shuffle(len(out), func(a, b int) { out[a], out[b] = out[b], out[a] })
	return out
}

// undisturbed holds that polls came as the interval says, none too late and none
// too early. A second look is a connection with one request.
func undisturbed(t *testing.T, host string, served []lab.Served, interval time.Duration) {
	t.Helper()
	remotes := map[string]int{}
	for _, s := range served {
		remotes[s.Remote]++
	}
	looked := true
	for i, s := range served {
		look := remotes[s.Remote] == 1
		if i > 0 {
			gap := s.At.Sub(served[i-1].At)
			if gap > interval || gap < interval*4/5 && !look && !looked {
				t.Errorf("%s: a gap of %v", host, gap)
			}
		}
		looked = look
	}
	if len(served) < 10 || len(remotes) > 3 {
		t.Errorf("%s: %d polls over %d connections", host, len(served), len(remotes))
	}
}

// TestUpdateIsWholeOrNot holds that an update with anything wrong in it changes
// nothing.
func TestUpdateIsWholeOrNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newTown("a.example", "b.example")
		defer n.server.Close()
		h := &watched{t: t, db: open(t, dir), dial: n.pipe}
		defer h.db.Close()
		a, b := endpoint("a", "http://a.example/jwks", time.Minute), endpoint("b", "http://b.example/jwks", time.Minute)
		h.start(a)
		defer h.stop()
		time.Sleep(2 * time.Minute)
		for what, list := range map[string][]watcher.Endpoint{
			"nothing to watch": nil,
			"a bad URL":        {b, endpoint("c", "ftp://c.example/", time.Minute)},
			"a name twice":     {b, b},
			"a bad issuer": {b, func() watcher.Endpoint {
				e := endpoint("c", "https://u:p@c.example/", time.Minute)
				e.Issuer = e.Target.URL
				return e
			}()},
		} {
			if err := h.w.Update(list, observer(7)); err == nil {
				t.Errorf("%s is taken", what)
			}
		}
		time.Sleep(2 * time.Minute)
		if s := h.w.Status(); len(s) != 1 || s[0].Name != "a" || n.issuers["b.example"].Count() != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestUpdateBeforeAndAfterRun holds that neither is lost, nor hangs.
func TestUpdateBeforeAndAfterRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newTown("a.example", "b.example")
		defer n.server.Close()
		h := &watched{t: t, db: open(t, dir), dial: n.pipe}
		defer h.db.Close()
		for host, i := range n.issuers {
			i.Publish(lab.ECFromSeed("k0", "P-256", host))
		}
		h.make(endpoint("a", "http://a.example/jwks", time.Minute))
		if err := h.w.Update([]watcher.Endpoint{endpoint("b", "http://b.example/jwks", time.Minute)}, observer(5)); err != nil {
			t.Fatal(err)
		}
		h.run()
		time.Sleep(time.Minute)
		h.stop()
		if n.issuers["a.example"].Count() != 0 || n.issuers["b.example"].Count() == 0 {
			t.Error("the update before Run was not heeded")
		}
		if e := h.events(); len(e) != 1 || e[0].Data.Observer.ConfigDigest != observer(5).ConfigDigest {
			t.Errorf("told %q", tell(e))
		}
		if err := h.w.Update([]watcher.Endpoint{endpoint("a", "http://a.example/jwks", time.Minute)}, observer(6)); err != nil {
			t.Fatal(err)
		}
		h.run()
		time.Sleep(time.Minute)
		h.stop()
		if n.issuers["a.example"].Count() == 0 {
			t.Error("the update after Run was not heeded by the next")
		}
	})
}

// TestUpdateOfOne follows one endpoint through what an update can do to it.
func TestUpdateOfOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newTown("a.example", "b.example", "c.example")
		defer n.server.Close()
		h := &watched{t: t, db: open(t, dir), dial: n.pipe}
		defer h.db.Close()
		for host, i := range n.issuers {
			i.Publish(lab.ECFromSeed("k0", "P-256", host))
		}
		hour := time.Hour
		a := endpoint("idp", "http://a.example/jwks", hour)
		update := func(list ...watcher.Endpoint) {
			t.Helper()
			if err := h.w.Update(list, observer(9)); err != nil {
				t.Fatal(err)
			}
		}
		h.start(a)
		time.Sleep(10 * time.Second)
		parses := h.w.Stats().Parses

		a.Owner = "somebody else" // no reason to poll
		update(a)
		time.Sleep(10 * time.Second)
		if got := n.issuers["a.example"].Count(); got != 1 {
			t.Errorf("%d polls: another owner is no reason to poll", got)
		}
		a.Interval = 2 * hour // polled soon, and judged anew
		update(a)
		time.Sleep(10 * time.Second)
		if got := n.issuers["a.example"].Count(); got != 2 || h.w.Stats().Parses != parses+1 {
			t.Errorf("%d polls and %d parses after the interval changed", got, h.w.Stats().Parses)
		}
		// Ten more, so that workers have to be found for them.
		var list []watcher.Endpoint
		for i := range 10 {
			list = append(list, endpoint(fmt.Sprint("new", i), "http://c.example/jwks", hour))
		}
		update(append(list, a)...)
		time.Sleep(10 * time.Second)
		if got := n.issuers["c.example"].Count(); got != 10 {
			t.Errorf("%d of 10 new endpoints polled", got)
		}
		a.Target.URL = "http://b.example/jwks" // a new baseline, and its reason
		update(a)
		time.Sleep(10 * time.Second)
		update(list...) // gone
		time.Sleep(5 * hour)
		if a, b := n.issuers["a.example"].Count(), n.issuers["b.example"].Count(); a != 2 || b != 1 {
			t.Errorf("%d and %d polls of an endpoint that moved and went", a, b)
		}
		update(append(list, a)...) // back, with what was remembered
		time.Sleep(10 * time.Second)
		h.stop()
		if got := h.perEndpoint()["idp"]; !slices.Equal(got, []string{"informational baseline.established", "medium baseline.established"}) {
			t.Errorf("told %q", got)
		}
		last := h.events()
		if e := last[len(last)-1]; e.Data.Observer.ConfigDigest != observer(9).ConfigDigest {
			t.Errorf("the last event is of configuration %s", e.Data.Observer.ConfigDigest)
		}
	})
}

// TestRemovedWhileUnderWay takes an endpoint away while its answer is awaited,
// and brings it back before that came: its poll ends in order, and there is
// never a second beside it.
func TestRemovedWhileUnderWay(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]bool{"gone": false, "back": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				n := newTown("a.example", "b.example")
				defer n.server.Close()
				h := &watched{t: t, db: open(t, dir), dial: n.pipe}
				defer h.db.Close()
				slow, release := make(chan struct{}), make(chan struct{})
				n.issuers["a.example"].Publish(lab.ECFromSeed("k0", "P-256", "k0"))
				n.issuers["a.example"].Answer(func(w http.ResponseWriter, r *http.Request, current []byte) {
					close(slow) // a second poll would panic here
					<-release
					lab.Honest(nil)(w, r, current)
				})
				a, b := endpoint("a", "http://a.example/jwks", time.Minute), endpoint("b", "http://b.example/jwks", time.Minute)
				h.start(a, b)
				<-slow
				if err := h.w.Update([]watcher.Endpoint{b}, observer(1)); err != nil {
					t.Fatal(err)
				}
				if back {
					if err := h.w.Update([]watcher.Endpoint{a, b}, observer(2)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(5 * time.Second)
				n.issuers["a.example"].Answer(nil)
				close(release)
				time.Sleep(3 * time.Minute)
				h.stop()
				if got := n.issuers["a.example"].Count(); !back && got != 1 || back && got < 3 {
					t.Errorf("%d polls", got)
				}
				if got := h.perEndpoint()["a"]; !slices.Equal(got, []string{"informational baseline.established"}) {
					t.Errorf("told %q", got)
				}
			})
		})
	}
}
