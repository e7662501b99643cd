package sinks

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// TestWebhookFiltered has a filter before the receiver that takes the text of one issuer
// for an attack: that issuer's events are parked, and hold none of the others for ever.
func TestWebhookFiltered(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusForbidden, http.StatusNotAcceptable, http.StatusBadRequest} {
		h, w := newHook(t, firstSecret, nil)
		srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			if strings.Contains(string(body), "OR 1=1") {
				out.WriteHeader(code)
				return
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			h.ServeHTTP(out, r)
		}))
		defer srv.Close()
		w.URL = srv.URL
		hostile := func(i int) state.Entry {
			return sampleOf(i, "evil", "key.added", event.SeverityHigh, `kid \' OR 1=1 --`)
		}
		j := newJournal(hostile(1), hostile(2), hostile(3)) // and nothing else yet
		d, stop := deliver(t, j, w, (&ops{}).logger())
		eventually(t, "it is refused", func() bool { return d.Stats().LastError != "" })
		if d.Stats().Parked > 0 {
			t.Errorf("HTTP %d: parked before the receiver took anything", code)
		}
		others := []state.Entry{hostile(4), sampleOf(5, "", "agent.heartbeat", event.SeverityInformational, "alive"), sample(6, "corp"), hostile(7), sample(8, "corp")}
		for _, e := range others {
			j.add(e)
		}
		eventually(t, "the others have arrived", func() bool { return d.Stats().CaughtUp })
		stop()
		if want := []string{others[1].ID, others[2].ID, others[4].ID}; !slices.Equal(h.got(), want) || d.Stats().Parked != 5 {
			t.Errorf("HTTP %d: %q, want %q; %d parked", code, h.got(), want, d.Stats().Parked)
		}
	}
}

// TestWebhookRefusesEverything parks nothing of what a receiver refuses for its own
// fault, as one does that has another secret: all arrives when that is mended.
func TestWebhookRefusesEverything(t *testing.T) {
	t.Parallel()
	var wrong atomic.Bool
	h, w := newHook(t, firstSecret, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if wrong.Load() {
			out.WriteHeader(http.StatusBadRequest)
			return
		}
		h.ServeHTTP(out, r)
	}))
	defer srv.Close()
	w.URL = srv.URL
	wrong.Store(true)
	list := samples(40, 4)
	j := newJournal(list...)
	d, stop := deliver(t, j, w, (&ops{}).logger())
	eventually(t, "it was tried some times", func() bool { return d.Stats().Retries > 3 })
	wrong.Store(false)
	eventually(t, "all has arrived", func() bool { return d.Stats().CaughtUp })
	wrong.Store(true)
	late := samples(50, 4)[40:]
	for _, e := range late {
		j.add(e)
	}
	before := d.Stats().Retries
	eventually(t, "it was tried some times", func() bool { return d.Stats().Retries > before+3 })
	wrong.Store(false)
	eventually(t, "all has arrived", func() bool { return d.Stats().CaughtUp })
	stop()
	// The first that is refused after one was taken is parked: it may be its own fault.
	want := slices.Delete(idsOf(append(list, late...)), 40, 41)
	if !slices.Equal(h.got(), want) || d.Stats().Parked != 1 {
		t.Errorf("%d parked, %d of %d arrived", d.Stats().Parked, len(h.got()), len(want))
	}
}

// TestWebhookVouched asks a receiver that refuses some events with another no more than
// once a minute.
func TestWebhookVouched(t *testing.T) {
	t.Parallel()
	asked := 0
	_, w := newHook(t, firstSecret, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if asked++; strings.HasSuffix(r.Header.Get("Webhook-Id"), "9") {
			return
		}
		out.WriteHeader(http.StatusUnprocessableEntity)
	}))
	defer srv.Close()
	w.URL = srv.URL
	rest := append(samples(5, 1), sample(9, "other"))
	for i := range 5 {
		if n, err := w.Send(context.Background(), rest[i:]); n != 0 || err == nil {
			t.Fatal(n, err)
		}
	}
	if asked != 6 || time.Since(w.vouched) > vouchedFor {
		t.Errorf("asked %d times for five events", asked)
	}
}

// TestWebhookRefusesEverythingLater has a receiver that refused the events of one endpoint,
// and took others, and then refuses everything: of the others only the first, which came
// right after one that was taken, may be parked.
func TestWebhookRefusesEverythingLater(t *testing.T) {
	t.Parallel()
	var wrong atomic.Bool
	h, w := newHook(t, firstSecret, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if wrong.Load() || strings.Contains(string(body), "OR 1=1") {
			out.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		h.ServeHTTP(out, r)
	}))
	defer srv.Close()
	w.URL = srv.URL
	evil := func(i int) state.Entry {
		return sampleOf(i, "evil", "key.added", event.SeverityHigh, `kid \' OR 1=1 --`)
	}
	list := []state.Entry{sample(1, "corp"), evil(2), evil(3), sample(4, "corp"), sample(5, "corp")}
	j := newJournal(list...)
	d, stop := deliver(t, j, w, (&ops{}).logger())
	eventually(t, "the first have arrived", func() bool { return d.Stats().CaughtUp })
	wrong.Store(true)
	late := []state.Entry{sample(6, "corp"), sample(7, "other"), sample(8, "corp"), sample(9, "third")}
	before := d.Stats().Retries
	for _, e := range late {
		j.add(e)
	}
	eventually(t, "it waits", func() bool { return d.Stats().Retries > before+3 || d.Stats().Parked > 5 })
	wrong.Store(false)
	eventually(t, "all has arrived", func() bool { return d.Stats().CaughtUp })
	stop()
	want := idsOf([]state.Entry{list[0], list[3], list[4], late[1], late[2], late[3]})
	if !slices.Equal(h.got(), want) || d.Stats().Parked != 3 {
		t.Errorf("%d parked; %q, want %q", d.Stats().Parked, h.got(), want)
	}
}
