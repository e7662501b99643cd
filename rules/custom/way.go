package custom

import (
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// wayFields are about the way of an answer, or the way to none.
func wayFields() []Field {
	way := func(e *event.Event, grow bool) *event.Transport {
		if e.Data.Transport == nil && grow {
			e.Data.Transport = &event.Transport{}
		}
		return e.Data.Transport
	}
	field := func(name, doc, example string, at func(*event.Transport) **string) Field {
		return nullField(Field{Name: "transport." + name, Doc: doc, Example: example}, func(e *event.Event, grow bool) **string {
			if p := way(e, grow); p != nil {
				return at(p)
			}
			return nil
		})
	}
	number := func(name, doc, example string, kind Kind, get func(*event.Transport) any, set func(*event.Transport, any)) Field {
		return Field{
			Name: "transport." + name, Kind: kind, Doc: doc, Example: example,
			get: func(e *event.Event) any {
				if p := way(e, false); p != nil {
					return get(p)
				}
				return nil
			},
			set: func(e *event.Event, v any) { set(way(e, true), v) },
		}
	}
	remote := field("remote_addr", "address that answered", "203.0.113.10", func(p *event.Transport) **string { return &p.RemoteAddr })
	remote.Kind = Address
	with := remote.get
	remote.get = func(e *event.Event) any {
		if s, ok := with(e).(string); ok {
			return host(s)
		}
		return nil
	}
	out := []Field{
		textField(Field{Name: "transport.url", Doc: "URL that answered", Example: "https://login.corp.example/keys"}, func(e *event.Event, grow bool) *string {
			if p := way(e, grow); p != nil {
				return &p.URL
			}
			return nil
		}),
		number("status", "status code of HTTP", "200", Number, func(p *event.Transport) any { return counted(p.Status) }, func(p *event.Transport, v any) { p.Status = new(int(v.(float64))) }),
		field("content_type", "declared type of the document", "application/json", func(p *event.Transport) **string { return &p.ContentType }),
		number("max_age", "how long caches may keep the document", "1h", Duration, func(p *event.Transport) any {
			if p.MaxAgeS == nil {
				return nil
			}
			return seconds(float64(*p.MaxAgeS))
		}, func(p *event.Transport, v any) { p.MaxAgeS = new(int64(v.(time.Duration) / time.Second)) }),
		remote,
		field("tls_version", "version of TLS", "1.3", func(p *event.Transport) **string { return &p.TLSVersion }),
		field("leaf_spki_sha256", "key of the certificate, in hex", "5f70…", func(p *event.Transport) **string { return &p.LeafSPKISHA256 }),
		field("leaf_issuer", "issuer of the certificate", "CN=Example CA", func(p *event.Transport) **string { return &p.LeafIssuer }),
		number("body_bytes", "size of the document", "4096", Number, func(p *event.Transport) any { return counted(p.BodyBytes) }, func(p *event.Transport, v any) { p.BodyBytes = new(int64(v.(float64))) }),
		number("duration", "how long the fetch took", "2s", Duration, func(p *event.Transport) any { return time.Duration(p.DurationMS) * time.Millisecond },
			func(p *event.Transport, v any) { p.DurationMS = v.(time.Duration).Milliseconds() }),
	}
	return append(out, failureFields()...)
}

func failureFields() []Field {
	of := func(e *event.Event) *event.Failure {
		if e.Data.Failure == nil {
			e.Data.Failure = &event.Failure{Since: e.Time}
		}
		return e.Data.Failure
	}
	return []Field{
		textField(Field{
			Name: "failure.phase", Doc: "how far a failed poll came", Example: "resolve",
			Values: []string{"resolve", "dial", "refused", "tls", "status", "read", "size", "timeout", "discovery"},
		}, func(e *event.Event, grow bool) *string {
			switch {
			case grow:
				return &of(e).Phase
			case e.Data.Failure == nil:
				return nil
			}
			return &e.Data.Failure.Phase
		}),
		{
			Name: "failure.count", Kind: Number, Doc: "failures in a row", Example: "10",
			get: func(e *event.Event) any {
				if e.Data.Failure == nil {
					return nil
				}
				return float64(e.Data.Failure.Count)
			},
			set: func(e *event.Event, v any) { of(e).Count = int(v.(float64)) },
		},
		{
			Name: "failure.age", Kind: Duration, Doc: "since the first of them", Example: "1h",
			get: func(e *event.Event) any {
				if e.Data.Failure == nil {
					return nil
				}
				return e.Time.Sub(e.Data.Failure.Since.Time)
			},
			set: func(e *event.Event, v any) { of(e).Since = event.At(e.Time.Add(-v.(time.Duration))) },
		},
	}
}

func counted[N int | int64](n *N) any {
	if n == nil {
		return nil
	}
	return float64(*n)
}

// seconds are as long as a duration can be at most: an issuer may write any number.
func seconds(n float64) time.Duration {
	const most = 9e9
	return time.Duration(max(-most, min(n, most)) * float64(time.Second))
}
