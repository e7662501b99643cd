package sinks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const natsFiles = "../configs/nats"

// shipped starts a server with the files that are shipped.
func shipped(t *testing.T) *broker {
	t.Helper()
	for _, name := range []string{"JWKSWATCH", "SIEM", "ADMIN"} {
		t.Setenv("NATS_"+name+"_PASSWORD", "pw-"+strings.ToLower(name))
	}
	o, err := server.ProcessConfigFile(filepath.Join(natsFiles, "server.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if !o.SyncAlways {
		t.Error("the server acknowledges what its disk has not")
	}
	o.StoreDir, o.Port, o.NoLog, o.NoSigs = t.TempDir(), freePort(t), true, true
	return newBroker(t, func(to *server.Options) { *to = *o })
}

// logged is a connection of a user, and what the server refused to it.
func logged(t *testing.T, b *broker, user string) (*nats.Conn, chan error) {
	t.Helper()
	refused := make(chan error, 16)
	nc, err := nats.Connect(b.url(), nats.UserInfo(user, "pw-"+user), nats.CustomInboxPrefix("_INBOX_"+user),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, refused
}

// call asks the API of JetStream as the admin.
func call(t *testing.T, nc *nats.Conn, subject string, body []byte) {
	t.Helper()
	m, err := nc.Request(subject, body, patience)
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil || a.Error != nil {
		t.Fatalf("%s: %s %v", subject, m.Data, err)
	}
}

// The accounts that are shipped let each do its work and nothing else, and the
// stream that is shipped is one that verify has nothing against.
func TestNATSAccounts(t *testing.T) {
	b := shipped(t)
	config := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(natsFiles, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	admin, adminRefused := logged(t, b, "admin")
	call(t, admin, "$JS.API.STREAM.CREATE.JWKSWATCH", config("stream.json"))
	call(t, admin, "$JS.API.CONSUMER.CREATE.JWKSWATCH.siem", slices.Concat([]byte(`{"stream_name":"JWKSWATCH","config":`), config("consumer-siem.json"), []byte("}")))

	c := asking(b)
	c.Stream, c.User, c.PasswordFile = "JWKSWATCH", "jwkswatch", secretFile(t, "pw-jwkswatch")
	log, l, all := &ops{}, &losses{}, samples(120, 7)
	n := openNATS(t, c, log.logger())
	j := newJournal(all...)
	d, _ := runs(t, j, n, l, log)
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 120 && n.Stats().StreamJudged })
	asked := n.asked.Load()
	eventually(t, "it is asked again", func() bool { return n.asked.Load() > asked })
	if st := n.Stats(); st.PermissionViolations != 0 || st.StreamProblems != "" || len(l.all()) != 0 {
		t.Errorf("%+v, told %+v\n%s", st, l.all(), log)
	}

	siem, siemRefused := logged(t, b, "siem")
	js, err := jetstream.New(siem)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), "JWKSWATCH", "siem")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(120, jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for m := range batch.Messages() {
		got = append(got, m.Headers().Get("Nats-Msg-Id"))
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, idsOf(all)) {
		t.Errorf("the reader got %d events", len(got))
	}
	if len(siemRefused)+len(adminRefused) > 0 {
		t.Errorf("the server refused what is needed")
	}

	agent, agentRefused := logged(t, b, "jwkswatch")
	for _, test := range []struct {
		who     string
		nc      *nats.Conn
		refused chan error
		publish string
	}{
		{"the reader forges an event", siem, siemRefused, "jwkswatch.v1.low.key.added.corp"},
		{"the reader forges an acknowledgement", siem, siemRefused, "_INBOX_jwkswatch.abc.1"},
		{"the reader deletes the stream", siem, siemRefused, "$JS.API.STREAM.DELETE.JWKSWATCH"},
		{"the reader moves its consumer", siem, siemRefused, "$JS.API.CONSUMER.CREATE.JWKSWATCH.siem"},
		{"the agent purges the stream", agent, agentRefused, "$JS.API.STREAM.PURGE.JWKSWATCH"},
		{"the agent changes the stream", agent, agentRefused, "$JS.API.STREAM.UPDATE.JWKSWATCH"},
		{"the agent deletes an event", agent, agentRefused, "$JS.API.STREAM.MSG.DELETE.JWKSWATCH"},
		{"the admin forges an event", admin, adminRefused, "jwkswatch.v1.low.key.added.corp"},
		{"the admin forges an acknowledgement", admin, adminRefused, "_INBOX_jwkswatch.abc.1"},
	} {
		if err := test.nc.Publish(test.publish, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-test.refused:
		case <-time.After(patience):
			t.Errorf("%s, and is not refused", test.who)
		}
	}
	for user, nc := range map[string]*nats.Conn{"siem": siem, "admin": admin} {
		refused := siemRefused
		if user == "admin" {
			refused = adminRefused
		}
		if _, err := nc.SubscribeSync("jwkswatch.>"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-refused:
		case <-time.After(patience):
			t.Errorf("%s reads from the subject", user)
		}
	}
	// Nobody can empty it, not even who made it.
	m, err := admin.Request("$JS.API.STREAM.PURGE.JWKSWATCH", nil, patience)
	if err != nil || !strings.Contains(string(m.Data), `"error"`) {
		t.Errorf("purged: %s %v", m.Data, err)
	}
}
