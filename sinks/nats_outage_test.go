package sinks

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

func TestNATSStreamFull(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	nc := b.client()
	full := func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 3, jetstream.DiscardNew }
	s := stream(t, nc, full)
	d, _ := deliver(t, newJournal(samples(100, 100)...), openNATS(t, quick(b), (&ops{}).logger()), (&ops{}).logger())
	eventually(t, "the full stream is told of", func() bool {
		return strings.Contains(d.Stats().LastError, "cannot store") && strings.Contains(d.Stats().LastError, "err_code=10077")
	})
	stream(t, nc, func(c *jetstream.StreamConfig) { full(c); c.MaxMsgs = 200 })
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 100 })
	if got := stored(t, s); !slices.Equal(got, idsOf(samples(100, 100))) {
		t.Errorf("stored %v", got)
	}
}

func TestNATSDownAtStart(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	stream(t, b.client(), nil)
	b.stop()
	log := &ops{}
	n := openNATS(t, quick(b), log.logger())
	c := quick(b)
	c.Timeout = 100 * time.Millisecond
	d, _ := deliver(t, newJournal(samples(3, 3)...), n, log.logger())
	eventually(t, "the missing broker is told of", func() bool {
		return strings.Contains(d.Stats().LastError, "not connected to NATS")
	})
	if d.Stats().Connected {
		t.Error("connected to a broker that is not there")
	}
	b.start()
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 3 })
	if !d.Stats().Connected {
		t.Error("not connected to a broker that took events")
	}
}

// An attempt that is under way ends with its connection and not by its time-out.
func TestNATSDisconnectEndsAttempt(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	nc := b.client(nats.NoReconnect())
	heard := make(chan *nats.Msg, 1)
	if _, err := nc.ChanSubscribe("jwkswatch.>", heard); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	c := quick(b)
	c.Timeout = time.Minute
	n := openNATS(t, c, (&ops{}).logger())
	failed := make(chan error, 1)
	go func() {
		_, err := n.Send(t.Context(), newJournal(sample(0, "ep")).entries)
		failed <- err
	}()
	<-heard
	b.stop()
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "the connection to NATS was lost") {
			t.Errorf("%v", err)
		}
	case <-time.After(patience):
		t.Error("waits for an answer on a connection that is gone")
	}
}

func TestNATSBrokerRestarts(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	stream(t, b.client(), nil)
	all := samples(400, 40)
	j := newJournal(all[:300]...)
	n := openNATS(t, quick(b), (&ops{}).logger())
	d, _ := deliver(t, j, n, (&ops{}).logger())
	eventually(t, "some are sent", func() bool { return d.Stats().Sent > 5 })
	b.stop()
	j.add(all[300:]...)
	eventually(t, "the loss is noticed", func() bool { return !n.Connected() })
	b.start()
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 400 })
	s := stream(t, b.client(), nil)
	if got := stored(t, s); !slices.Equal(got, idsOf(all)) {
		t.Errorf("stored %d events, %d of them different, or in another order", len(got), len(slices.Compact(slices.Sorted(slices.Values(got)))))
	}
	if st := n.Stats(); st.UnexpectedDuplicates != 0 || st.Reconnects == 0 {
		t.Errorf("statistics %+v", st)
	}
}

// The first event of one endpoint has no stream at first, though the others of
// that endpoint have. Events of other endpoints overtake it in the window and
// are not sent again; its own must not.
func TestNATSWindowKeepsOrderOfEndpoint(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	nc := b.client()
	subjects := []string{"jwkswatch.v1.*.key.removed.ep-0"}
	for i := 1; i < 10; i++ {
		subjects = append(subjects, fmt.Sprintf("jwkswatch.v1.*.*.*.ep-%d", i))
	}
	s := stream(t, nc, func(c *jetstream.StreamConfig) { c.Subjects = subjects })
	entries := samples(150, 10)
	for i := 10; i < len(entries); i += 10 {
		entries[i] = sampleOf(i, "ep-0", "key.removed", event.SeverityHigh, "gone")
	}
	n := openNATS(t, quick(b), (&ops{}).logger())
	d, stop := deliver(t, newJournal(entries...), n, (&ops{}).logger())
	eventually(t, "the missing subject is told of", func() bool { return strings.Contains(d.Stats().LastError, "ep-0") })
	if st := d.Stats(); st.Sent != 0 {
		t.Errorf("the cursor moved over an event that is not stored: %+v", st)
	}
	if got := count(t, s); got == 0 {
		t.Error("nothing overtook: the test does not show what it should")
	}
	stream(t, nc, nil)
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 150 })
	got := stored(t, s)
	for i := range 10 {
		want := idsOf(slices.Collect(func(yield func(state.Entry) bool) {
			for _, e := range entries {
				if e.Endpoint == fmt.Sprintf("ep-%d", i) && !yield(e) {
					return
				}
			}
		}))
		in := slices.DeleteFunc(slices.Clone(got), func(id string) bool { return !slices.Contains(want, id) })
		if !slices.Equal(in, want) {
			t.Errorf("ep-%d: stored %v, want %v", i, in, want)
		}
	}
	if st := n.Stats(); len(got) != 150 || st.Duplicates+st.UnexpectedDuplicates != 0 {
		t.Errorf("stored %d; what was stored is sent again: %+v", len(got), st)
	}
	stop()
	if len(n.tried)+len(n.ahead) != 0 {
		t.Errorf("remembers %d and %d events that are done", len(n.tried), len(n.ahead))
	}
}
