package query

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/state"
)

// Shown is the set of an endpoint as it was at a time.
type Shown struct {
	Endpoint string      `json:"endpoint"`
	At       *event.Time `json:"at"` // that was asked for; null: now

	Revision   uint64      `json:"revision"`    // of the snapshot
	ObservedAt event.Time  `json:"observed_at"` // of the answer that is shown
	ReplacedAt *event.Time `json:"replaced_at"` // when another set was accepted; null while it stands
	LastSeen   *event.Time `json:"last_seen"`   // last good poll of the endpoint
	Digest     string      `json:"digest"`      // sha256:<hex>

	Keys []ShownKey `json:"keys"` // in the order served
	// Document is what was served, every secret redacted and every character
	// beyond ASCII escaped; null when it was no JSON.
	Document json.RawMessage  `json:"document"`
	Evidence *event.Transport `json:"evidence"` // of the fetch; null when there is none
}

// ShownKey is one entry of the set.
type ShownKey struct {
	Kid        *string     `json:"kid"`
	Thumbprint *string     `json:"thumbprint"`
	Kty        *string     `json:"kty"`
	Crv        *string     `json:"crv"`
	Alg        *string     `json:"alg"`
	Use        *string     `json:"use"`
	Bits       *int        `json:"bits"`
	FirstSeen  *event.Time `json:"first_seen"` // null: in a baseline, so its age is unknown, or not remembered
	GoneBy     *event.Time `json:"gone_by"`    // first good poll without it; null while it is live
	State      string      `json:"state"`      // live, gone: as of today, not of the time that was asked for
	Defects    []string    `json:"defects"`    // codes
	Private    []string    `json:"private"`    // members with private material that it was served with
}

// Show returns the set as it was at a time, the zero time means now. Errors:
// a Problem UnknownEndpoint, NothingSeen or Dropped.
func (s *State) Show(ctx context.Context, endpoint string, at time.Time) (Shown, error) {
	out, err := s.show(ctx, endpoint, at)
	if err != nil {
		return Shown{}, fmt.Errorf("showing %s: %w", quote(endpoint), err)
	}
	return out, nil
}

func (s *State) show(ctx context.Context, endpoint string, at time.Time) (Shown, error) {
	if err := s.checkEndpoint(ctx, endpoint, s.live()); err != nil {
		return Shown{}, err
	}
	rec, replaced, err := s.snapshot(ctx, endpoint, at)
	if err != nil {
		return Shown{}, err
	}
	newest, err := s.Source.Latest(ctx, endpoint)
	if err != nil {
		return Shown{}, err
	}
	m, err := history.Decode(newest.Memory)
	if err != nil {
		return Shown{}, fmt.Errorf("reading its memory: %w", err)
	}
	seen, err := s.Source.LastSeen(ctx, endpoint)
	if err != nil {
		return Shown{}, err
	}
	if live := s.live(); live != nil {
		for _, e := range live.Endpoints {
			if e.Name == endpoint {
				seen = later(seen, e.LastGood) // the state learns of it once a minute
			}
		}
	}
	out := Shown{
		Endpoint: endpoint, At: event.AtOrNil(at), Revision: rec.Revision, ObservedAt: event.At(rec.At), ReplacedAt: event.AtOrNil(replaced),
		LastSeen: event.AtOrNil(later(seen, m.Changed)), Digest: sum(rec.Digest), Keys: []ShownKey{}, Document: ascii(rec.Body), Evidence: evidence(rec.Evidence),
	}
	set := jwks.Parse(rec.Body)
	for i := range set.Keys {
		out.Keys = append(out.Keys, shownKey(&set.Keys[i], m, rec.At))
	}
	return out, nil
}

// snapshot finds the newest record that holds a set and is not after the time,
// and when the set that came after it was accepted.
func (s *State) snapshot(ctx context.Context, endpoint string, at time.Time) (_ state.Record, replaced time.Time, err error) {
	var newer state.Record // that holds a set; after the loop the oldest
	oldest := uint64(1)
	for rec, err := range s.Source.Snapshots(ctx, endpoint) {
		if err != nil {
			return state.Record{}, time.Time{}, err
		}
		if oldest = rec.Revision; rec.Digest == [32]byte{} {
			break // nor does any before it hold one
		}
		// Several records in a row may hold one set: what replaced it is the
		// record after the last of them.
		if newer.Revision != 0 && newer.Digest != rec.Digest {
			replaced = newer.At
		}
		if at.IsZero() || !rec.At.After(at) {
			return rec, replaced, nil
		}
		newer = rec
	}
	p := &Problem{Code: NothingSeen, Message: "no key set of it has been seen yet"}
	switch {
	case newer.Revision == 0:
	case newer.Revision == oldest && oldest > 1:
		p.Code, p.Message = Dropped, fmt.Sprintf("what was seen at %s is no longer kept; the oldest snapshot is of %s", stamp(at), stamp(newer.At))
	default:
		p.Message = fmt.Sprintf("no key set of it had been seen at %s; the first was seen at %s", stamp(at), stamp(newer.At))
	}
	return state.Record{}, time.Time{}, p
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func shownKey(k *jwks.Key, m *history.Memory, at time.Time) ShownKey {
	out := ShownKey{
		Kid: text(k.Kid), Thumbprint: thumbprint(k), Kty: text(k.Kty), Crv: text(k.Crv), Alg: text(k.Alg), Use: text(k.Use),
		State: "gone", Defects: []string{}, Private: append([]string{}, k.Private...),
	}
	if k.Bits > 0 {
		out.Bits = new(k.Bits)
	}
	for _, d := range k.Defects {
		if !slices.Contains(out.Defects, string(d.Code)) {
			out.Defects = append(out.Defects, string(d.Code))
		}
	}
	sighting := m.Sightings[k.ID]
	if sighting == nil {
		return out
	}
	if sighting.Live() {
		out.State = "live"
	} else {
		out.GoneBy = event.AtOrNil(sighting.GoneBy)
	}
	// What is remembered is its last life: the answer may be of one before.
	if !sighting.FirstAfter.IsZero() && !sighting.FirstSeen.After(at) {
		out.FirstSeen = event.AtOrNil(sighting.FirstSeen)
	}
	return out
}

// evidence is that of the fetch, in text that is safe to show.
func evidence(stored []byte) *event.Transport {
	var t event.Transport
	if len(stored) == 0 || json.Unmarshal(stored, &t) != nil {
		return nil
	}
	t.URL = event.Text(t.URL)
	for _, s := range []**string{
		&t.ETag, &t.CacheControl, &t.ContentType, &t.RemoteAddr, &t.TLSVersion, &t.LeafSPKISHA256, &t.LeafIssuer, &t.BodySHA256,
	} {
		if *s != nil {
			*s = new(event.Text(**s))
		}
	}
	return &t
}

// ascii escapes what lies beyond ASCII. In JSON that is of strings only, and
// says the same: but it can no longer hide or turn what stands beside it.
func ascii(body []byte) json.RawMessage {
	if !json.Valid(body) {
		return nil
	}
	var b strings.Builder
	b.Grow(len(body))
	for len(body) > 0 {
		r, n := utf8.DecodeRune(body)
		switch body = body[n:]; {
		case r < 0x7f:
			b.WriteByte(byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return json.RawMessage(b.String())
}
