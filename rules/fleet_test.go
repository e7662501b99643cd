package rules

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func fleet(n int, now time.Time) []FleetEndpoint {
	var out []FleetEndpoint
	for i := range n {
		out = append(out, FleetEndpoint{
			Name: fmt.Sprintf("e%03d", i), Host: fmt.Sprintf("h%d.example", i), Site: fmt.Sprintf("h%d.example", i),
			Tier: "standard", Interval: time.Minute, LastGood: now.Add(-time.Minute), Watched: now.Add(-24 * time.Hour),
		})
	}
	return out
}

func fail(list []FleetEndpoint, now time.Time, phase, code string, failures int, ago time.Duration) {
	for i := range list {
		list[i].Failures, list[i].Phase, list[i].Code, list[i].FailingSince = failures, phase, code, now.Add(-ago)
	}
}

func TestOutage(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		n, failing, failures int
		phase, code          string
		ago                  time.Duration
		oneSite              bool
		before               int
		open                 string
	}{
		"a fifth in the same minute":         {n: 20, failing: 4, failures: 2, phase: "timeout", ago: time.Minute, open: "outage"},
		"one fewer":                          {n: 20, failing: 3, failures: 2, phase: "timeout", ago: time.Minute},
		"one failure each":                   {n: 20, failing: 10, failures: 1, phase: "timeout", ago: time.Minute},
		"long ago":                           {n: 20, failing: 10, failures: 9, phase: "timeout", ago: time.Hour},
		"status codes are theirs":            {n: 20, failing: 20, failures: 2, phase: "status", ago: time.Minute},
		"expired certificates are theirs":    {n: 20, failing: 20, failures: 2, phase: "tls", code: "expired", ago: time.Minute},
		"broken handshakes may be ours":      {n: 20, failing: 8, failures: 2, phase: "tls", ago: time.Minute, open: "outage"},
		"a CA that nobody knows":             {n: 20, failing: 8, failures: 2, phase: "tls", code: "unknown_ca", ago: time.Minute, open: "tls_intercepted"},
		"one platform":                       {n: 20, failing: 8, failures: 2, phase: "dial", ago: time.Minute, oneSite: true},
		"a single endpoint":                  {n: 1, failing: 1, failures: 5, phase: "dial", ago: time.Minute},
		"two of two":                         {n: 2, failing: 2, failures: 2, phase: "dial", ago: time.Minute, open: "outage"},
		"stays open above half":              {n: 20, failing: 3, failures: 50, phase: "dial", ago: time.Hour, before: 5, open: "outage"},
		"closes at half":                     {n: 20, failing: 2, failures: 50, phase: "dial", ago: time.Hour, before: 4},
		"a resolver that denies everything":  {n: 20, failing: 20, failures: 2, phase: "resolve", code: "nxdomain", ago: time.Minute, open: "outage"},
		"guarded addresses are no network's": {n: 20, failing: 20, failures: 2, phase: "refused", ago: time.Minute},
		"discovery alone is theirs":          {n: 20, failing: 20, failures: 2, phase: "discovery", ago: time.Minute},
		"a fifth of eleven is three":         {n: 11, failing: 2, failures: 2, phase: "dial", ago: time.Minute},
		"at the end of the window":           {n: 10, failing: 2, failures: 2, phase: "dial", ago: 2 * time.Minute, open: "outage"},
		"beyond it":                          {n: 10, failing: 2, failures: 2, phase: "dial", ago: 2*time.Minute + 1},
		"a resolver that does not answer":    {n: 20, failing: 20, failures: 2, phase: "resolve", ago: time.Minute, open: "outage"},
	} {
		list := fleet(c.n, now)
		fail(list[:c.failing], now, c.phase, c.code, c.failures, c.ago)
		if c.oneSite {
			for i := range list {
				list[i].Site = "platform.example"
			}
		}
		v := Outage(list, now, c.before)
		if v.Code != c.open || v.Open != (c.open != "") {
			t.Errorf("%s: %+v, want %q", name, v, c.open)
		}
		if v.Open && (len(v.Failing) != c.failing || v.Hosts != c.failing || v.Due != c.n || !v.Since.Equal(now.Add(-c.ago))) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestOutageKnowsWhoTurnedBad lets endpoints fail that have been dead for long:
// they neither make an outage, at a restart least of all, nor hold one open.
func TestOutageKnowsWhoTurnedBad(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	restarted := func(dead int) []FleetEndpoint {
		list := fleet(20, now)
		for i := range list {
			list[i].Watched, list[i].LastGood = now.Add(-time.Minute), now.Add(-30*time.Second)
		}
		fail(list[:dead], now, "dial", "", 3, 50*time.Second)
		for i := range list[:dead] {
			list[i].LastGood = now.Add(-time.Duration(i) * 24 * time.Hour).Add(-time.Hour)
		}
		return list
	}
	if v := Outage(restarted(6), now, 0); v.Open {
		t.Errorf("six were dead before the restart: %+v", v)
	}
	if v := Outage(restarted(20), now, 0); v.Code != "outage" || len(v.Failing) != 20 {
		t.Errorf("nobody answers since the start: %+v", v)
	}
	never := restarted(20)
	for i := range never {
		never[i].LastGood = time.Time{}
	}
	if v := Outage(never, now, 0); v.Code != "outage" {
		t.Errorf("nobody ever answered: %+v", v)
	}

	list := fleet(20, now)
	fail(list[:8], now, "dial", "", 500, 0)
	for i := range list[:8] { // alone, hours apart
		list[i].FailingSince = now.Add(-time.Duration(i+3) * time.Hour)
	}
	fail(list[8:12], now, "dial", "", 60, time.Hour)
	if v := Outage(list, now, 4); !v.Open || len(v.Failing) != 4 || v.Failing[0] != "e008" || !v.Since.Equal(now.Add(-time.Hour)) {
		t.Errorf("all four are still in it: %+v", v)
	}
	list[11].FailingSince = now.Add(-time.Hour + 2*time.Minute)
	if v := Outage(list, now, 7); !v.Open {
		t.Errorf("a window apart is together: %+v", v)
	}
	for i, ago := range []time.Duration{50 * time.Minute, 40 * time.Minute} {
		list[10+i].FailingSince = now.Add(-ago)
	}
	if v := Outage(list, now, 4); v.Open {
		t.Errorf("half of them are left, the others failed alone: %+v", v)
	}
}

// TestOutageAmongUnequalIntervals holds that those who are polled daily do not
// outvote those who are polled every minute.
func TestOutageAmongUnequalIntervals(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	list := fleet(110, now)
	for i := range list[10:] {
		list[i+10].Interval = 24 * time.Hour
	}
	fail(list[:10], now, "timeout", "", 2, time.Minute)
	if v := Outage(list, now, 0); !v.Open || len(v.Failing) != 10 || v.Due != 11 {
		t.Errorf("all who were polled fail: %+v", v)
	}
	list = fleet(110, now)
	for i := range list[10:] {
		list[i+10].Interval = 4 * time.Minute
	}
	fail(list[:10], now, "timeout", "", 2, time.Minute)
	if v := Outage(list, now, 0); v.Open {
		t.Errorf("fifty others were polled as well meanwhile: %+v", v)
	}
	fail(list[10:30], now, "timeout", "", 2, 5*time.Minute)
	if v := Outage(list, now, 0); !v.Open || len(v.Failing) != 30 || v.Due != 110 {
		t.Errorf("30 of 110 within the window of the slower: %+v", v)
	}
	list = fleet(10, now)
	list[1].Interval = 5 * time.Minute
	fail(list[:1], now, "dial", "", 9, 9*time.Minute)
	fail(list[1:2], now, "dial", "", 2, time.Minute)
	if v := Outage(list, now, 0); v.Open {
		t.Errorf("one of them fails for longer than its own window: %+v", v)
	}
}

// TestOutageOfRandomFleets holds what is true of any fleet: order does not
// count, nothing is changed, all together are an outage, and so few as one in a
// hundred are none unless the fleet is tiny.
func TestOutageOfRandomFleets(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(7, 7))
	for range 500 {
		list := fleet(1+r.IntN(60), now)
		for i := range list {
			list[i].Interval = []time.Duration{time.Second, time.Minute, 5 * time.Minute, 24 * time.Hour}[r.IntN(4)]
			if r.IntN(3) == 0 {
				fail(list[i:i+1], now, []string{"dial", "status", "tls", "resolve"}[r.IntN(4)], []string{"", "unknown_ca"}[r.IntN(2)], r.IntN(4), time.Duration(r.IntN(600))*time.Second)
			}
		}
		before := r.IntN(3) * r.IntN(10)
		given := slices.Clone(list)
		v := Outage(list, now, before)
		if !slices.Equal(list, given) {
			t.Fatal("the list was changed")
		}
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if w := Outage(list, now, before); !reflect.DeepEqual(v, w) {
			t.Fatalf("order counts:\n%+v\n%+v", v, w)
		}
		if v.Open != (v.Code != "") || v.Open && before == 0 && (len(v.Failing) < 2 || 5*len(v.Failing) < v.Due || v.Hosts < 2) {
			t.Fatalf("open for no reason: %+v", v)
		}
		fail(list, now, "dial", "", 2, time.Duration(r.IntN(120))*time.Second)
		if v := Outage(list, now, 0); v.Open != (len(list) > 1) {
			t.Fatalf("all of %d fail: %+v", len(list), v)
		}
	}
}

