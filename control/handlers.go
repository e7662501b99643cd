package control

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
)

func (d *desk) status(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r) {
		return
	}
	v, err := d.Answers.Status(r.Context())
	reply(w, v, err)
}

func (d *desk) endpoints(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r) {
		return
	}
	v, err := d.Answers.Endpoints(r.Context())
	reply(w, v, err)
}

func (d *desk) event(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r) {
		return
	}
	v, err := d.Answers.Event(r.Context(), r.PathValue("id"))
	reply(w, v, err)
}

func (d *desk) history(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, "limit") {
		return
	}
	limit, err := number(r.URL.Query().Get("limit"))
	if err != nil {
		refuseErr(w, err)
		return
	}
	v, err := d.Answers.History(r.Context(), r.PathValue("name"), limit)
	reply(w, v, err)
}

func (d *desk) show(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, "at") {
		return
	}
	at, err := moment(r.URL.Query().Get("at"))
	if err != nil {
		refuseErr(w, err)
		return
	}
	v, err := d.Answers.Show(r.Context(), r.PathValue("name"), at)
	reply(w, v, err)
}

// keys takes the kid as it stands in a token's header: a missing one is not the
// empty one.
func (d *desk) keys(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, "endpoint", "kid") {
		return
	}
	q := r.URL.Query()
	f := query.KeyFilter{Endpoint: q.Get("endpoint")}
	if q.Has("kid") {
		f.Kid = new(q.Get("kid"))
	}
	v, err := d.Answers.Keys(r.Context(), f)
	reply(w, v, err)
}

type health struct {
	Healthy bool    `json:"healthy"`
	Reason  *string `json:"reason"` // null when healthy
}

func (d *desk) health(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r) || unsupported(w, d.Healthy == nil) {
		return
	}
	if err := d.Healthy(r.Context()); err != nil {
		reply(w, health{Reason: event.TextOrNil(err.Error())}, nil)
		return
	}
	reply(w, health{Healthy: true}, nil)
}

func (d *desk) reload(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r) || unsupported(w, d.Reload == nil) {
		return
	}
	v, err := d.Reload(r.Context())
	reply(w, v, err)
}

// events sends one event a line.
func (d *desk) events(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, "endpoint", "type", "min_severity", "since", "until", "limit", "after", "follow") {
		return
	}
	f, follow, err := filter(r.URL.Query())
	if err != nil {
		refuseErr(w, err)
		return
	}
	if !follow {
		d.stream(w, d.Answers.Events(r.Context(), f), false)
		return
	}
	select {
	case d.followers <- struct{}{}:
		defer func() { <-d.followers }()
	default:
		refuse(w, http.StatusServiceUnavailable, failure{Code: codeBusy, Message: "too many follow the events already"})
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(d.stop, func() { cancel(ErrStopped) })()
	d.stream(w, func(yield func(json.RawMessage, error) bool) {
		for line, err := range d.Answers.Follow(ctx, f) {
			if err != nil && errors.Is(context.Cause(ctx), ErrStopped) {
				err = ErrStopped
			}
			if !yield(line, err) {
				return
			}
		}
	}, true)
}

// stream sends lines, at once each when they are live. An error before the
// first of them is an answer of its own; after it, it comes in the trailer.
func (d *desk) stream(w http.ResponseWriter, lines iter.Seq2[json.RawMessage, error], live bool) {
	begun := false
	begin := func() {
		inTime(w, d.patience)
		if !begun {
			w.Header().Set("Content-Type", "application/jsonl")
			w.Header().Set("Trailer", trailer)
			begun = true
		}
	}
	for line, err := range lines {
		if err != nil && !begun {
			refuseErr(w, err)
			return
		}
		begin()
		if err != nil {
			w.Header().Set(trailer, encodeTrailer(err))
			return
		}
		if _, err := w.Write(append(slices.Clip(line), '\n')); err != nil {
			return // the peer has gone
		}
		if live && http.NewResponseController(w).Flush() != nil {
			return
		}
	}
	begin()
}

// backup sends the file. Who reads too slowly is let go: a backup keeps the
// pages that are replaced meanwhile from being used again.
func (d *desk) backup(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r) || unsupported(w, d.Backup == nil) {
		return
	}
	w.Header().Set("Trailer", trailer)
	w.Header().Set("Content-Type", "application/octet-stream")
	p := &pieces{w: w, patience: d.patience}
	if err := d.Backup(r.Context(), p); err != nil {
		if p.n == 0 {
			w.Header().Del("Trailer")
			refuseErr(w, err)
			return
		}
		w.Header().Set(trailer, encodeTrailer(err))
	}
	inTime(w, d.patience)
}

// pieces gives each piece its own time.
type pieces struct {
	w        http.ResponseWriter
	patience time.Duration
	n        int64
}

func (p *pieces) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil // it would begin the answer
	}
	inTime(p.w, p.patience)
	n, err := p.w.Write(b)
	p.n += int64(n)
	return n, err
}

func unsupported(w http.ResponseWriter, is bool) bool {
	if is {
		refuse(w, http.StatusNotImplemented, failure{Code: codeUnsupported, Message: "this daemon does not do that"})
	}
	return is
}

// takes refuses parameters that are not known, and repeated ones: a filter that
// is ignored would be a wrong answer.
func takes(w http.ResponseWriter, r *http.Request, names ...string) bool {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuseErr(w, bad("the parameters cannot be read"))
		return false
	}
	for name, v := range values {
		if !slices.Contains(names, name) {
			refuseErr(w, bad("there is no parameter "+strconv.QuoteToASCII(event.Text(name))))
			return false
		}
		if len(v) != 1 {
			refuseErr(w, bad("the parameter "+name+" stands more than once"))
			return false
		}
	}
	return true
}

func bad(message string) error { return &query.Problem{Code: query.BadQuestion, Message: message} }

// filter reads the parameters of a question for events.
func filter(v url.Values) (f query.Filter, follow bool, err error) {
	f = query.Filter{Endpoint: v.Get("endpoint"), Type: v.Get("type"), After: v.Get("after")}
	if s := v.Get("min_severity"); s != "" {
		if f.MinSeverity.UnmarshalText([]byte(s)) != nil {
			return f, false, bad("min_severity is informational, low, medium, high or critical")
		}
	}
	if f.Limit, err = number(v.Get("limit")); err != nil {
		return f, false, err
	}
	if f.Since, err = moment(v.Get("since")); err != nil {
		return f, false, err
	}
	if f.Until, err = moment(v.Get("until")); err != nil {
		return f, false, err
	}
	switch v.Get("follow") {
	case "", "0":
	case "1":
		follow = true
	default:
		return f, false, bad("follow is 0 or 1")
	}
	return f, follow, nil
}

// parameters is filter backwards.
func parameters(f query.Filter, follow bool) url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("endpoint", f.Endpoint)
	set("type", f.Type)
	set("after", f.After)
	set("since", instant(f.Since))
	set("until", instant(f.Until))
	if f.MinSeverity != 0 {
		set("min_severity", f.MinSeverity.String())
	}
	if f.Limit != 0 {
		set("limit", strconv.Itoa(f.Limit))
	}
	if follow {
		set("follow", "1")
	}
	return v
}

func number(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, bad("a limit is a number")
	}
	return n, nil
}

func moment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, bad("a time is of the form 2026-11-22T18:49:03Z (RFC 3339)")
	}
	return t, nil
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
