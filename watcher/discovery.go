package watcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
)

// phaseDiscovery is the phase of a failure before there was a key set to ask.
const phaseDiscovery = "discovery"

// way is the way from an issuer to its key set, as the last polls found it. It
// is the worker's.
type way struct {
	form   int           // of the discovery document, the one that answered last
	at     *fetch.Target // of that form
	worked bool          // it did
	found  int           // polls in a row whose discovery was good

	// doc is the last document that could be read, with the fast-path key of its
	// answer: the same answer is not read again.
	doc *document
	// seen is the key of the document with which the last answer was judged.
	seen [32]byte

	// set is the key set that was asked last, used its URL, masked. It is nil
	// while there is none; asked says that the store has none either.
	set   *fetch.Target
	used  string
	asked bool

	row *rules.Failure // of discovery alone; nil after a document that is believed

	// compared is the document that the other form was compared with, and when.
	compared [32]byte
	looked   time.Time
}

// document is a discovery document that was read.
type document struct {
	key      [32]byte
	believed bool          // its issuer is the one that was asked for
	set      *fetch.Target // nil when it cannot be one
	facts    rules.Discovery
	evidence *event.Transport // of a document that is not believed
}

// judged notes that the rules saw what discovery says now.
func (y *way) judged() {
	y.seen = [32]byte{}
	if y.row == nil && y.doc != nil {
		y.seen = y.doc.key
	}
}

// keySet is the URL of the key set, masked; "" when discovery has led to none.
func (s *slot) keySet() string {
	if s.e.Issuer == "" {
		return fetch.MaskURL(s.e.Target.URL)
	}
	return s.way.used
}

// discover finds out which key set to ask: that of the discovery document, or
// the last one when the document cannot be had or must not be believed. The
// error is of the store.
func (w *Watcher) discover(ctx context.Context, s *slot, b *body, l *look) error {
	if s.way == nil {
		s.way = &way{}
	}
	y := s.way
	doc, t, resp, err := w.document(ctx, s, b)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil && doc.believed {
		if y.row != nil {
			w.Log.Info().Str("endpoint", s.e.Name).Int("failures", y.row.Count).Msg("discovery works again")
		}
		y.doc, y.row, y.asked, y.worked = doc, nil, true, true
		y.found++
		if y.set != doc.set {
			y.set, y.used = doc.set, s.e.Target.Scrub(fetch.MaskURL(doc.set.URL))
		}
		l.target, l.used, l.facts, l.same = *y.set, y.used, &doc.facts, doc.key == y.seen
		return nil
	}
	y.found, l.same = 0, false
	if last := w.last(ctx, s); last != nil {
		return last
	}
	var facts rules.Discovery
	if err == nil {
		// "the data contained in the response MUST NOT be used" (RFC 8414, section
		// 3.3): told, and not followed.
		y.doc, y.row = doc, nil
		facts, l.same = doc.facts, doc.key == y.seen
		l.evidence = doc.evidence
		err = &fetch.Error{Phase: phaseDiscovery, Err: errors.New("the document names another issuer")}
	} else {
		now := w.now()
		if y.row == nil {
			w.Log.Warn().Err(err).Str("endpoint", s.e.Name).Msg("discovery failed")
		}
		y.row = w.fault(ctx, s, y.row, t, resp, err, now)
		y.row.Phase = phaseDiscovery
		facts = rules.Discovery{Document: fetch.MaskURL(t.URL), Failure: y.row}
		l.resp = resp
	}
	l.facts = &facts
	if y.set == nil {
		l.target, l.lost = *t, err
		return nil
	}
	l.resp, l.evidence = nil, nil
	l.target, l.used, facts.Used = *y.set, y.used, y.set.URL
	return nil
}

// document gets the discovery document. What worked last is asked first. When
// it is not there the other form is asked, but an answer that must not be
// believed is no better than none.
func (w *Watcher) document(ctx context.Context, s *slot, b *body) (*document, *fetch.Target, *fetch.Response, error) {
	y := s.way
	var err error
	if y.at == nil {
		if y.at, err = s.e.form(y.form); err != nil {
			return nil, &s.e.Target, new(fetch.Response), err // it was checked before
		}
	}
	first := y.at
	doc, resp, err := w.read(ctx, s, first, b)
	if err == nil || ctx.Err() != nil || !y.elsewhere(err) {
		return doc, first, resp, err
	}
	other := 1 - y.form
	second, err2 := s.e.form(other)
	if err2 != nil {
		return doc, first, resp, err
	}
	doc2, _, err2 := w.read(ctx, s, second, b)
	switch {
	case err2 == nil && doc2.believed:
		y.form, y.at = other, second
		return doc2, second, nil, nil
	case err2 == nil && !y.worked && resp.Status == http.StatusNotFound:
		return doc2, second, nil, nil
	}
	return doc, first, resp, err
}

