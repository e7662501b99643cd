package rules

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// turned are rotations these times apart, each seen within the hour; the first a
// month after the watch began.
func turned(gaps ...time.Duration) *history.Memory {
	m := &history.Memory{Baseline: began, Changed: began}
	at := began.Add(31 * day)
	m.Rotation = history.Rotation{Since: began, Stirred: began, Turns: []history.Turn{{After: at.Add(-time.Hour), At: at}}}
	for _, g := range gaps {
		at = at.Add(g)
		m.Rotation.Turns = append(m.Rotation.Turns, history.Turn{After: at.Add(-time.Hour), At: at})
	}
	return m
}

func lastTurn(m *history.Memory) time.Time {
	return m.Rotation.Turns[len(m.Rotation.Turns)-1].At
}

func hours(list ...float64) []time.Duration {
	var out []time.Duration
	for _, h := range list {
		out = append(out, time.Duration(h*float64(time.Hour)))
	}
	return out
}

func TestRhythm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		gaps     []time.Duration
		watched  time.Duration // until then
		interval time.Duration
		every    float64 // hours; 0: no rhythm
		within   float64
	}{
		{"three rotations", hours(100, 100), 60 * day, time.Hour, 0, 0},
		{"four", hours(100, 100, 100), 60 * day, time.Hour, 100, 10},
		{"watched too short", hours(100, 100, 100), 30*day - time.Second, time.Hour, 0, 0},
		{"watched just long enough", hours(100, 100, 100), 30 * day, time.Hour, 100, 10},
		{"scatters", hours(90, 100, 110), 60 * day, time.Hour, 100, 3 * sigma * 10},
		{"scatters too much", hours(89.8, 100, 110.2), 60 * day, time.Hour, 0, 0},
		{"coarse polls", hours(100, 100, 100), 60 * day, 6 * time.Hour, 100, 12},
		{"a quarter is far off", hours(100, 100, 100, 100, 100, 100, 151, 49), 60 * day, time.Hour, 100, 10},
		{"more than a quarter", hours(100, 100, 100, 100, 100, 151, 49), 60 * day, time.Hour, 0, 0},
		{"not far off", hours(100, 100, 100, 100, 100, 150, 50), 60 * day, time.Hour, 100, 10},
	} {
		r, ok := rhythmOf(turned(tt.gaps...), &Policy{Interval: tt.interval}, began.Add(tt.watched))
		if ok != (tt.every > 0) {
			t.Errorf("%s: a rhythm: %v (%+v)", tt.name, ok, r)
		}
		if ok && (r.every.Hours() != tt.every || (r.within-hours(tt.within)[0]).Abs() > time.Second || r.name() != "learned") {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
	for cadence, within := range map[time.Duration]time.Duration{5 * day: day, 20 * day: 2 * day} {
		r, ok := rhythmOf(&history.Memory{}, &Policy{Expect: Expect{Cadence: cadence}}, began)
		if !ok || r.every != cadence || r.within != within || r.name() != "declared" {
			t.Errorf("declared %v: %+v", cadence, r)
		}
	}
}

// arrives is a case in which so many signing keys were added.
func arrives(m *history.Memory, after, at time.Time, keys ...jwks.Key) *Case {
	c := &Case{Before: m, When: When{after, at}, Policy: Policy{Interval: time.Hour, Endpoint: "corp-idp"}}
	for i, k := range keys {
		k.ID = jwks.Identity{Kind: jwks.Thumbprint, Sum: [32]byte{byte(i + 1), 77}}
		c.Changes = append(c.Changes, Change{Change: diff.Change{Kind: diff.Added, ID: k.ID, Material: diff.Group([]jwks.Key{k})[0]}})
	}
	return c
}

var rsaKey = jwks.Key{Kty: "RSA", Bits: 2048, Alg: "RS256", Use: "sig"}

func TestOffCadence(t *testing.T) {
	t.Parallel()
	regular := hours(240, 240, 240)
	many := hours(240, 240, 240, 240, 240)
	for _, tt := range []struct {
		name   string
		gaps   []time.Duration
		since  time.Duration // the last rotation
		change func(*Case)
		want   bool
		surely bool
	}{
		// At most since + 1 h lies between the two: less than 240 h less a tenth.
		{"early", regular, 214 * time.Hour, nil, true, false},
		{"not surely early", regular, 215 * time.Hour, nil, false, false},
		{"very early, few known", hours(240, 240, 240, 240), 118 * time.Hour, nil, true, false},
		{"very early, many known", many, 118 * time.Hour, nil, true, true},
		{"not very early", many, 119 * time.Hour, nil, true, false},
		{"the same rotation", regular, day, nil, false, false}, // a tenth of its rhythm
		{"no more the same", regular, day + time.Second, nil, true, false},
		{"late, then in the calendar", hours(240, 240, 240, 300), 180 * time.Hour, nil, false, false},
		// The sum of both gaps may be off by twice a tenth of the rhythm.
		{"late, then nearly in the calendar", hours(240, 240, 240, 265), 168 * time.Hour, nil, false, false},
		{"late, then beside the calendar", hours(240, 240, 240, 265), 166 * time.Hour, nil, true, false},
		{"late, then too early", hours(240, 240, 240, 300), 131 * time.Hour, nil, true, false},
		{"all keys exchanged", regular, 200 * time.Hour, func(c *Case) { c.Replaced = &Replaced{} }, false, false},
		{"answers alternate", regular, 200 * time.Hour, func(c *Case) { c.Before.Stability.Phase = history.Unstable }, false, false},
		{"they begin to", regular, 200 * time.Hour, func(c *Case) { c.unstable = &event.SetUnstableDetails{} }, false, false},
		{"a key came back", regular, 200 * time.Hour, func(c *Case) { c.resurrection = &resurrection{} }, false, false},
		{"nothing that signs", regular, 200 * time.Hour, func(c *Case) { c.Changes[0].Material.Entries[0].Use = "enc" }, false, false},
		{"declared", nil, 200 * time.Hour, func(c *Case) { c.Policy.Expect.Cadence = 240 * time.Hour }, true, false},
		{"declared, within a day", nil, 215 * time.Hour, func(c *Case) { c.Policy.Expect.Cadence = 240 * time.Hour }, false, false},
	} {
		m := turned(tt.gaps...)
		at := lastTurn(m).Add(tt.since)
		c := arrives(m, at.Add(-time.Hour), at, rsaKey)
		if tt.change != nil {
			tt.change(c)
		}
		o := c.offbeat()
		if (o != nil) != tt.want || o != nil && o.surely != tt.surely {
			t.Errorf("%s: %+v", tt.name, o)
		}
		if got := rotationOffCadence(c); (len(got) == 1) != tt.want || len(got) == 1 && (got[0].Severity == event.SeverityHigh) != tt.surely {
			t.Errorf("%s: told %+v", tt.name, got)
		}
	}
}

// TestOneRotationOfSeveralSteps holds how close additions of one rotation are,
// where there is no rhythm and where there is one.
func TestOneRotationOfSeveralSteps(t *testing.T) {
	t.Parallel()
	for want, gaps := range map[time.Duration][]time.Duration{6 * time.Hour: hours(50), 10 * time.Hour: hours(100, 100), 0: nil} {
		if want == 0 {
			want = 6 * time.Hour
		}
		if got := sameTurn(turned(gaps...).Rotation.Turns); got != want {
			t.Errorf("%v: within %v, want %v", gaps, got, want)
		}
	}
}

// TestOverdueAfterTheScatter holds a rhythm that is known so coarsely that half of
// it is less than what it may be off.
func TestOverdueAfterTheScatter(t *testing.T) {
	t.Parallel()
	for interval, late := range map[time.Duration]time.Duration{time.Hour: 50 * time.Hour, 40 * time.Hour: 80 * time.Hour} {
		m := turned(hours(100, 100, 100)...)
		s := &step{m: m, p: Policy{Interval: interval}, o: Observation{At: began.Add(60 * day)}}
		if at, _ := s.overdueAt(); !at.Equal(lastTurn(m).Add(100*time.Hour + late)) {
			t.Errorf("every %v: overdue %v after the last", interval, at.Sub(lastTurn(m)))
		}
	}
}

// TestOutlives holds an age against the longest life that is known.
func TestOutlives(t *testing.T) {
	t.Parallel()
	k := rsaKey
	k.ID = jwks.Identity{Kind: jwks.Thumbprint, Sum: [32]byte{1}}
	m := turned()
	m.Sightings = map[jwks.Identity]*history.Sighting{k.ID: {FirstSeen: began, Key: k}}
	m.Habit.Lives = hours(10, 240, 10, 10, 10)
	s := &step{m: m, o: Observation{At: began.Add(60 * day)}}
	for age, want := range map[time.Duration]string{30 * day: "", 30*day + 1: "outlives"} {
		if a, _ := s.aged(&k, began.Add(age)); a.code != want {
			t.Errorf("after %v: %q", age, a.code)
		}
	}
	m.Habit.Lives = hours(0.1, 0.2, 0.1, 0.1, 0.1) // an age of minutes is none
	for age, want := range map[time.Duration]string{time.Hour: "", 7 * day: "", 7*day + 1: "outlives"} {
		if a, _ := s.aged(&k, began.Add(age)); a.code != want {
			t.Errorf("of short lives, after %v: %q", age, a.code)
		}
	}
	k.Use = "enc"
	if _, old := s.aged(&k, began.Add(50*day)); old {
		t.Error("a key for encryption outlives signing keys")
	}
}

func TestReasonsOfAnAddition(t *testing.T) {
	t.Parallel()
	known := func(change func(*history.Memory)) *history.Memory {
		m := &history.Memory{Baseline: began, Rotation: history.Rotation{
			Since: began, Stirred: began.Add(70 * day), Quiet: 40 * day, Steps: []int{1, 2, 1, 1},
			Profile: []history.Profile{{Kty: "RSA", Bits: 2048, Alg: "RS256"}, {Kty: "RSA", Bits: 4096, Alg: "RS256"}},
		}}
		if change != nil {
			change(m)
		}
		return m
	}
	now := began.Add(100 * day)
	with := func(change func(*jwks.Key)) jwks.Key {
		k := rsaKey
		change(&k)
		return k
	}
	quiet := func(last, longest time.Duration) func(*history.Memory) {
		return func(m *history.Memory) { m.Rotation.Stirred, m.Rotation.Quiet = now.Add(-time.Hour-last), longest }
	}
	short := with(func(k *jwks.Key) { k.Bits = 2047 })
	elliptic := jwks.Key{Kty: "EC", Crv: "P-256", Bits: 256, Alg: "ES256"}
	lattice := jwks.Key{Kty: "AKP", Alg: "ML-DSA-44"}
	for _, tt := range []struct {
		name   string
		memory func(*history.Memory)
		change func(*Case)
		keys   []jwks.Key
		want   []string
		sev    event.Severity
	}{
		{"one more", nil, nil, []jwks.Key{rsaKey}, nil, 0},
		{"as many as ever", nil, nil, []jwks.Key{rsaKey, rsaKey}, nil, 0},
		{"more than ever", nil, nil, []jwks.Key{rsaKey, rsaKey, rsaKey}, []string{rider}, event.SeverityMedium},
		{"nothing known to compare", func(m *history.Memory) { m.Rotation.Steps = nil }, nil, []jwks.Key{rsaKey, rsaKey}, nil, 0},
		{"one step known", func(m *history.Memory) { m.Rotation.Steps = []int{1} }, nil, []jwks.Key{rsaKey, rsaKey}, []string{rider}, event.SeverityMedium},
		{"a single key rides on nothing", func(m *history.Memory) { m.Rotation.Steps = []int{0} }, nil, []jwks.Key{rsaKey}, nil, 0},
		{"after a gap", nil, func(c *Case) { c.After = c.At.Add(-3*time.Hour - 1) }, []jwks.Key{rsaKey, rsaKey, rsaKey}, nil, 0},
		{"after three intervals", nil, func(c *Case) { c.After = c.At.Add(-3 * time.Hour) }, []jwks.Key{rsaKey, rsaKey, rsaKey}, []string{rider}, event.SeverityMedium},
		{"nine keys", nil, nil, slices.Repeat([]jwks.Key{elliptic}, 9), []string{rider}, event.SeverityMedium},
		{"nine keys, little known", func(m *history.Memory) { m.Rotation.Steps = []int{1, 1, 1} }, nil, slices.Repeat([]jwks.Key{elliptic}, 9), nil, 0},
		{"eight keys, little known", func(m *history.Memory) { m.Rotation.Steps = []int{1, 1, 1} }, nil, slices.Repeat([]jwks.Key{rsaKey}, 8), []string{rider}, event.SeverityMedium},
		{"another alg", nil, nil, []jwks.Key{with(func(k *jwks.Key) { k.Alg = "PS256" })}, []string{newProfile}, event.SeverityMedium},
		{"another size", nil, nil, []jwks.Key{with(func(k *jwks.Key) { k.Bits = 3072 })}, []string{newProfile}, event.SeverityMedium},
		{"another curve", nil, nil, []jwks.Key{elliptic}, []string{newProfile}, event.SeverityMedium},
		{"for encryption", nil, nil, []jwks.Key{with(func(k *jwks.Key) { k.Use, k.Bits = "enc", 1024 })}, nil, 0},
		{"shorter than any", nil, nil, []jwks.Key{short}, []string{newProfile, weakerProfile}, event.SeverityHigh},
		{"the first without alg", nil, nil, []jwks.Key{with(func(k *jwks.Key) { k.Alg = "" })}, []string{newProfile, weakerProfile}, event.SeverityHigh},
		{
			"not the first without alg", func(m *history.Memory) { m.Rotation.Profile[0].Alg = "" }, nil,
			[]jwks.Key{with(func(k *jwks.Key) { k.Alg = "" })},
			nil, 0,
		},
		{"too soon to know", func(m *history.Memory) { m.Rotation.Since = now.Add(1 - 30*day) }, nil, []jwks.Key{short}, nil, 0},
		{"just known", func(m *history.Memory) { m.Rotation.Since = now.Add(-30 * day) }, nil, []jwks.Key{short}, []string{newProfile, weakerProfile}, event.SeverityHigh},
		{"silence", quiet(90*day, 0), nil, []jwks.Key{rsaKey}, []string{dormant}, event.SeverityMedium},
		{"no such silence", quiet(90*day-1, 0), nil, []jwks.Key{rsaKey}, nil, 0},
		{"silence as before", quiet(150*day-1, 100*day), nil, []jwks.Key{rsaKey}, nil, 0},
		{"silence as never", quiet(150*day, 100*day), nil, []jwks.Key{rsaKey}, []string{dormant}, event.SeverityMedium},
		{"two reasons", quiet(90*day, 0), nil, []jwks.Key{elliptic}, []string{dormant, newProfile}, event.SeverityHigh},
		{"a kind new to everybody", quiet(90*day, 0), nil, []jwks.Key{lattice}, []string{dormant, newProfile}, event.SeverityMedium},
		{
			"and two more reasons", quiet(90*day, 0), nil,
			[]jwks.Key{lattice, lattice, lattice},
			[]string{dormant, newProfile, rider},
			event.SeverityHigh,
		},
		{"at a baseline", quiet(90*day, 0), func(c *Case) { c.Baseline = "first_sight" }, []jwks.Key{elliptic}, nil, 0},
		{"of an exchange", nil, func(c *Case) { c.Replaced = &Replaced{} }, []jwks.Key{rsaKey, rsaKey, rsaKey}, nil, 0},
	} {
		c := arrives(known(tt.memory), now.Add(-time.Hour), now, tt.keys...)
		if tt.change != nil {
			tt.change(c)
		}
		for i, f := range keyAdded(c) {
			if !slices.Equal(f.Reasons, tt.want) || f.Severity != tt.sev {
				t.Errorf("%s: key %d: %v %s, want %v %s", tt.name, i, f.Reasons, f.Severity, tt.want, tt.sev)
			}
			if len([]rune(f.Message)) > 200 {
				t.Errorf("%s: message %q", tt.name, f.Message)
			}
		}
	}
}

// TestRemovedEarly holds a removal against the key that came last, at known bounds.
func TestRemovedEarly(t *testing.T) {
	t.Parallel()
	key := func(n byte, kty string) jwks.Key {
		return jwks.Key{ID: jwks.Identity{Kind: jwks.Thumbprint, Sum: [32]byte{n}}, Kty: kty, Use: "sig"}
	}
	now := began.Add(100 * day)
	for _, tt := range []struct {
		name     string
		interval time.Duration
		expect   Expect
		maxAge   time.Duration
		least    time.Duration // that the keys stood together
		most     time.Duration
		oldAfter time.Time // of the key that goes; zero: of a baseline
		other    string    // kty of the key that stays
		want     string    // code
	}{
		{"early", time.Minute, Expect{}, 0, time.Hour, 21*time.Hour + 35*time.Minute, time.Time{}, "RSA", "early"},
		{"within the tenth", time.Minute, Expect{}, 0, time.Hour, 21*time.Hour + 36*time.Minute, time.Time{}, "RSA", "perhaps_early"},
		{"perhaps", time.Minute, Expect{}, 0, day - time.Second, 30 * time.Hour, time.Time{}, "RSA", "perhaps_early"},
		{"in time", time.Minute, Expect{}, 0, day, 30 * time.Hour, time.Time{}, "RSA", ""},
		{"two intervals off", 2 * time.Hour, Expect{}, 0, time.Hour, 20*time.Hour - time.Second, time.Time{}, "RSA", "early"},
		{"less than two intervals off", 2 * time.Hour, Expect{}, 0, time.Hour, 20 * time.Hour, time.Time{}, "RSA", "perhaps_early"},
		{"polls just close enough", 12 * time.Hour, Expect{}, 0, 0, time.Hour, time.Time{}, "RSA", "perhaps_early"},
		{"polls too far apart", 12*time.Hour + 1, Expect{}, 0, 0, time.Hour, time.Time{}, "RSA", ""},
		{"declared", time.Minute, Expect{Overlap: 10 * time.Hour}, 0, 10 * time.Hour, 11 * time.Hour, time.Time{}, "RSA", ""},
		{"declared and early", time.Minute, Expect{Overlap: 10 * time.Hour, TokenLifetime: 50 * time.Hour}, 0, time.Hour, 9*time.Hour - 1, time.Time{}, "RSA", "early"},
		{"caches and tokens", time.Minute, Expect{TokenLifetime: 20 * time.Hour}, 20 * time.Hour, 30 * time.Hour, 36*time.Hour - 1, time.Time{}, "RSA", "early"},
		{"caches and tokens in time", time.Minute, Expect{TokenLifetime: 20 * time.Hour}, 20 * time.Hour, 40 * time.Hour, 41 * time.Hour, time.Time{}, "RSA", ""},
		{"who has the one has the other", time.Minute, Expect{}, 0, time.Hour, 2 * time.Hour, now.Add(-time.Hour - time.Minute), "RSA", ""},
		{"last of its kind", time.Minute, Expect{}, 0, 50 * day, 50 * day, time.Time{}, "EC", "last_of_class"},
		{"last of its kind, relied on", time.Minute, Expect{}, 0, 50 * day, 50 * day, now.Add(-day), "EC", "last_of_class"},
		{"last of its kind, for a moment", time.Minute, Expect{}, 0, 50 * day, 50 * day, now.Add(1 - day), "EC", ""},
	} {
		gone, stays := key(1, "RSA"), key(2, tt.other)
		last := now.Add(-time.Minute)
		m := &history.Memory{Baseline: began, Sightings: map[jwks.Identity]*history.Sighting{
			gone.ID:  {FirstAfter: tt.oldAfter, FirstSeen: began, Key: gone},
			stays.ID: {FirstAfter: now.Add(-tt.most), FirstSeen: last.Add(-tt.least), Key: stays},
		}}
		if !tt.oldAfter.IsZero() {
			m.Sightings[gone.ID].FirstSeen = tt.oldAfter.Add(time.Minute)
		}
		c := &Case{
			Policy: Policy{Endpoint: "corp-idp", Interval: tt.interval, Expect: tt.expect}, When: When{last, now}, Before: m, MaxAge: tt.maxAge,
			Keys:    []jwks.Key{stays},
			Changes: []Change{{Change: diff.Change{Kind: diff.Removed, ID: gone.ID, Material: diff.Group([]jwks.Key{gone})[0]}}},
		}
		var code strings.Builder
		for _, f := range removedEarly(c) {
			d := f.Details.(*event.RotationRemovedEarlyDetails)
			code.WriteString(d.Code)
			want := map[string]event.Severity{"early": 0, "perhaps_early": event.SeverityInformational, "last_of_class": event.SeverityMedium}[d.Code]
			if f.Severity != want || len([]rune(f.Message)) > 200 {
				t.Errorf("%s: %s, %q", tt.name, f.Severity, f.Message)
			}
			if d.Code != "last_of_class" && (*d.OverlapMinS != int64(tt.least/time.Second) || *d.OverlapMaxS != int64(tt.most/time.Second)) {
				t.Errorf("%s: overlap of %d to %d s", tt.name, *d.OverlapMinS, *d.OverlapMaxS)
			}
		}
		if code.String() != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, code.String(), tt.want)
		}
	}
}
