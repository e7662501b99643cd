package rules_test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// doc writes a set from words: "A:a" is RSA material A under kid a, "A:" has no
// kid; further parts are members, "A:a:use=enc". Material "!…" cannot be
// decoded, "#…" is symmetric.
func doc(words ...string) []byte {
	var entries []string
	for _, w := range words {
		entries = append(entries, entry(w))
	}
	return []byte(`{"keys":[` + strings.Join(entries, ",") + `]}`)
}

func entry(word string) string {
	parts := strings.Split(word, ":")
	m := parts[0]
	var members []string
	switch m[0] {
	case '!':
		members = append(members, `"kty":"RSA"`, fmt.Sprintf(`"n":%q`, m), `"e":"AQAB"`)
	case '#':
		members = append(members, `"kty":"oct"`, fmt.Sprintf(`"k":%q`, m))
	default:
		n := base64.RawURLEncoding.EncodeToString([]byte("material " + m + strings.Repeat("x", 256)))
		members = append(members, `"kty":"RSA"`, fmt.Sprintf(`"n":%q`, n), `"e":"AQAB"`)
	}
	if len(parts) > 1 && parts[1] != "" {
		members = append(members, fmt.Sprintf(`"kid":%q`, parts[1]))
	}
	for _, p := range parts[min(2, len(parts)):] {
		name, value, _ := strings.Cut(p, "=")
		if !strings.HasPrefix(value, "[") {
			value = fmt.Sprintf("%q", value)
		}
		members = append(members, fmt.Sprintf(`%q:%s`, name, value))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// sim drives Step as the watcher does, with the memory stored and read back
// between any two steps: a crash at each of them.
type sim struct {
	t        *testing.T
	now      time.Time
	good     time.Time
	stored   []byte
	policy   rules.Policy
	book     []rules.Rule  // nil: the built-in one
	facts    *rules.Facts  // of the answers to come
	health   *rules.Health // of the next answer
	peers    func(jwks.Identity) []rules.Peer
	views    *rules.Views
	recent   *rules.Recent
	row      int
	since    time.Time
	goods    int
	found    int // polls in a row whose discovery was good
	look     time.Duration
	age      time.Duration // of Cache-Control; 0: an hour, negative: none
	stores   int           // steps that were stored
	review   time.Time
	pending  bool
	accepted bool
	findings []rules.Finding // of the last step
	all      []rules.Finding
}

func newSim(t *testing.T) *sim {
	return &sim{
		t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		policy: rules.Policy{Endpoint: "corp-idp", URL: "https://idp.example/jwks", Interval: time.Minute, Tier: "standard"},
	}
}

func (s *sim) step(o rules.Observation) []string {
	s.t.Helper()
	m, err := history.Decode(s.stored)
	if err != nil {
		s.t.Fatal(err)
	}
	o.At, o.After, o.Remote = s.now, s.good, "192.0.2.7:443"
	o.Peers, o.Views, o.Recent = s.peers, s.views, s.recent
	book := s.book
	if book == nil {
		book = rules.Book()
	}
	if s.found++; o.Facts == nil || o.Facts.Discovery == nil || o.Facts.Discovery.Failure != nil {
		s.found = 0
	}
	o.DiscoveredInARow = s.found
	out := rules.Step(book, m, o, s.policy)
	if len(out.Findings) > 0 && !out.Store {
		s.t.Fatalf("findings that would not be stored: %v", tell(out.Findings))
	}
	before, _ := m.Encode()
	after, err := out.Memory.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	if !out.Store && string(before) != string(after) {
		s.t.Fatalf("a memory that changed would not be stored\n%s\n%s", before, after)
	}
	for i := range out.Findings {
		if c := out.Findings[i].Condition; c != nil && c.ID == "" {
			c.ID, c.OpenedBy = fmt.Sprint("cn1-", s.now.Unix(), "-", i), "jw1-x" // as the watcher does
		}
	}
	if s.stored, err = out.Memory.Encode(); err != nil {
		s.t.Fatal(err)
	}
	if s.review = out.Review; out.Store {
		s.stores++
	}
	s.look, s.pending, s.accepted, s.findings = out.Look, out.Memory.Pending != nil, out.Accepted, out.Findings
	s.all = append(s.all, out.Findings...)
	for _, f := range out.Findings {
		check(s.t, &f)
	}
	return tell(out.Findings)
}

// answer is one good fetch.
func (s *sim) answer(body []byte) []string {
	s.t.Helper()
	s.row, s.goods = 0, s.goods+1
	set := jwks.Parse(body)
	age := max(0, cmp.Or(s.age, time.Hour))
	got := s.step(rules.Observation{Set: set, GoodInARow: s.goods, MaxAge: age, Facts: s.facts, Health: s.health})
	s.health = nil
	if set.Usable() {
		s.good = s.now
	}
	return got
}

// fail is one failed fetch.
func (s *sim) fail() []string {
	s.t.Helper()
	return s.failWith(rules.Failure{Phase: "dial", Error: "connection refused"})
}

// failWith is one failed fetch of this kind.
func (s *sim) failWith(f rules.Failure) []string {
	s.t.Helper()
	s.goods = 0
	if s.row++; s.row == 1 {
		s.since = s.now
	}
	f.Count, f.Since = s.row, s.since
	return s.step(rules.Observation{Failure: &f})
}

// poll serves the document until nothing more is asked for, an interval after
// the last poll, and returns all that was told.
func (s *sim) poll(body []byte) []string {
	s.t.Helper()
	s.now = s.now.Add(s.policy.Interval)
	got := s.answer(body)
	for range 10 {
		if s.look == 0 {
			return got
		}
		s.now = s.now.Add(s.look)
		got = append(got, s.answer(body)...)
	}
	s.t.Fatal("looks without end")
	return nil
}

func (s *sim) wait(d time.Duration) { s.now = s.now.Add(d) }

// expect fails unless exactly these were told, in this order.
func (s *sim) expect(got []string, want ...string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("told\n     %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func tell(list []rules.Finding) []string {
	out := []string{}
	for _, f := range list {
		s := f.Severity.String() + " " + string(f.Type)
		if f.Key != nil && f.Key.Key.Kid != "" {
			s += " " + f.Key.Key.Kid
		}
		if f.Count > 1 {
			s += fmt.Sprint(" x", f.Count)
		}
		if f.Closing {
			s += " closed"
		}
		if !f.Confirmed {
			s += " once"
		}
		out = append(out, s)
	}
	return out
}

// check holds what is true of every finding.
func check(t *testing.T, f *rules.Finding) {
	t.Helper()
	switch {
	case f.Rule == nil || f.Rule.ID == "" || f.Rule.Type != f.Type:
		t.Errorf("%s: no rule of its type", f.Type)
	case f.Details == nil || f.Message == "" || f.Verdict == "":
		t.Errorf("%s: details, message or verdict missing: %+v", f.Type, f)
	case len([]rune(f.Message)) > 200 || !strings.HasPrefix(f.Message, "corp-idp: "):
		t.Errorf("%s: message %q", f.Type, f.Message)
	case f.Condition != nil && f.Condition.OpenedAt.IsZero():
		t.Errorf("%s: a condition that never opened", f.Type)
	case f.Closing && f.Severity != event.SeverityInformational:
		t.Errorf("%s: closes with severity %s", f.Type, f.Severity)
	}
}
