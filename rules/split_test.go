package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// address is what one address showed: sets, each for a time, the last of them
// until now. It answers once a minute.
type address struct {
	name string
	sets []served
}

type served struct {
	body []byte
	long time.Duration
}

// showed sets the views of all addresses.
func showed(list ...address) play {
	return func(s *sim) {
		s.policy.EachAddress = true
		v := &rules.Views{}
		for _, a := range list {
			var all time.Duration
			for _, x := range a.sets {
				all += x.long
			}
			at := s.now.Add(-all)
			view := rules.View{Address: a.name, Since: at, Last: s.now, Seen: map[jwks.Identity]rules.Span{}}
			for _, x := range a.sets {
				set := jwks.Parse(x.body)
				view.Digest, view.Keys = set.Digest, len(set.Keys)
				for _, k := range set.Keys {
					span, ok := view.Seen[k.ID]
					if !ok {
						span = rules.Span{First: at, Signs: k.Class() == jwks.ClassSignature}
					}
					span.Last = at.Add(x.long)
					view.Seen[k.ID] = span
				}
				at = at.Add(x.long)
			}
			v.List = append(v.List, view)
		}
		s.views = v
	}
}

// always is an address that showed one set for a day.
func always(name string, body []byte) address {
	return address{name, []served{{body, 24 * time.Hour}}}
}

func splitScene() struct{ fires, quiet play } {
	a := polls(doc("A:a"))
	return struct{ fires, quiet play }{
		scene(a, showed(always("192.0.2.1:443", doc("A:a")), always("192.0.2.2:443", doc("A:a", "R:r"))), a),
		scene(a, showed(always("192.0.2.1:443", doc("A:a")), always("192.0.2.2:443", doc("A:a"))), a),
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	const settle = 8 * time.Hour // four times the grace, which is twice a max-age of an hour
	a, b := doc("A:a"), doc("A:a", "B:b")
	rogue := doc("A:a", "R:r")
	enc := doc("A:a", "E:e:use=enc")
	first := func(x ...served) address { return address{"192.0.2.1:443", x} }
	second := func(x ...served) address { return address{"192.0.2.2:443", x} }
	day := 24 * time.Hour
	maxAge := shows(func(f *rules.Facts) { f.HasMaxAge, f.MaxAge = true, time.Hour })
	known := polls(b) // the set of the baseline
	for name, c := range map[string]struct {
		views []address
		want  string
	}{
		"one set":                             {[]address{first(served{b, day}), second(served{b, day})}, ""},
		"a key that one address never showed": {[]address{first(served{b, day}), second(served{rogue, day}, served{b, time.Minute})}, "high unknown_key"},
		"for the time":                        {[]address{first(served{a, day}), second(served{a, day - settle}, served{rogue, settle})}, "high unknown_key"},
		"for a little less":                   {[]address{first(served{a, day}), second(served{a, day - settle + 1}, served{rogue, settle - 1})}, ""},
		"a key for another purpose":           {[]address{first(served{a, day}), second(served{enc, day})}, "medium rollout"},
		"a removal that is stuck":             {[]address{first(served{b, day - settle}, served{a, settle}), second(served{b, day})}, "medium rollout"},
		"a removal for a little less":         {[]address{first(served{b, day - settle + 1}, served{a, settle - 1}), second(served{b, day})}, ""},
		"a difference that is over":           {[]address{first(served{a, day}), second(served{rogue, day - settle}, served{a, settle})}, ""},
		"servers that take turns behind each": {[]address{first(served{a, day - time.Hour}, served{b, time.Minute}, served{a, 59 * time.Minute}), second(served{b, day - time.Minute}, served{a, time.Minute})}, ""},
		"watched for too short a time":        {[]address{first(served{a, settle - 1}), second(served{rogue, settle - 1})}, ""},
		"the other watched for too short":     {[]address{first(served{a, settle - 1}), second(served{rogue, day})}, ""},
		"one address":                         {[]address{second(served{rogue, day})}, ""},
	} {
		s := newSim(t)
		scene(maxAge, known, showed(c.views...), polls(b, b))(s)
		var got []string
		for _, f := range s.openings(event.SetSplit) {
			d := f.Details.(*event.SetSplitDetails)
			got = append(got, f.Severity.String()+" "+d.Code)
			if len(d.Views) != len(c.views) || d.Since == nil || d.Views[0].Address != c.views[0].name || !strings.HasPrefix(d.Views[0].Digest, "sha256:") {
				t.Errorf("%s: %+v", name, d)
			}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestSplitThatGoesOn holds when the condition opens and closes, over restarts and
// over a roll-out that turns into something worse.
func TestSplitThatGoesOn(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	a, old := doc("A:a"), doc("A:a", "O:o")
	stuck := showed(always("192.0.2.1:443", a), always("192.0.2.2:443", old))
	scene(polls(old), later(48*time.Hour), polls(a), stuck, polls(a, a))(s)
	f := s.only(event.SetSplit)
	if d := f.Details.(*event.SetSplitDetails); d.Code != "rollout" || d.Views[0].Only != 0 || d.Views[1].Only != 1 || d.Views[1].Keys != 2 {
		t.Errorf("%+v", d)
	}
	// After a restart nothing is known, and then little.
	s.views = nil
	scene(polls(a), showed(address{"192.0.2.1:443", []served{{a, time.Minute}}}), polls(a, a))(s)
	s.only(event.SetSplit)
	// Both serve the same for long: over.
	scene(showed(always("192.0.2.1:443", a), always("192.0.2.2:443", a)), polls(a, a))(s)
	if got := tell(s.all); !slices.Contains(got, "informational set.split closed") {
		t.Errorf("told %q", got)
	}
	// One that is configured away is over too.
	s = newSim(t)
	scene(polls(a), showed(always("192.0.2.1:443", a), always("192.0.2.2:443", doc("A:a", "R:r"))), polls(a, a))(s)
	s.only(event.SetSplit)
	s.views, s.policy.EachAddress = nil, false
	polls(a, a)(s)
	if got := tell(s.all); !slices.Contains(got, "informational set.split closed") {
		t.Errorf("told %q", got)
	}
}

func TestSplitAfter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		interval, maxAge time.Duration
		n                int
		want             time.Duration
	}{
		{time.Second, 0, 2, time.Hour},
		{time.Minute, 0, 2, time.Hour},                       // four times 15 minutes
		{time.Minute, 10 * time.Minute, 2, 80 * time.Minute}, // four times twice 10 minutes
		{time.Minute, 3 * time.Hour, 2, 8 * time.Hour},       // of which two hours are the most
		{time.Minute, 5 * time.Hour, 2, 10 * time.Hour},
		{24 * time.Hour, 0, 8, 16 * 24 * time.Hour},
	} {
		if got := rules.SplitAfter(c.interval, c.maxAge, c.n); got != c.want {
			t.Errorf("%v, max-age %v, %d addresses: %v, want %v", c.interval, c.maxAge, c.n, got, c.want)
		}
	}
}
