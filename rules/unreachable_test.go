package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// unanswered tells of endpoint.unreachable, with its codes.
func (s *sim) unanswered() []string {
	out := []string{}
	for _, f := range s.all {
		if f.Type != event.EndpointUnreachable {
			continue
		}
		text := f.Severity.String()
		if f.Closing {
			text = "closed"
		}
		for _, code := range f.Details.(*event.EndpointUnreachableDetails).Codes {
			text += " " + code
		}
		out = append(out, text)
	}
	return out
}

func (s *sim) expectUnanswered(name string, want ...string) {
	s.t.Helper()
	if got := s.unanswered(); !slices.Equal(got, want) {
		s.t.Errorf("%s: told %q, want %q", name, got, want)
	}
}

// recently sets how the last polls ended.
func recently(polls, failed, rows int) play {
	return func(s *sim) { s.recent = &rules.Recent{Polls: polls, Failed: failed, Rows: rows} }
}

func TestBlocked(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	refused := rules.Failure{Phase: "status", Code: "blocked"}
	s := newSim(t)
	scene(a, fails(5, refused), a, a)(s)
	s.expectUnanswered("refused", "medium blocked", "closed blocked")

	s = newSim(t)
	scene(a, fails(1, rules.Failure{Phase: "dial"}), func(s *sim) {
		for i := range 4 { // the second failure of the row and on
			s.wait(time.Minute)
			f := refused
			f.Row, f.RowSince = i+1, s.now
			s.failWith(f)
		}
	})(s)
	s.expectUnanswered("not only refused", "medium")
}

func TestProlonged(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	critical := func(s *sim) { s.policy.Tier = "critical" }
	down := rules.Failure{Phase: "dial"}
	for name, c := range map[string]struct {
		play play
		want []string
	}{
		"an hour":                           {scene(critical, a, fails(61, down)), []string{"medium", "high prolonged"}},
		"less":                              {scene(critical, a, fails(60, down)), []string{"medium"}},
		"of another tier":                   {scene(a, fails(600, down)), []string{"medium"}},
		"for days":                          {scene(critical, a, fails(4000, down)), []string{"medium", "high prolonged"}},
		"and then it answers":               {scene(critical, a, fails(61, down), a, a), []string{"medium", "high prolonged", "closed", "closed prolonged"}},
		"over a restart":                    {scene(critical, a, fails(30, down), func(s *sim) { s.row = 0 }, fails(31, down)), []string{"medium"}},
		"over a restart, and then the hour": {scene(critical, a, fails(30, down), func(s *sim) { s.row = 0 }, fails(33, down)), []string{"medium", "high prolonged"}},
		"while we are in trouble ourselves": {scene(critical, func(s *sim) { s.policy.Degraded = true }, a, fails(100, down)), []string{"low"}},
		"and after that": {
			scene(critical, func(s *sim) { s.policy.Degraded = true }, a, fails(100, down), func(s *sim) { s.policy.Degraded = false }, fails(1, down)),
			[]string{"low", "high prolonged"},
		},
	} {
		s := newSim(t)
		c.play(s)
		s.expectUnanswered(name, c.want...)
	}
}

func TestIntermittent(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	once := fails(1, rules.Failure{Phase: "timeout"})
	told := []string{"medium intermittent"}
	for name, c := range map[string]struct {
		play play
		want []string
	}{
		"ten of fifty":         {scene(a, recently(50, 10, 3), once), told},
		"nine":                 {scene(a, recently(50, 9, 9), once), nil},
		"in two rows":          {scene(a, recently(50, 20, 2), once), nil},
		"ten of the first":     {scene(a, recently(20, 10, 10), once), told},
		"told once":            {scene(a, recently(50, 10, 3), once, once, a, once), told},
		"nobody counted":       {scene(a, once), nil},
		"not over yet":         {scene(a, recently(50, 10, 3), once, recently(50, 6, 3), a, a), told},
		"over":                 {scene(a, recently(50, 10, 3), once, recently(50, 5, 3), a, a), append(told, "closed intermittent")},
		"after a restart":      {scene(a, recently(50, 10, 3), once, recently(49, 0, 0), a, a), told},
		"our own trouble":      {scene(a, func(s *sim) { s.policy.Degraded = true }, recently(50, 10, 3), once), nil},
		"and then for a while": {scene(a, recently(50, 10, 3), once, fails(4, rules.Failure{Phase: "timeout"}), a, a), append(told, "medium", "closed")},
	} {
		s := newSim(t)
		c.play(s)
		if c.want == nil {
			c.want = []string{}
		}
		s.expectUnanswered(name, c.want...)
	}
}

// TestReturnedAsAnother lets an endpoint be away and come back with other keys.
func TestReturnedAsAnother(t *testing.T) {
	t.Parallel()
	down := rules.Failure{Phase: "dial"}
	day := 24 * time.Hour
	away := func(d time.Duration) play {
		return scene(fails(5, down), func(s *sim) { s.wait(d - 5*time.Minute) }, fails(1, down))
	}
	own, another := leaf("11", "CN=One", year), leaf("22", "CN=Two", year)
	ours, theirs := polls(doc("A:a", "B:b")), polls(doc("C:c", "D:d"))
	for name, c := range map[string]struct {
		play play
		want bool
	}{
		"a day, with another issuer":       {scene(own, ours, away(day+5*time.Minute), another, theirs), true},
		"less than a day":                  {scene(own, ours, away(day-5*time.Minute), another, theirs), false},
		"with the same issuer":             {scene(own, ours, away(2*day), leaf("33", "CN=One", year), theirs), false},
		"with a key of before":             {scene(own, ours, away(2*day), another, polls(doc("A:a", "C:c"))), false},
		"while nobody looked":              {scene(own, ours, func(s *sim) { s.wait(2 * day) }, another, theirs), false},
		"with other keys some polls after": {scene(own, ours, away(2*day), another, ours, theirs), false},
	} {
		s := newSim(t)
		c.play(s)
		got := slices.ContainsFunc(s.openings(event.SetReplaced), func(f rules.Finding) bool {
			return f.Severity >= event.SeverityHigh && slices.Contains(f.Reasons, "returned_as_another")
		})
		if got != c.want {
			t.Errorf("%s: %q", name, tell(s.all))
		}
	}
}

// TestWhatCameInPlaceOfASet holds that an answer which is none is told from no
// answer, and both from an address that we ourselves do not ask.
func TestWhatCameInPlaceOfASet(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]rules.Failure{
		"no answer since ":                                          {Phase: "dial"},
		"HTTP 404 in place of a key set since ":                     {Phase: "status", Evidence: &event.Transport{Status: new(404)}},
		"an error in place of a key set since ":                     {Phase: "status"},
		"not asked, as its URL or address is not allowed to us sin": {Phase: "refused"},
		"an answer that is too long since ":                         {Phase: "size"},
		"no connection that can be trusted since ":                  {Phase: "tls"},
		"no discovery document since ":                              {Phase: "discovery", Evidence: &event.Transport{Status: new(404)}},
		"a discovery document that must not be used since ":         {Phase: "discovery", Evidence: &event.Transport{Status: new(200)}},
		"it refuses us since ":                                      {Phase: "status", Code: "blocked", Row: 9, Evidence: &event.Transport{Status: new(403)}},
	} {
		s := newSim(t)
		s.poll(doc("A:a"))
		fails(4, f)(s)
		if got := s.only(event.EndpointUnreachable).Message; !strings.HasPrefix(got, "corp-idp: "+want) {
			t.Errorf("%s: %s", f.Phase, got)
		}
	}
}