func TestGaps(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	none := func(string, time.Time) bool { return false }
	list := fleet(20, now)
	if g := Gaps(list, now, none); len(g) != 0 {
		t.Fatalf("all is well: %+v", g)
	}
	list[3].LastGood = now.Add(-time.Hour)
	list[4].LastGood, list[4].Tier = now.Add(-15*time.Minute-time.Second), "critical"
	g := Gaps(list, now, none)
	if len(g) != 1 || g[0].Endpoints[0].Name != "e004" || g[0].Limit != 15*time.Minute {
		t.Errorf("a critical endpoint is missed sooner: %+v", g)
	}
	list[3].LastGood = now.Add(-time.Hour - time.Second)
	if g := Gaps(list, now, none); len(g) != 2 {
		t.Errorf("two of twenty are two gaps: %+v", g)
	}
	if g := Gaps(list, now, func(name string, at time.Time) bool { return name == "e003" && at.Equal(list[3].LastGood) }); len(g) != 1 {
		t.Errorf("what was told is told again: %+v", g)
	}
	for i := range list[:6] {
		list[i].LastGood = now.Add(-2 * time.Hour)
	}
	if g := Gaps(list, now, none); len(g) != 1 || len(g[0].Endpoints) != 6 || g[0].Limit != 15*time.Minute {
		t.Errorf("six of twenty at once are one gap: %+v", g)
	}
	fresh := fleet(1, now)
	fresh[0].LastGood, fresh[0].Watched = time.Time{}, now.Add(-time.Hour)
	if g := Gaps(fresh, now, none); len(g) != 0 {
		t.Errorf("an endpoint that was never seen has its time from when it is watched: %+v", g)
	}
	if g := Gaps(fresh, now.Add(time.Second), none); len(g) != 1 || g[0].Limit != time.Hour || !g[0].Endpoints[0].LastGood.IsZero() {
		t.Errorf("and then it is missed: %+v", g)
	}
}

func TestGapLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tier           string
		interval, want time.Duration
	}{
		{"standard", time.Second, time.Hour},
		{"standard", 6 * time.Minute, time.Hour},
		{"low", 24 * time.Hour, 240 * time.Hour},
		{"critical", time.Minute, 15 * time.Minute},
		{"critical", 24 * time.Hour, 72 * time.Hour},
	} {
		if got := GapLimit(c.tier, c.interval); got != c.want {
			t.Errorf("%s every %v: %v, want %v", c.tier, c.interval, got, c.want)
		}
	}
}
