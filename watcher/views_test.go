package watcher_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/lab"
)

// TestEachAddressIsAsked serves one set at the name and at the first address, and
// another one at the second: a roll-out first, and then a key that no other
// address ever shows. The poll by name alone never sees it.
func TestEachAddressIsAsked(t *testing.T) {
	t.Parallel()
	dns := serveNames(t)
	dns.set("idp.example", true)
	dns.spread(2)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		one, two := newTown("idp.example"), newTown("idp.example")
		defer one.server.Close()
		defer two.server.Close()
		first, second := one.issuers["idp.example"], two.issuers["idp.example"]
		k0, k1 := lab.ECFromSeed("k0", "P-256", "k0"), lab.ECFromSeed("k1", "P-256", "k1")
		first.Publish(k0)
		second.Publish(k0)
		first.Answer(lab.Honest(http.Header{"Cache-Control": {"no-cache"}})) // or a difference has eight hours
		second.Answer(lab.Honest(http.Header{"Cache-Control": {"no-cache"}}))
		client := &fetch.Client{Resolver: dns.resolver(), Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.HasPrefix(addr, "127.0.0.2:") {
				return two.pipe.Dial(ctx, network, addr)
			}
			return one.pipe.Dial(ctx, network, addr)
		}}
		h := &watched{t: t, db: open(t, dir), dir: dir, client: client}
		e := endpoint("idp", "http://idp.example/jwks", time.Minute)
		e.EachAddress = true
		h.start(e)
		time.Sleep(4 * time.Hour)
		if polls, asked := h.w.Stats().Polls, second.Count(); asked < int(polls)/2-5 || asked > int(polls)/2+5 {
			t.Errorf("%d polls, the second address was asked %d times", polls, asked)
		}
		if s := h.w.Stats(); s.Parses > 3 {
			t.Errorf("%+v while nothing changed", s)
		}
		// A new set that comes to the second address in half an hour is none.
		first.Add(k1)
		time.Sleep(30 * time.Minute)
		second.Add(k1)
		time.Sleep(6 * time.Hour)
		want := []string{"informational baseline.established", "low key.added k1"}
		h.expect(want...)
		second.Add(lab.ECFromSeed("rogue", "P-256", "rogue"))
		time.Sleep(50 * time.Minute)
		h.expect(want...)
		time.Sleep(30 * time.Minute)
		want = append(want, "high set.split")
		h.expect(want...)
		list := h.events()
		if d, ok := list[len(list)-1].Data.Details.(*event.SetSplitDetails); !ok || d.Code != "unknown_key" || len(d.Views) != 2 || d.Views[0].Address != "127.0.0.1:80" || d.Views[1].Address != "127.0.0.2:80" || d.Views[0].Only != 0 || d.Views[1].Only != 1 || d.Views[1].Keys != 3 {
			t.Errorf("%+v", list[len(list)-1].Data.Details)
		}
		h.restart(e)
		time.Sleep(3 * time.Hour)
		h.expect(want...)
		second.Remove("rogue")
		time.Sleep(3 * time.Hour)
		want = append(want, "informational set.split closed")
		h.expect(want...)
		h.stop()
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestOneAddressIsNotAskedTwice holds that a name with one address costs nothing
// more, and neither does an endpoint that is not to be asked so.
func TestOneAddressIsNotAskedTwice(t *testing.T) {
	t.Parallel()
	for name, hosts := range map[string]int{"one address": 1, "not wanted": 2} {
		dns := serveNames(t)
		dns.set("idp.example", true)
		dns.spread(hosts)
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			n := newTown("idp.example")
			defer n.server.Close()
			idp := n.issuers["idp.example"]
			idp.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
			h := &watched{t: t, db: open(t, dir), dial: n.pipe, client: &fetch.Client{Resolver: dns.resolver()}}
			e := endpoint("idp", "http://idp.example/jwks", time.Minute)
			e.EachAddress = hosts == 1
			h.start(e)
			time.Sleep(time.Hour)
			h.stop()
			if polls := h.w.Stats().Polls; idp.Count() != int(polls) {
				t.Errorf("%s: %d polls, %d requests", name, polls, idp.Count())
			}
			if err := h.db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
