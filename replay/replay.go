package replay

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
	"github.com/jwkswatch/jwkswatch/rules"
)

const (
	day = 24 * time.Hour
	// month is that of alerts per month.
	month = 30.4
	// outage is how many spacings without any row are a gap of the observer.
	outage = 7
	// maxLooks bounds the second looks that one poll asks for.
	maxLooks = 12
)

// Told is one finding of a replay.
type Told struct {
	Endpoint  string
	At        time.Time
	ChangeSet int // of its endpoint, counted from 1
	// First says that it came within a day of the endpoint's first row.
	First   bool
	Finding rules.Finding
	Data    event.Data // as it would have been published
}

// Alert reports whether somebody would have been called.
func (t *Told) Alert() bool {
	return !t.First && !t.Finding.Closing && t.Data.Event.Severity >= event.SeverityHigh
}

// Options say how an archive is judged.
type Options struct {
	Book []rules.Rule
	// Amend lets the operator's rules have the last word; nil leaves what the book
	// says.
	Amend func(*event.Event)
	Tier  string // of each endpoint; "" means standard
	// Policy is what is configured for an endpoint, when rows are every change that
	// an agent saw: its polls are then those of the interval, until Until. nil: rows
	// are an archive, and polls are taken to be as far apart as its rows.
	Policy func(endpoint string) rules.Policy
	Until  time.Time
	// Blocklists are lists of known keys, beside those that are built in.
	Blocklists []*keyhealth.Blocklist
	// Unchecked leaves out the checks of material and certificates, which take most
	// of the time.
	Unchecked bool
}

// Result is what would have been told.
type Result struct {
	Endpoints int
	From, To  time.Time
	Told      []Told // by time, then endpoint
	// Months counts endpoints times the months of 30.4 days that the archive spans.
	Months float64
}

// Archive replays rows that are sorted by service and time.
func Archive(rows []Row, o Options) Result {
	var out Result
	clock := newClock(rows)
	var services [][]Row
	for len(rows) > 0 {
		n := slices.IndexFunc(rows, func(r Row) bool { return r.Service != rows[0].Service })
		if n < 0 {
			n = len(rows)
		}
		services = append(services, rows[:n])
		rows = rows[n:]
	}
	out.Endpoints = len(services)
	if len(clock.times) > 0 {
		out.From, out.To = clock.times[0], clock.times[len(clock.times)-1]
	}
	out.Months = float64(out.Endpoints) * out.To.Sub(out.From).Hours() / 24 / month
	if o.Policy != nil && out.Endpoints > 0 && o.Until.After(out.To) {
		out.To = o.Until
		out.Months = float64(out.Endpoints) * out.To.Sub(out.From).Hours() / 24 / month
	}
	told := make([][]Told, len(services))
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				told[i] = service(services[i], clock, o)
			}
		})
	}
	for i := range services {
		next <- i
	}
	close(next)
	wg.Wait()
	out.Told = slices.Concat(told...)
	slices.SortStableFunc(out.Told, func(a, b Told) int { return a.At.Compare(b.At) })
	return out
}

// Alerts are high and critical openings and events after the first day of each
// endpoint, per 100 endpoints and month.
func (r *Result) Alerts() (n int, rate float64) {
	for i := range r.Told {
		if r.Told[i].Alert() {
			n++
		}
	}
	if r.Months == 0 {
		return n, 0
	}
	return n, float64(n) / r.Months * 100
}

// clock are the times at which the observer looked.
type clock struct {
	times   []time.Time
	spacing time.Duration // median
}

func newClock(rows []Row) clock {
	var c clock
	for _, r := range rows {
		c.times = append(c.times, r.T)
	}
	slices.SortFunc(c.times, time.Time.Compare)
	c.times = slices.CompactFunc(c.times, time.Time.Equal)
	var gaps []time.Duration
	for i := range c.times[min(1, len(c.times)):] {
		gaps = append(gaps, c.times[i+1].Sub(c.times[i]))
	}
	slices.Sort(gaps)
	if len(gaps) > 0 {
		c.spacing = gaps[len(gaps)/2]
	}
	if c.spacing < time.Minute {
		c.spacing = time.Minute
	}
	return c
}

// polls are the times at which a service was looked at: those of any row since
// its first, and those on which nothing at all changed, which an archive of
// changes leaves out; but not in a gap of the observer.
func (c clock) polls(since time.Time) []time.Time {
	var out []time.Time
	for i, t := range c.times {
		if t.Before(since) {
			continue
		}
		if i > 0 && len(out) > 0 {
			for last := c.times[i-1]; t.Sub(c.times[i-1]) <= outage*c.spacing && t.Sub(last) > c.spacing*3/2; {
				last = last.Add(c.spacing)
				out = append(out, last)
			}
		}
		out = append(out, t)
	}
	return out
}

// service replays one of them.
func service(rows []Row, c clock, o Options) []Told {
	s := player{o: o, memory: &history.Memory{}, policy: rules.Policy{
		Endpoint: rows[0].Service, URL: "https://archive.invalid/" + rows[0].Service, Interval: c.spacing, Tier: cmp.Or(o.Tier, "standard"),
	}, first: rows[0].T}
	var err error
	if s.memory, err = history.Decode(nil); err != nil {
		return nil
	}
	if o.Policy != nil {
		s.policy = o.Policy(rows[0].Service)
		s.stored(rows)
		return s.told
	}
	at := 0
	for _, t := range c.polls(rows[0].T) {
		for at+1 < len(rows) && !rows[at+1].T.After(t) {
			at++
		}
		s.poll(&rows[at], t)
	}
	return s.told
}

