package rules

import (
	"fmt"
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
		"a fifth in the same minute":          {n: 20, failing: 4, failures: 2, phase: "timeout", ago: time.Minute, open: "outage"},
		"one fewer":                           {n: 20, failing: 3, failures: 2, phase: "timeout", ago: time.Minute},
		"one failure each":                    {n: 20, failing: 10, failures: 1, phase: "timeout", ago: time.Minute},
		"long ago":                            {n: 20, failing: 10, failures: 9, phase: "timeout", ago: time.Hour},
		"status codes are theirs":             {n: 20, failing: 20, failures: 2, phase: "status", ago: time.Minute},
		"expired certificates are theirs":     {n: 20, failing: 20, failures: 2, phase: "tls", code: "expired", ago: time.Minute},
		"broken handshakes may be ours":       {n: 20, failing: 8, failures: 2, phase: "tls", ago: time.Minute, open: "outage"},
		"a CA that nobody knows":              {n: 20, failing: 8, failures: 2, phase: "tls", code: "unknown_ca", ago: time.Minute, open: "tls_intercepted"},
		"one platform":                        {n: 20, failing: 8, failures: 2, phase: "dial", ago: time.Minute, oneSite: true},
		"a single endpoint":                   {n: 1, failing: 1, failures: 5, phase: "dial", ago: time.Minute},
		"two of two":                          {n: 2, failing: 2, failures: 2, phase: "dial", ago: time.Minute, open: "outage"},
		"stays open above half":               {n: 20, failing: 3, failures: 50, phase: "dial", ago: time.Hour, before: 5, open: "outage"},
		"closes at half":                      {n: 20, failing: 2, failures: 50, phase: "dial", ago: time.Hour, before: 4},
		"a name that is gone is no network's": {n: 20, failing: 20, failures: 2, phase: "resolve", code: "nxdomain", ago: time.Minute},
		"a resolver that does not answer":     {n: 20, failing: 20, failures: 2, phase: "resolve", ago: time.Minute, open: "outage"},
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
	fresh[0].LastGood, fresh[0].Watched = time.Time{}, now.Add(-time.Minute)
	if g := Gaps(fresh, now, none); len(g) != 0 {
		t.Errorf("an endpoint that was never seen has its time from when it is watched: %+v", g)
	}
}