// forms is how many places a discovery document may stand in.
const forms = 2

// form is where the discovery document of the endpoint stands in one form: 0 is
// OpenID Connect, 1 is RFC 8414.
func (e *Endpoint) form(i int) (*fetch.Target, error) {
	urls, err := fetch.DiscoveryURLs(e.Issuer)
	if err != nil {
		return nil, err
	}
	t := e.Target
	t.URL = urls[i]
	return &t, t.Prepare()
}

// elsewhere reports whether the other form of the document may fare better
// after this error: the host is the same.
func (y *way) elsewhere(err error) bool {
	fe, ok := errors.AsType[*fetch.Error](err)
	if !ok {
		return true
	}
	switch fe.Phase {
	case fetch.PhaseResolve, fetch.PhaseDial, fetch.PhaseRefused, fetch.PhaseTLS:
		return false
	case fetch.PhaseTimeout: // twice the time, so only when nothing is known to work
		return !y.worked
	}
	return true
}

// read gets one form of the document and reads it, unless it is the answer that
// was read last. The response is for an error alone.
func (w *Watcher) read(ctx context.Context, s *slot, form *fetch.Target, b *body) (*document, *fetch.Response, error) {
	t := *form
	t.Fresh = s.fresh
	resp, err := w.Fetch.Get(ctx, t, b.buf)
	if err == nil && resp.Status != http.StatusOK {
		err = statusError(resp.Status)
	}
	if err != nil {
		return nil, new(resp), err
	}
	b.keep(resp.Body)
	key := resp.Key()
	if y := s.way; y.doc != nil && y.doc.key == key {
		return y.doc, nil, nil
	}
	w.stats.parses.Add(1)
	m, err := fetch.ParseMetadata(resp.Body)
	if err != nil {
		return nil, new(resp), &fetch.Error{Phase: phaseDiscovery, Err: err}
	}
	equal, slashOnly := fetch.SameIssuer(s.e.Issuer, m.Issuer)
	doc := &document{key: key, believed: equal || slashOnly}
	doc.facts = rules.Discovery{
		Document: resp.URL, Issuer: m.Issuer, JWKSURI: m.JWKSURI, Algs: m.Algs, SignedMetadata: m.SignedMetadata, PKCE: m.PKCE,
	}
	if !doc.believed { // what is not the configured issuer may be what our request brought
		doc.facts.Issuer = s.e.Target.Scrub(m.Issuer)
	}
	doc.facts.Endpoints = s.e.endpoints(m.Endpoints)
	set, err := s.e.Target.Discovered(m.JWKSURI)
	if err != nil && doc.believed {
		return nil, new(resp), &fetch.Error{Phase: phaseDiscovery, Err: fmt.Errorf("jwks_uri: %w", err)}
	}
	if err == nil {
		doc.set = &set
		host := hostOf(m.JWKSURI)
		doc.facts.Shown, doc.facts.Host, doc.facts.Site = event.Text(s.e.Target.Scrub(fetch.MaskURL(m.JWKSURI))), host, fetch.Site(host)
	}
	if doc.believed {
		doc.facts.Used = set.URL
	} else {
		doc.evidence = transport(new(resp), nil)
	}
	return doc, nil, nil
}

// last finds the key set that was asked before this process began, once.
func (w *Watcher) last(ctx context.Context, s *slot) error {
	y := s.way
	if y.set != nil || y.asked {
		return nil
	}
	_, mem, err := w.remembered(context.WithoutCancel(ctx), s.e)
	if err != nil {
		return err
	}
	y.asked = true
	if mem.URL != s.e.Issuer {
		return nil // learned from another issuer
	}
	newest := history.Newest(mem.Learned.URIs)
	if t, err := s.e.Target.Discovered(newest); err == nil && newest != "" {
		y.set, y.used = &t, s.e.Target.Scrub(fetch.MaskURL(t.URL))
	}
	return nil
}

// returned stores that discovery leads to a known key set again. That is no
// news, but after a restart without discovery the last one goes on, and it must
// not be the one that an intruder once named.
func returned(out *rules.Outcome, o rules.Observation) {
	if o.Facts == nil || o.Facts.Discovery == nil || o.Facts.Discovery.Used != o.Facts.Discovery.JWKSURI {
		return // not from the document
	}
	l := &out.Memory.Learned
	if uri := o.Facts.Discovery.Used; history.Knows(l.URIs, uri) && history.Newest(l.URIs) != uri {
		l.URIs = history.Met(l.URIs, uri, o.At, history.MaxLearnedURIs)
		out.Store = true
	}
}
