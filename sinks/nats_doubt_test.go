package sinks

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Who may publish to our inbox can forge an answer; a sink that asks the stream
// finds out that the event is not there.
func TestNATSForgedAckIsFound(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(o *server.Options) { o.Users = []*server.User{root(), user("other", nil, nil)} })
	as1 := func() *nats.Conn { return b.client(nats.UserInfo("root", "root")) }
	other := b.client(nats.UserInfo("other", "other"))
	// The stream takes the subjects elsewhere, so that the forger always wins.
	stream(t, as1(), func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere.>"} })
	sub := answer(t, other, `{"stream":"JWKS","seq":999999}`)
	j, l, log := newJournal(samples(5, 5)...), &losses{}, &ops{}
	runs(t, j, openNATS(t, as(t, asking(b), "root"), log.logger()), l, log)
	eventually(t, "the forgery is found", func() bool { return l.count() > 0 })
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	s := stream(t, as1(), nil)
	eventually(t, "all is there", func() bool {
		return slices.Equal(slices.Sorted(slices.Values(stored(t, s))), idsOf(j.entries))
	})
}

// A right that is missing is told of once, and nothing waits for it.
func TestNATSMayNotAsk(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(o *server.Options) {
		o.Users = []*server.User{root(), user("agent", &server.SubjectPermission{Allow: []string{"jwkswatch.v1.>", "$JS.API.STREAM.INFO.JWKS"}},
			&server.SubjectPermission{Allow: []string{"_INBOX_jwkswatch.>"}})}
	})
	stream(t, b.client(nats.UserInfo("root", "root")), nil)
	j, l, log := newJournal(samples(3, 3)...), &losses{}, &ops{}
	d, _ := runs(t, j, openNATS(t, as(t, asking(b), "agent"), log.logger()), l, log)
	eventually(t, "it is told", func() bool {
		return strings.Contains(log.String(), "needs the right to publish to $JS.API.STREAM.MSG.GET.JWKS")
	})
	j.add(sample(3, "ep"), sample(4, "ep"))
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 5 })
	if n := log.count("needs the right to publish to $JS.API.STREAM.MSG.GET.JWKS"); n != 1 || len(l.all()) != 0 {
		t.Errorf("told %d times, %+v", n, l.all())
	}
}
