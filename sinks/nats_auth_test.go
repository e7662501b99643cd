package sinks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, content)
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// takes delivers one event through a sink, and one more after rotate.
func takes(t *testing.T, b *broker, c NATSConfig, rotate func(), options ...nats.Option) (n *NATS) {
	t.Helper()
	s := stream(t, b.client(options...), nil)
	log := &ops{}
	j := newJournal(sample(0, "ep"))
	n = openNATS(t, c, log.logger())
	d, _ := deliver(t, j, n, log.logger())
	eventually(t, "the event is sent", func() bool { return d.Stats().Sent == 1 })
	want := 1
	if rotate != nil {
		rotate()
		j.add(sample(1, "ep"))
		want++
		eventually(t, "the event after the rotation is sent", func() bool { return d.Stats().Sent == 2 })
	}
	if got := count(t, s); got != want {
		t.Errorf("stored %d, want %d\n%s", got, want, log)
	}
	return n
}

// refusals waits until the broker has refused the sink at least n times more.
func refusals(t *testing.T, b *broker, n int) {
	t.Helper()
	closed := func() int {
		z, err := b.s.Connz(&server.ConnzOptions{State: server.ConnClosed})
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		for _, c := range z.Conns {
			if strings.Contains(c.Reason, "Authentication") {
				refused++
			}
		}
		return refused
	}
	before := closed()
	eventually(t, "the broker has refused the sink", func() bool { return closed() >= before+n })
}

func TestNATSTokenRotated(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(o *server.Options) { o.Authorization = "first" })
	c := quick(b)
	c.TokenFile = secretFile(t, "first")
	n := takes(t, b, c, func() {
		b.restart(func(o *server.Options) { o.Authorization = "second" })
		refusals(t, b, 3) // two are enough to make nats.go give up by default
		write(t, c.TokenFile, "second")
	}, nats.IgnoreAuthErrorAbort(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.TokenHandler(func() string {
		token, _ := secret(c.TokenFile)
		return token
	}))
	if st := n.Stats(); st.Reconnects == 0 {
		t.Errorf("the connection was given up instead of renewed: %+v", st)
	}
}

func TestNATSNkeyRotated(t *testing.T) {
	t.Parallel()
	pair := func() (seed, public string) {
		k, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		s, err := k.Seed()
		if err != nil {
			t.Fatal(err)
		}
		p, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return string(s), p
	}
	seed1, public1 := pair()
	seed2, public2 := pair()
	b := newBroker(t, func(o *server.Options) {
		o.Nkeys = []*server.NkeyUser{{Nkey: public1}}
		o.Users = []*server.User{root()}
	})
	c := quick(b)
	c.NkeySeedFile = secretFile(t, seed1)
	takes(t, b, c, func() {
		b.restart(func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public2}} })
		refusals(t, b, 2)
		write(t, c.NkeySeedFile, seed2)
	}, nats.UserInfo("root", "root"))
}

func TestNATSCredentialsFile(t *testing.T) {
	t.Parallel()
	key := func(create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		k, err := create()
		if err != nil {
			t.Fatal(err)
		}
		p, err := k.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		return k, p
	}
	operator, operatorPublic := key(nkeys.CreateOperator)
	account, accountPublic := key(nkeys.CreateAccount)
	_, systemPublic := key(nkeys.CreateAccount)
	sign := func(c jwt.Claims, k nkeys.KeyPair) string {
		s, err := c.Encode(k)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	claims := jwt.NewAccountClaims(accountPublic)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	resolver := &server.MemAccResolver{}
	for public, token := range map[string]string{
		accountPublic: sign(claims, operator), systemPublic: sign(jwt.NewAccountClaims(systemPublic), operator),
	} {
		if err := resolver.Store(public, token); err != nil {
			t.Fatal(err)
		}
	}
	creds := func() string {
		u, public := key(nkeys.CreateUser)
		seed, err := u.Seed()
		if err != nil {
			t.Fatal(err)
		}
		c, err := jwt.FormatUserConfig(sign(jwt.NewUserClaims(public), account), seed)
		if err != nil {
			t.Fatal(err)
		}
		return string(c)
	}
	b := newBroker(t, func(o *server.Options) {
		o.TrustedKeys, o.AccountResolver, o.SystemAccount = []string{operatorPublic}, resolver, systemPublic
	})
	c := quick(b)
	c.CredentialsFile = secretFile(t, creds())
	takes(t, b, c, func() {
		write(t, c.CredentialsFile, creds()) // another user: the file is read for each connection
		b.stop()
		b.start()
	}, nats.UserCredentials(secretFile(t, creds())))
}
