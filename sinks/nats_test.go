package sinks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

func TestNATSMessage(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	s := stream(t, b.client(), nil)
	closing := sampleOf(2, "corp-okta", "key.private", event.SeverityInformational, "gone")
	closing.Severity = uint8(event.SeverityCritical) // of its opening: what filters judge by
	entries := []state.Entry{
		sampleOf(1, "corp-okta", "key.added", event.SeverityHigh, "new"), closing,
		sampleOf(3, "", "agent.started", event.SeverityInformational, "hello"),
	}
	j := newJournal(entries...)
	d, _ := deliver(t, j, openNATS(t, quick(b), (&ops{}).logger()), (&ops{}).logger())
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 3 })

	for i, want := range []struct{ subject, typ, severity, endpoint string }{
		{"jwkswatch.v1.high.key.added.corp-okta", "key.added", "high", "corp-okta"},
		{"jwkswatch.v1.informational.key.private.corp-okta", "key.private", "informational", "corp-okta"},
		{"jwkswatch.v1.informational.agent.started._agent", "agent.started", "informational", "_agent"},
	} {
		m, err := s.GetMsg(t.Context(), uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != want.subject || string(m.Data) != string(entries[i].JSON) {
			t.Errorf("message %d: %s %s", i, m.Subject, m.Data)
		}
		headers := nats.Header{
			"Nats-Msg-Id": {entries[i].ID}, "Nats-Expected-Stream": {"JWKS"}, "Content-Type": {"application/cloudevents+json"},
			"Jwkswatch-Event-Type": {want.typ}, "Jwkswatch-Severity": {want.severity}, "Jwkswatch-Endpoint": {want.endpoint},
		}
		if fmt.Sprint(m.Header) != fmt.Sprint(headers) {
			t.Errorf("message %d: headers %v, want %v", i, m.Header, headers)
		}
	}
}

// The rows of the table of what a publisher meets.

func TestNATSNoStream(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	j := newJournal(samples(3, 3)...)
	log := &ops{}
	d, _ := deliver(t, j, openNATS(t, quick(b), log.logger()), log.logger())
	eventually(t, "the missing stream is told of", func() bool {
		return strings.Contains(d.Stats().LastError, "no stream takes jwkswatch.v1.high.key.added.ep-0: make one, or let the agent do it with manage: create")
	})
	eventually(t, "it is tried again", func() bool { return d.Stats().Retries >= 2 })
	if n := log.count("no stream takes"); n != 1 {
		t.Errorf("the same failure is logged %d times:\n%s", n, log)
	}
	s := stream(t, b.client(), nil)
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 3 })
	if got := stored(t, s); !slices.Equal(got, idsOf(j.entries)) {
		t.Errorf("stored %v", got)
	}
	if got := d.Stats(); got.LastError != "" || !got.Connected || log.count("delivery works again") != 1 {
		t.Errorf("after it is mended: %+v\n%s", got, log)
	}
}

func TestNATSNoStreamButCoreSubscriber(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	nc := b.client()
	heard := make(chan *nats.Msg, 64)
	if _, err := nc.ChanSubscribe("jwkswatch.>", heard); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	c := quick(b)
	c.Timeout = 100 * time.Millisecond
	d, _ := deliver(t, newJournal(samples(1, 1)...), openNATS(t, c, (&ops{}).logger()), (&ops{}).logger())
	<-heard
	eventually(t, "the hint stands", func() bool {
		return strings.Contains(d.Stats().LastError, "no stream takes the subject while another subscriber listens on it")
	})
	s := stream(t, nc, nil)
	eventually(t, "it is sent", func() bool { return d.Stats().Sent == 1 })
	if got := count(t, s); got != 1 {
		t.Errorf("stored %d times", got)
	}
}

func user(name string, publish, subscribe *server.SubjectPermission) *server.User {
	return &server.User{Username: name, Password: name, Permissions: &server.Permissions{Publish: publish, Subscribe: subscribe}}
}

func root() *server.User { return &server.User{Username: "root", Password: "root"} }

// as makes the sink log in with a user whose password is its name.
func as(t *testing.T, c NATSConfig, name string) NATSConfig {
	c.User, c.PasswordFile = name, secretFile(t, name)
	return c
}