// player is one endpoint under replay.
type player struct {
	o      Options
	policy rules.Policy
	memory *history.Memory
	first  time.Time
	good   time.Time
	goods  int
	row    int
	since  time.Time
	polled time.Time // without the second looks
	review time.Time // when an unchanged answer must be judged again
	steps  int

	// unlabelled says that the labels of the row cannot be trusted, guarded that
	// those of the row before could not.
	unlabelled, guarded bool

	parsed *Row // of set
	set    *jwks.Set
	told   []Told
}

// settled is how many unchanged polls come after each change before those that show
// nothing are left out: what needs a second look, or some in a row, has had them.
const settled = 5

// stored replays every change that an agent saw. Of the polls between them only
// those are made that may say something: after a change, and when time alone does.
func (p *player) stored(rows []Row) {
	every := p.policy.Interval
	for i := range rows {
		until := p.o.Until
		if i+1 < len(rows) {
			until = rows[i+1].T
		}
		for n, t := 0, rows[i].T; n == 0 || t.Before(until); n++ {
			if !p.good.IsZero() && t.Sub(p.good) > every {
				p.good = t.Add(-every) // the polls that were left out were good
			}
			p.poll(&rows[i], t)
			t = t.Add(every)
			if n >= settled {
				next := until
				if p.review.After(t) && p.review.Before(next) {
					next = p.review
				} else if !p.review.IsZero() && !p.review.After(t) {
					next = t
				}
				t = next
			}
		}
	}
}

func (p *player) poll(r *Row, at time.Time) {
	p.polled = at
	if r.Failed() {
		p.goods = 0
		if p.row++; p.row == 1 {
			p.since = at
		}
		phase := "status"
		if r.Status == 0 || r.Status == 200 {
			phase = "dial"
		}
		p.step(rules.Observation{At: at, Failure: &rules.Failure{Phase: phase, Error: r.Error, Count: p.row, Since: p.since}})
		return
	}
	p.row = 0
	p.goods++
	if p.parsed != r {
		p.parsed, p.set = r, jwks.Parse(r.Doc)
	}
	p.guarded, p.unlabelled = p.unlabelled, r.Listed > 0 && r.Listed != len(p.set.Keys)
	look := p.step(rules.Observation{At: at, Set: p.set, GoodInARow: p.goods})
	for range maxLooks {
		var found *rules.Health
		if look == 0 {
			if found = p.checks(); found.Empty() {
				break
			}
			look = rules.LookAfter
		}
		at = at.Add(look)
		p.goods++
		look = p.step(rules.Observation{At: at, Set: p.set, GoodInARow: p.goods, Health: found})
	}
}

// checks makes the checks that the set still needs, each once. The agent makes
// them beside its polls, and has them a few seconds later. Moduli of different
// endpoints are not held against each other: a replay is of each alone.
func (p *player) checks() *rules.Health {
	if p.o.Unchecked || !p.set.Usable() {
		return nil
	}
	found := &rules.Health{Keys: map[jwks.Identity]*history.Health{}, Sets: map[[32]byte]history.Verdict{}}
	due := p.memory.Unchecked(p.set.Keys, rules.Checks(p.o.Blocklists))
	if len(due) > 0 {
		for i, key := range p.set.Publics() {
			if k := &p.set.Keys[i]; slices.Contains(due, i) {
				found.Keys[k.ID] = rules.CheckUp(p.set, i, &key, p.o.Blocklists)
			}
		}
	}
	if slices.ContainsFunc(p.memory.Digests, func(d history.Digest) bool { return d.Sum == p.set.Digest }) && p.memory.VerdictOf(p.set.Digest).Read == history.Unread {
		found.Sets[p.set.Digest] = rules.ReadBy(p.set)
	}
	return found
}

// ofLabels reports whether findings of the type go by the kids of the keys.
func ofLabels(t event.Type) bool {
	switch t {
	case event.KeyMutated, event.KeyKidReused, event.KeyRelabelled, event.SetAmbiguous:
		return true
	}
	return false
}

func (p *player) step(o rules.Observation) time.Duration {
	o.After = p.good
	out := rules.Step(p.o.Book, p.memory, o, p.policy)
	p.memory, p.review = out.Memory, out.Review
	if o.Failure == nil && o.Set.Usable() {
		p.good = o.At
	}
	if len(out.Findings) > 0 {
		p.steps++
	}
	for i := range out.Findings {
		f := &out.Findings[i]
		if (p.unlabelled || p.guarded) && ofLabels(f.Type) {
			continue // the observer itself could not tell which kid is of which key
		}
		e := event.Event{Type: f.Type.CloudEvent(), Subject: cmp.Or(f.Subject(), p.policy.Endpoint), Time: event.At(o.At), Data: f.Data()}
		e.Data.Endpoint = &event.Endpoint{Name: p.policy.Endpoint, Tier: p.policy.Tier}
		if p.o.Amend != nil && !f.Closing {
			p.o.Amend(&e)
		}
		p.told = append(p.told, Told{
			Endpoint: p.policy.Endpoint, At: o.At, ChangeSet: p.steps, First: p.polled.Sub(p.first) <= day, Finding: *f, Data: e.Data,
		})
	}
	return out.Look
}
