package configs_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/sinks"
)

// TestConnect runs the shipped configuration: what the sink published into the
// shipped stream, as the shipped accounts allow it, is in Elasticsearch once and
// unchanged, and nothing is acknowledged before it is there.
func TestConnect(t *testing.T) {
	benthos := tool(t, "benthos")
	cert, key := certificate(t)
	broker, creds := natsServer(t, cert, key)
	consumer := streamAndConsumer(t, broker, creds["admin"], cert)
	entries := feed(t)
	sink, err := sinks.OpenNATS(sinks.NATSConfig{
		Sink: "siem", URL: broker, Stream: "JWKSWATCH", Manage: sinks.ManageVerify, CredentialsFile: creds["jwkswatch"], CAFile: cert,
	}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sink.Close() }()
	if n, err := sink.Send(t.Context(), entries); err != nil || n != len(entries) {
		t.Fatalf("%d of %d are published: %v", n, len(entries), err)
	}

	es := newElastic(t, cert, key)
	es.torn[entries[3].ID], es.torn[entries[40].ID] = true, true
	config := filepath.Join(t.TempDir(), "jwkswatch.yaml")
	save(t, config, []byte(strings.Replace(read(t, "redpanda-connect/jwkswatch.yaml"), "elasticsearch_v8:", "elasticsearch:", 1)))
	// Its own port is a fixed one; the older output asks for other nodes, by HTTP alone.
	p := start(t, []string{"NATS_URL=" + broker, "NATS_CREDENTIALS=" + creds["siem"], "ELASTICSEARCH_URL=" + es.url, "SSL_CERT_FILE=" + cert},
		benthos, "-c", config, "--set", "http.enabled=false", "--set", "output.elasticsearch.sniff=false")

	eventually(t, p, "it is turned away", func() (turned bool) {
		es.do(func() { turned = es.turned >= 3 })
		return turned
	})
	if i := about(t, consumer); i.AckFloor.Consumer != 0 || i.NumAckPending == 0 {
		t.Errorf("acknowledged before Elasticsearch has it: %+v", i)
	}
	es.do(func() { es.open = true })
	eventually(t, p, "all is acknowledged", func() bool {
		i := about(t, consumer)
		return i.NumPending == 0 && i.NumAckPending == 0
	})
	if es.count() != len(entries) {
		t.Errorf("%d of %d documents", es.count(), len(entries))
	}
	for _, e := range entries {
		doc, ok := es.docs[e.ID]
		if !ok {
			t.Errorf("%s (%s) did not arrive", e.ID, e.Type)
			continue
		}
		want := decoded(t, e.JSON)
		want["@timestamp"] = want["time"]
		same(t, e.Type, decoded(t, doc), want)
	}
	if es.writes[entries[3].ID] < 2 || es.meta["index"] != "jwkswatch-events" {
		t.Errorf("the lost answer made %d writes; %v", es.writes[entries[3].ID], es.meta)
	}
	p.stop(t, os.Interrupt)
}

func about(t *testing.T, c jetstream.Consumer) *jetstream.ConsumerInfo {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	i, err := c.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// natsServer is one with the shipped files, but that it listens elsewhere, with TLS,
// and knows the users of accounts.conf with their rights by credentials files.
func natsServer(t *testing.T, cert, key string) (url string, creds map[string]string) {
	t.Helper()
	for _, name := range []string{"JWKSWATCH", "SIEM", "ADMIN"} {
		t.Setenv("NATS_"+name+"_PASSWORD", "not-used-"+name)
	}
	o, err := server.ProcessConfigFile("nats/server.conf")
	if err != nil {
		t.Fatal(err)
	}
	o.StoreDir, o.Port, o.NoLog, o.NoSigs = t.TempDir(), -1, true, true
	if o.TLSConfig, err = server.GenTLSConfig(&server.TLSConfigOpts{CertFile: cert, KeyFile: key}); err != nil {
		t.Fatal(err)
	}
	o.TLSTimeout = 5
	creds = credentials(t, o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return "tls://" + s.Addr().String(), creds
}

// credentials replaces the users of the options by signed ones with the same rights.
func credentials(t *testing.T, o *server.Options) map[string]string {
	t.Helper()
	pair := func(create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		k, err := create()
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return k, public
	}
	operator, operatorPublic := pair(nkeys.CreateOperator)
	account, accountPublic := pair(nkeys.CreateAccount)
	_, systemPublic := pair(nkeys.CreateAccount)
	sign := func(c jwt.Claims, by nkeys.KeyPair) string {
		text, err := c.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	claims := jwt.NewAccountClaims(accountPublic)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	resolver := &server.MemAccResolver{}
	for public, c := range map[string]*jwt.AccountClaims{accountPublic: claims, systemPublic: jwt.NewAccountClaims(systemPublic)} {
		if err := resolver.Store(public, sign(c, operator)); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{}
	for _, u := range o.Users {
		k, public := pair(nkeys.CreateUser)
		c := jwt.NewUserClaims(public)
		c.Pub.Allow.Add(u.Permissions.Publish.Allow...)
		c.Sub.Allow.Add(u.Permissions.Subscribe.Allow...)
		seed, err := k.Seed()
		if err != nil {
			t.Fatal(err)
		}
		file, err := jwt.FormatUserConfig(sign(c, account), seed)
		if err != nil {
			t.Fatal(err)
		}
		files[u.Username] = filepath.Join(t.TempDir(), u.Username+".creds")
		save(t, files[u.Username], file)
	}
	o.Users, o.Accounts = nil, nil
	o.TrustedKeys, o.AccountResolver, o.SystemAccount = []string{operatorPublic}, resolver, systemPublic
	return files
}

// streamAndConsumer makes what the files next to the server's say.
func streamAndConsumer(t *testing.T, url, creds, ca string) jetstream.Consumer {
	t.Helper()
	nc, err := nats.Connect(url, nats.UserCredentials(creds), nats.RootCAs(ca), nats.CustomInboxPrefix("_INBOX_admin"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	for subject, body := range map[string][]byte{
		"$JS.API.STREAM.CREATE.JWKSWATCH": []byte(read(t, "nats/stream.json")),
	} {
		if _, err := nc.Request(subject, body, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	body := slices.Concat([]byte(`{"stream_name":"JWKSWATCH","config":`), []byte(read(t, "nats/consumer-siem.json")), []byte("}"))
	if _, err := nc.Request("$JS.API.CONSUMER.CREATE.JWKSWATCH.siem", body, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.Consumer(t.Context(), "JWKSWATCH", "siem")
	if err != nil {
		t.Fatal(err)
	}
	return c
}