func TestNATSPublishDenied(t *testing.T) {
	t.Parallel()
	for name, events := range map[string]int{"one by one": 3, "in a window": 200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inbox := &server.SubjectPermission{Allow: []string{"_INBOX_jwkswatch.>"}}
			b := newBroker(t, func(o *server.Options) {
				o.Users = []*server.User{root(), user("agent", &server.SubjectPermission{Allow: []string{"other.>"}}, inbox)}
			})
			s := stream(t, b.client(nats.UserInfo("root", "root")), nil)
			log := &ops{}
			c := as(t, quick(b), "agent")
			c.Timeout = time.Minute // the refusal must be noticed before it
			n := openNATS(t, c, log.logger())
			d, _ := deliver(t, newJournal(samples(events, 40)...), n, log.logger())
			eventually(t, "the refusal is told of", func() bool {
				return strings.Contains(d.Stats().LastError, "refuses to let this user publish to jwkswatch.v1.high.key.added.ep-0")
			})
			eventually(t, "it is tried again", func() bool { return d.Stats().Retries >= 3 })
			if st := n.Stats(); st.PermissionViolations < 3 || !strings.Contains(st.LastViolation, "jwkswatch.v1.high.key.added.ep-") {
				t.Errorf("statistics %+v", st)
			}
			// After the first window of 40 endpoints, one event an attempt.
			violations := n.Stats().PermissionViolations
			if most := 40 + d.Stats().Retries + 1; violations > most {
				t.Errorf("asked %d times, want at most %d", violations, most)
			}
			if got := log.count("refuses a subject"); got < 1 || got > maxTold {
				t.Errorf("violations logged %d times", got)
			}
			b.reload(func(o *server.Options) {
				o.Users = []*server.User{root(), user("agent", &server.SubjectPermission{Allow: []string{"jwkswatch.v1.>"}}, inbox)}
			})
			eventually(t, "all is sent", func() bool { return d.Stats().Sent == uint64(events) })
			if got := count(t, s); got != events {
				t.Errorf("stored %d, want %d", got, events)
			}
		})
	}
}

func TestNATSInboxDenied(t *testing.T) {
	t.Parallel()
	publish := &server.SubjectPermission{Allow: []string{"jwkswatch.v1.>"}}
	b := newBroker(t, func(o *server.Options) {
		o.Users = []*server.User{root(), user("agent", publish, &server.SubjectPermission{Allow: []string{"_INBOX.>"}})}
	})
	s := stream(t, b.client(nats.UserInfo("root", "root")), nil)
	c := as(t, quick(b), "agent")
	log := &ops{}
	n := openNATS(t, c, log.logger())
	d, _ := deliver(t, newJournal(samples(2, 2)...), n, log.logger())
	eventually(t, "the refusal is told of", func() bool {
		return strings.Contains(d.Stats().LastError, "refuses to let this user subscribe to _INBOX_jwkswatch.>")
	})
	eventually(t, "the event is stored nevertheless", func() bool { return count(t, s) == 1 })
	if d.Stats().Sent != 0 {
		t.Error("an event counts as sent without an acknowledgement")
	}
	b.reload(func(o *server.Options) {
		o.Users = []*server.User{root(), user("agent", publish, &server.SubjectPermission{Allow: []string{"_INBOX_jwkswatch.>"}})}
	})
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 2 })
	if got := count(t, s); got != 2 {
		t.Errorf("stored %d, want 2", got)
	}
	if st := n.Stats(); st.Duplicates != 1 || st.UnexpectedDuplicates != 0 {
		t.Errorf("statistics %+v", st)
	}
}

func TestNATSWrongStream(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	nc := b.client()
	other := stream(t, nc, func(c *jetstream.StreamConfig) { c.Name = "OTHER" })
	n := openNATS(t, quick(b), (&ops{}).logger())
	j := newJournal(samples(1, 1)...)
	sent, err := n.Send(t.Context(), j.entries)
	if sent != 0 || !errors.Is(err, ErrMisconfigured) || errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "is not JWKS") {
		t.Fatalf("sent %d, %v", sent, err)
	}
	d, _ := deliver(t, j, n, (&ops{}).logger())
	eventually(t, "it is tried again", func() bool { return d.Stats().Retries >= 2 })
	if got := count(t, other); got != 0 {
		t.Errorf("%d events went to another stream", got)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "OTHER"); err != nil {
		t.Fatal(err)
	}
	s := stream(t, nc, nil)
	eventually(t, "it is sent", func() bool { return d.Stats().Sent == 1 })
	if got := count(t, s); got != 1 {
		t.Errorf("stored %d, want 1", got)
	}
}

