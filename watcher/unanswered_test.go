package watcher_test

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// TestCodesOfUnreachable lets an issuer refuse us, and another one fail by turns.
func TestCodesOfUnreachable(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	for code, answer := range map[string]lab.Answer{
		"blocked": lab.Status(http.StatusForbidden, nil, "no"),
		"intermittent": func(w http.ResponseWriter, r *http.Request, current []byte) {
			if n.Add(1)%2 == 0 {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			lab.Honest(nil)(w, r, current)
		},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				town := newTown("idp.example")
				defer town.server.Close()
				idp := town.issuers["idp.example"]
				idp.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
				h := &watched{t: t, db: open(t, dir), dial: town.pipe, dir: dir}
				h.start(endpoint("idp", "http://idp.example/jwks", time.Minute))
				time.Sleep(time.Hour)
				idp.Answer(answer)
				time.Sleep(2 * time.Hour)
				idp.Answer(nil)
				time.Sleep(2 * time.Hour)
				h.stop()
				h.expect("informational baseline.established", "medium endpoint.unreachable", "informational endpoint.unreachable closed")
				if d := h.events()[1].Data.Details.(*event.EndpointUnreachableDetails); !slices.Equal(d.Codes, []string{code}) {
					t.Errorf("%+v", d)
				}
				if err := h.db.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
