package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// A stream that is made anew under a running agent gets all that it had, and is
// told of to every sink.
func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	b := startNATS(t)
	i := &lab.Issuer{}
	i.Add(lab.NewEC("a", "P-256"))
	url, stop, err := i.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	d := startDaemon(t, write(t, dir, "jwkswatch.yaml", strings.NewReplacer("DIR", dir, "IDP", url, "NATS", b.url).Replace(`
state: { path: DIR/state.db }
poll: { interval: 1s }
endpoints: [{ name: idp, jwks_uri: "IDP", allow_private: true }]
sinks:
  - { name: siem, type: nats, url: "NATS", stream: JWKSWATCH, manage: verify, from: beginning }
observer: { name: soc-1, heartbeat: 1s }
`)))
	find := func(typ event.Type) *event.Event {
		for _, e := range b.all(t) {
			if e.Data.Event.Type == typ {
				return e
			}
		}
		return nil
	}
	until := func(what string, found func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !found(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never: %s\n%s", what, d.errs)
			}
		}
	}
	until("the first sight is in the stream", func() bool { return find(event.BaselineEstablished) != nil })
	first := find(event.BaselineEstablished).ID
	if err := b.js.DeleteStream(t.Context(), "JWKSWATCH"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "JWKSWATCH", Subjects: []string{"jwkswatch.v1.>"}, Storage: jetstream.FileStorage, Duplicates: time.Hour,
	}); err != nil {
		t.Fatal(err)
	}
	until("the loss is told", func() bool { return find(event.AgentEventsLost) != nil })
	details := find(event.AgentEventsLost).Data.Details.(*event.AgentEventsLostDetails)
	if details.Sink != "siem" || details.Cause != "receiver_lost" || !details.Resent || details.Count < 2 {
		t.Errorf("%+v", details)
	}
	if e := find(event.BaselineEstablished); e == nil || e.ID != first {
		t.Errorf("the first sight is gone, or has another id: %+v", e)
	}
	if code := d.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
