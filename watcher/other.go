package watcher

import (
	"context"
	"net/http"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/rules"
)

const (
	// compareEvery is how often the second discovery document is read, besides
	// after each change of the first.
	compareEvery = 24 * time.Hour
	// asideTimeout bounds what is asked besides a poll.
	asideTimeout = 5 * time.Second
)

// visit polls an endpoint and then, when all is well, looks at what is seldom
// looked at. What that costs is taken off the time to the next poll.
func (w *Watcher) visit(ctx context.Context, s *slot, b *body) time.Duration {
	next := w.poll(ctx, s, b)
	if ctx.Err() != nil || s.good == 0 || s.fresh {
		return next
	}
	began := time.Now()
	w.compare(ctx, s, b)
	w.probe(ctx, s)
	return max(0, next-time.Since(began))
}

// endpoints are those of a discovery document as the rules see them.
func (e *Endpoint) endpoints(list []fetch.MetadataEndpoint) []rules.DiscoveryEndpoint {
	var out []rules.DiscoveryEndpoint
	for _, m := range list {
		d := rules.DiscoveryEndpoint{Name: m.Name, Shown: event.Text(e.Target.Scrub(fetch.MaskURL(m.URL))), Host: event.Text(m.Host)}
		if d.Host != "" {
			d.Site = fetch.Site(d.Host)
		}
		out = append(out, d)
	}
	return out
}

// compare reads the discovery document of the other form: its clients trust what
// it names. The next poll judges what it says, if that is another thing than it
// said before.
func (w *Watcher) compare(ctx context.Context, s *slot, b *body) {
	y := s.way
	if y == nil || y.row != nil || y.doc == nil || !y.doc.believed {
		return
	}
	now := time.Now()
	if y.compared == y.doc.key && now.Sub(y.looked) < compareEvery {
		return
	}
	y.compared, y.looked = y.doc.key, now
	form, err := s.e.form(1 - y.form)
	if err != nil {
		return
	}
	t := *form
	t.Timeout = min(asideTimeout, t.Timeout)
	if t.Timeout == 0 {
		t.Timeout = asideTimeout
	}
	resp, err := w.Fetch.Get(ctx, t, b.buf)
	if err != nil || resp.Status != http.StatusOK {
		return // mostly there is none
	}
	b.keep(resp.Body)
	m, err := fetch.ParseMetadata(resp.Body)
	if err != nil {
		return
	}
	if equal, slashOnly := fetch.SameIssuer(s.e.Issuer, m.Issuer); !equal && !slashOnly {
		return // of another issuer: no client of ours takes it
	}
	was := y.doc.facts.Other
	y.doc.facts.Other = &rules.OtherDocument{
		Document: resp.URL, JWKSURI: m.JWKSURI, Shown: event.Text(s.e.Target.Scrub(fetch.MaskURL(m.JWKSURI))), Against: y.doc.facts.JWKSURI,
	}
	if was == nil || *was != *y.doc.facts.Other {
		s.marked.Store(true)
	}
}
