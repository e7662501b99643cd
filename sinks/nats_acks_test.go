package sinks

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// answer makes somebody else answer every publish.
func answer(t *testing.T, nc *nats.Conn, text string) *nats.Subscription {
	t.Helper()
	sub, err := nc.Subscribe("jwkswatch.>", func(m *nats.Msg) { _ = m.Respond([]byte(text)) })
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestNATSForeignAck(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	nc := b.client()
	sub := answer(t, nc, "+ACK")
	n := openNATS(t, quick(b), (&ops{}).logger())
	j := newJournal(samples(200, 200)...)
	d, _ := deliver(t, j, n, (&ops{}).logger())
	eventually(t, "the other subscriber is told of", func() bool {
		return strings.Contains(d.Stats().LastError, "another subscriber answers on this subject") && n.Stats().ForeignAcks > 2
	})
	if d.Stats().Sent != 0 {
		t.Error("a foreign answer counts as an acknowledgement")
	}
	// Now there is a stream too, and the two race for the first answer.
	s := stream(t, nc, nil)
	eventually(t, "all is sent in spite of it", func() bool { return d.Stats().Sent == 200 })
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if ids := stored(t, s); len(ids) != 200 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 200 {
		t.Errorf("stored %d events", len(ids))
	}
	if st := n.Stats(); st.UnexpectedDuplicates != 0 {
		t.Errorf("statistics %+v", st)
	}
}

func TestNATSForgedAck(t *testing.T) {
	t.Parallel()
	t.Run("of another stream", func(t *testing.T) {
		t.Parallel()
		b := newBroker(t, nil)
		nc := b.client()
		sub := answer(t, nc, `{"stream":"FORGED","seq":999999}`)
		n := openNATS(t, quick(b), (&ops{}).logger())
		d, _ := deliver(t, newJournal(samples(2, 2)...), n, (&ops{}).logger())
		eventually(t, "the forgery is told of", func() bool {
			return strings.Contains(d.Stats().LastError, "forges answers") && n.Stats().ForeignAcks > 1
		})
		if d.Stats().Sent != 0 {
			t.Error("a forged answer counts as an acknowledgement")
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		s := stream(t, nc, nil)
		eventually(t, "all is sent", func() bool { return d.Stats().Sent == 2 })
		if got := count(t, s); got != 2 {
			t.Errorf("stored %d, want 2", got)
		}
	})
	// The two below are one promise: only the broker's permissions close the
	// hole, and an inbox of our own is what they can be bound to.
	forge := func(t *testing.T, other *server.SubjectPermission) (*broker, *Delivery, *NATS) {
		b := newBroker(t, func(o *server.Options) { o.Users = []*server.User{root(), user("other", other, nil)} })
		answer(t, b.client(nats.UserInfo("other", "other")), `{"stream":"JWKS","seq":999999}`)
		c := as(t, quick(b), "root")
		c.Timeout = 200 * time.Millisecond
		n := openNATS(t, c, (&ops{}).logger())
		d, _ := deliver(t, newJournal(samples(1, 1)...), n, (&ops{}).logger())
		return b, d, n
	}
	t.Run("of our stream with an open inbox", func(t *testing.T) {
		t.Parallel()
		_, d, _ := forge(t, nil)
		eventually(t, "the known hole shows", func() bool { return d.Stats().Sent == 1 })
	})
	t.Run("of our stream with a closed inbox", func(t *testing.T) {
		t.Parallel()
		b, d, _ := forge(t, &server.SubjectPermission{Deny: []string{"_INBOX_jwkswatch.>"}})
		eventually(t, "it is tried again", func() bool { return d.Stats().Retries >= 2 })
		if d.Stats().Sent != 0 {
			t.Error("a forged answer got through")
		}
		s := stream(t, b.client(nats.UserInfo("root", "root")), nil)
		eventually(t, "it is sent", func() bool { return d.Stats().Sent == 1 })
		if got := count(t, s); got != 1 {
			t.Errorf("stored %d, want 1", got)
		}
	})
}

func TestNATSDuplicates(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	nc := b.client()
	s := stream(t, nc, nil)
	log := &ops{}
	j := newJournal(samples(4, 4)...)
	n := openNATS(t, quick(b), log.logger())
	if sent, err := n.Send(t.Context(), j.entries[:3]); sent != 3 || err != nil {
		t.Fatal(sent, err)
	}

	// A process that crashed before it stored the cursor begins anew.
	again := openNATS(t, quick(b), log.logger())
	again.Recall(nil, "", j.at(3), func() {})
	if sent, err := again.Send(t.Context(), j.entries[:1]); sent != 1 || err != nil {
		t.Fatal(sent, err)
	}
	if sent, err := again.Send(t.Context(), j.entries[1:]); sent != 3 || err != nil {
		t.Fatal(sent, err)
	}
	if st := again.Stats(); st.Duplicates != 3 || st.UnexpectedDuplicates != 0 || count(t, s) != 4 {
		t.Errorf("after a restart: %+v", st)
	}

	// Somebody takes the id of an event that was never sent.
	j.add(sample(4, "ep-4"), sample(5, "ep-5"))
	m := nats.NewMsg("jwkswatch.v1.low.key.added.harmless")
	m.Header.Set("Nats-Msg-Id", j.entries[5].ID)
	if _, err := nc.RequestMsg(m, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if sent, err := again.Send(t.Context(), j.entries[4:]); sent != 2 || err != nil {
		t.Fatal(sent, err)
	}
	if st := again.Stats(); st.UnexpectedDuplicates != 1 || log.count("may be suppressing events") != 1 {
		t.Errorf("a suppressed event is not told of: %+v", st)
	}

	// The operator sets the cursor back.
	if sent, err := again.Send(t.Context(), j.entries); sent != 6 || err != nil {
		t.Fatal(sent, err)
	}
	if st := again.Stats(); st.UnexpectedDuplicates != 1 || st.Duplicates != 9 {
		t.Errorf("after a rewind: %+v", st)
	}
}
