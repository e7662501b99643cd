package watcher_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// TestChangesOfOneStory lets three hosts of one domain and one of another change
// their keys, together and hours apart: who changes after others of its domain
// names the first of them.
func TestChangesOfOneStory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		hosts := []string{"a.corp.example", "b.corp.example", "c.corp.example", "other.test"}
		n := newTown(hosts...)
		defer n.server.Close()
		var fleet []watcher.Endpoint
		for i, host := range hosts {
			n.issuers[host].Publish(lab.ECFromSeed("k0", "P-256", host))
			fleet = append(fleet, endpoint(fmt.Sprint("idp-", i), "http://"+host+"/jwks", time.Minute))
		}
		// A second name of the first host.
		fleet = append(fleet, endpoint("idp-0b", "http://a.corp.example/jwks", time.Minute))
		for i := range fleet {
			fleet[i].Group = "corp"
		}
		h := &watched{t: t, db: open(t, dir), dial: n.pipe, dir: dir}
		h.start(fleet...)
		time.Sleep(10 * time.Minute)
		for _, host := range hosts {
			n.issuers[host].Add(lab.ECFromSeed("k1", "P-256", "1"+host))
		}
		time.Sleep(10 * time.Minute)
		n.issuers["b.corp.example"].Add(lab.ECFromSeed("k2", "P-256", "2"))
		time.Sleep(10 * time.Minute)
		h.stop()
		var first, alone []*event.Event
		by, most := map[string]int{}, 0
		for _, e := range h.events() {
			f := e.Data.Event
			switch c := f.Correlation; {
			case f.Type != event.KeyAdded:
				if c != nil {
					t.Errorf("%s is part of a story", f.Type)
				}
			case *e.Data.Key.Kid == "k2" || e.Data.Endpoint.Name == "idp-3":
				alone = append(alone, e)
				if c != nil {
					t.Errorf("%s of %s: %+v", *e.Data.Key.Kid, e.Data.Endpoint.Name, c)
				}
			case c == nil:
				first = append(first, e)
			case len(first) != 1 || c.ID != first[0].Data.Event.ChangeSet.ID:
				t.Errorf("%s: %+v", e.Data.Endpoint.Name, c)
			default:
				by[c.By]++
				most = max(most, c.Endpoints)
			}
		}
		if len(first) != 1 || len(alone) != 2 || by["host"] != 1 || by["site"] != 2 || most != 4 {
			t.Errorf("%d first, %d alone, %v, %d endpoints", len(first), len(alone), by, most)
		}
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}