func TestNATSTooBig(t *testing.T) {
	t.Parallel()
	big := func(i int) state.Entry {
		return sampleOf(i, fmt.Sprintf("big-%d", i), "key.added", event.SeverityHigh, strings.Repeat("x", 5000))
	}
	for name, test := range map[string]struct {
		server func(*server.Options)
		stream func(*jetstream.StreamConfig)
		reason string
	}{
		"for the broker": {func(o *server.Options) { o.MaxPayload = 4096 }, nil, "max_payload"},
		"for the stream": {nil, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 4096 }, "max_msg_size"},
	} {
		for _, others := range []int{2, 198} { // one by one, in a window
			t.Run(fmt.Sprint(name, " among ", others), func(t *testing.T) {
				t.Parallel()
				b := newBroker(t, test.server)
				s := stream(t, b.client(), test.stream)
				log := &ops{}
				small := samples(others, 50)
				entries := slices.Insert(slices.Clone(small), others/2, big(1000), big(1001))
				d, _ := deliver(t, newJournal(entries...), openNATS(t, quick(b), log.logger()), log.logger())
				eventually(t, "the others are sent", func() bool { return d.Stats().Sent == uint64(others) })
				if st := d.Stats(); st.Parked != 2 {
					t.Errorf("statistics %+v", st)
				}
				ids := stored(t, s)
				slices.Sort(ids)
				if !slices.Equal(ids, idsOf(small)) {
					t.Errorf("stored %d events", len(ids))
				}
				if log.count(`"id":"`+big(1000).ID) != 1 || log.count(test.reason) != 2 {
					t.Errorf("parked events are not told of:\n%s", log)
				}
			})
		}
	}
}

func TestNATSRejectsHostileTokens(t *testing.T) {
	t.Parallel()
	edit := func(f func(*state.Entry)) state.Entry {
		e := sample(1, "ep")
		f(&e)
		return e
	}
	for name, e := range map[string]state.Entry{
		"wildcard in the endpoint": edit(func(e *state.Entry) { e.Endpoint = "a.*" }),
		"space in the endpoint":    edit(func(e *state.Entry) { e.Endpoint = "a b" }),
		"capital in the endpoint":  edit(func(e *state.Entry) { e.Endpoint = "Ep" }),
		"endpoint in UTF-8":        edit(func(e *state.Entry) { e.Endpoint = "ä" }),
		"long endpoint":            edit(func(e *state.Entry) { e.Endpoint = strings.Repeat("a", 64) }),
		"type of three":            edit(func(e *state.Entry) { e.Type = "a.b.c" }),
		"type of one":              edit(func(e *state.Entry) { e.Type = "a" }),
		"empty action":             edit(func(e *state.Entry) { e.Type = "a." }),
		"no type":                  edit(func(e *state.Entry) { e.Type = "" }),
		"no id":                    edit(func(e *state.Entry) { e.ID = "" }),
		"header in the id":         edit(func(e *state.Entry) { e.ID = "a\r\nX: y" }),
		"no JSON":                  edit(func(e *state.Entry) { e.JSON = []byte(`{"id":`) }),
		"two lines":                edit(func(e *state.Entry) { e.JSON = append([]byte("\n"), e.JSON...) }),
		"unknown severity":         edit(func(e *state.Entry) { e.JSON = []byte(strings.Replace(string(e.JSON), `"high"`, `"high.>"`, 1)) }),
		"no severity":              edit(func(e *state.Entry) { e.JSON = []byte(`{"time":"2026-11-22T18:49:03.412Z"}`) }),
		"no time":                  edit(func(e *state.Entry) { e.JSON = []byte(`{"data":{"event":{"severity":"low"}}}`) }),
	} {
		if m, err := message(DefaultPrefix, format.CloudEvents, &e); !errors.Is(err, ErrRejected) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}
