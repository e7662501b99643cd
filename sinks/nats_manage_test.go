package sinks

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestNATSManageCreates(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	c := quick(b)
	c.Manage = ManageCreate
	n := openNATS(t, c, (&ops{}).logger())
	j := newJournal(samples(3, 3)...)
	d, _ := deliver(t, j, n, (&ops{}).logger())
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 3 })
	js, err := jetstream.New(b.client())
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "JWKS")
	if err != nil {
		t.Fatal(err)
	}
	got := s.CachedInfo().Config
	if len(got.Subjects) != 1 || got.Subjects[0] != "jwkswatch.v1.>" || got.Storage != jetstream.FileStorage || got.Discard != jetstream.DiscardOld ||
		got.Retention != jetstream.LimitsPolicy || got.Duplicates != 24*time.Hour || !got.DenyDelete || !got.DenyPurge {
		t.Errorf("made %+v", got)
	}
	// It is made again when somebody deletes it.
	if err := js.DeleteStream(t.Context(), "JWKS"); err != nil {
		t.Fatal(err)
	}
	j.add(sample(3, "ep"))
	holds(t, b, j.entries) // with what the one before had
}

func TestNATSManageNeverUpdates(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	s := stream(t, b.client(), func(c *jetstream.StreamConfig) { c.Duplicates = time.Minute })
	before, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := quick(b)
	c.Manage = ManageCreate
	n := openNATS(t, c, (&ops{}).logger())
	eventually(t, "the problem is told of", func() bool { return strings.Contains(n.Stats().StreamProblems, "duplicate window is 1m0s") })
	after, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Config.Duplicates != before.Config.Duplicates || after.Config.DenyDelete {
		t.Errorf("changed to %+v", after.Config)
	}
}

func TestNATSManageVerifies(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	nc := b.client()
	c := quick(b)
	c.Manage = ManageVerify
	log := &ops{}
	n := openNATS(t, c, log.logger())
	d, _ := deliver(t, newJournal(samples(1, 1)...), n, log.logger())
	eventually(t, "the missing stream is told of", func() bool { return strings.Contains(n.Stats().StreamProblems, "manage: create") })
	stream(t, nc, func(c *jetstream.StreamConfig) { c.Storage, c.Duplicates = jetstream.MemoryStorage, time.Minute })
	eventually(t, "the problems are told of", func() bool {
		p := n.Stats().StreamProblems
		return strings.Contains(p, "in memory") && strings.Contains(p, "duplicate window")
	})
	eventually(t, "the event is sent nevertheless", func() bool { return d.Stats().Sent == 1 })
	stream(t, nc, func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage })
	eventually(t, "one problem is left", func() bool {
		p := n.Stats().StreamProblems
		return strings.Contains(p, "in memory") && !strings.Contains(p, "duplicate window")
	})
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "JWKS"); err != nil {
		t.Fatal(err)
	}
	stream(t, nc, nil)
	eventually(t, "all is well", func() bool { return n.Stats().StreamProblems == "" && log.count("the stream is well set up") == 1 })
	if got := log.count("is not set up as it should be"); got < 2 || got > 4 {
		t.Errorf("problems logged %d times:\n%s", got, log)
	}
}

func TestNATSManageWithoutRights(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(o *server.Options) {
		o.Users = []*server.User{root(), user("agent", &server.SubjectPermission{Allow: []string{"jwkswatch.v1.>"}},
			&server.SubjectPermission{Allow: []string{"_INBOX_jwkswatch.>"}})}
	})
	s := stream(t, b.client(nats.UserInfo("root", "root")), nil)
	c := as(t, quick(b), "agent")
	c.Manage, c.Timeout = ManageVerify, 300*time.Millisecond
	n := openNATS(t, c, (&ops{}).logger())
	d, _ := deliver(t, newJournal(samples(1, 1)...), n, (&ops{}).logger())
	eventually(t, "the missing right is told of", func() bool { return strings.Contains(n.Stats().StreamProblems, "$JS.API.STREAM.INFO.JWKS") })
	eventually(t, "the event is sent nevertheless", func() bool { return d.Stats().Sent == 1 && count(t, s) == 1 })
}

func TestStreamProblems(t *testing.T) {
	t.Parallel()
	good := jetstream.StreamConfig{Subjects: []string{"jwkswatch.v1.>"}, Duplicates: time.Hour, Storage: jetstream.FileStorage}
	if err := problems(good, DefaultPrefix); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct {
		edit func(*jetstream.StreamConfig)
		want string
	}{
		"other subjects":   {func(c *jetstream.StreamConfig) { c.Subjects = []string{"jwkswatch.v2.>", "jwkswatch"} }, "does not take"},
		"some subjects":    {func(c *jetstream.StreamConfig) { c.Subjects = []string{"jwkswatch.v1.high.>"} }, "does not take jwkswatch.v1.informational.*.*.*"},
		"deep subjects":    {func(c *jetstream.StreamConfig) { c.Subjects = []string{"jwkswatch.v1.*.*.*"} }, "does not take"},
		"one endpoint":     {func(c *jetstream.StreamConfig) { c.Subjects = []string{"jwkswatch.v1.*.*.*.ep"} }, "does not take"},
		"short duplicates": {func(c *jetstream.StreamConfig) { c.Duplicates = 2 * time.Minute }, "duplicate window"},
		"memory":           {func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, "in memory"},
		"async":            {func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }, "persist mode"},
		"interest":         {func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, "retention"},
		"work queue":       {func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }, "retention"},
		"no acks":          {func(c *jetstream.StreamConfig) { c.NoAck = true }, "acknowledgements"},
		"sealed":           {func(c *jetstream.StreamConfig) { c.Sealed = true }, "sealed"},
		"a mirror":         {func(c *jetstream.StreamConfig) { c.Mirror = &jetstream.StreamSource{Name: "X"} }, "mirror"},
		"short age":        {func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "max_age is 1h0m0s"},
		"roll-ups":         {func(c *jetstream.StreamConfig) { c.AllowRollup = true }, "roll-ups"},
		"few, old go":      {func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 }, "the oldest events vanish"},
		"few, new go":      {func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 1000, jetstream.DiscardNew }, "new events are refused"},
		"small":            {func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 }, "max_bytes is 1048576"},
		"few a subject":    {func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "max_msgs_per_subject"},
		"small messages":   {func(c *jetstream.StreamConfig) { c.MaxMsgSize = 60000 }, "max_msg_size"},
	} {
		c := good
		test.edit(&c)
		if err := problems(c, DefaultPrefix); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, subjects := range [][]string{
		{">"},
		{"*.v1.>"},
		{"jwkswatch.v1.*.*.*.*"},
		{"a", "jwkswatch.>"},
		{"jwkswatch.v1.informational.>", "jwkswatch.v1.low.>", "jwkswatch.v1.medium.>", "jwkswatch.v1.high.>", "jwkswatch.v1.critical.>"},
	} {
		c := good
		c.Subjects = subjects
		if err := problems(c, DefaultPrefix); err != nil {
			t.Errorf("%v: %v", subjects, err)
		}
	}
}
