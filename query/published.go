package query

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Bounds of what one question about keys reads and answers.
const (
	maxPublished = 512   // keys of an answer
	maxSearched  = 2_000 // snapshots of an endpoint
)

// KeyFilter chooses keys that were ever published.
type KeyFilter struct {
	Kid      *string // exactly this label; nil for any key, "" for none
	Endpoint string  // "" for all
}

// PublishedKey is a key that was published, now or before.
type PublishedKey struct {
	Endpoint   string  `json:"endpoint"`
	Issuer     *string `json:"issuer"` // of the endpoint, masked; null when it has none
	Kid        *string `json:"kid"`
	Thumbprint *string `json:"thumbprint"`
	Alg        *string `json:"alg"`
	// FirstAfter is the last good poll without it and FirstSeen the first with it;
	// both null of a key of a baseline, whose age is unknown.
	FirstAfter *event.Time `json:"first_after"`
	FirstSeen  *event.Time `json:"first_seen"`
	// WatchedFrom is the first good poll with it, of a baseline or not: before it
	// nobody saw the key.
	WatchedFrom *event.Time `json:"watched_from"`
	// Returned says that it was published before, gone, and is back: all times are of
	// the last time that it came.
	Returned bool `json:"returned"`
	// LastSeen is the last good poll with it, GoneBy the first without; GoneBy is
	// null while it is live.
	LastSeen *event.Time `json:"last_seen"`
	GoneBy   *event.Time `json:"gone_by"`
	// JWK is the public entry as it was served last; null when no snapshot of it
	// is kept.
	JWK json.RawMessage `json:"jwk"`
}

// Keys lists keys that were ever published, the live ones first. It answers at
// most 512. Errors: a Problem UnknownEndpoint.
func (s *State) Keys(ctx context.Context, f KeyFilter) ([]PublishedKey, error) {
	out, err := s.keys(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("looking for keys: %w", err)
	}
	return out, nil
}

func (s *State) keys(ctx context.Context, f KeyFilter) ([]PublishedKey, error) {
	names := []string{f.Endpoint}
	if f.Endpoint != "" {
		if err := s.checkEndpoint(ctx, f.Endpoint, s.live()); err != nil {
			return nil, err
		}
	} else {
		var err error
		if names, err = s.Source.Endpoints(ctx); err != nil {
			return nil, err
		}
	}
	out := []PublishedKey{}
	for _, name := range names {
		if name == event.AgentStream || len(out) >= maxPublished {
			continue
		}
		keys, err := s.keysOf(ctx, name, f.Kid)
		if err != nil {
			return nil, fmt.Errorf("of %s: %w", name, err)
		}
		out = append(out, keys[:min(len(keys), maxPublished-len(out))]...)
	}
	slices.SortStableFunc(out, func(a, b PublishedKey) int { return cmp.Compare(rank(a), rank(b)) })
	return out, nil
}

func rank(k PublishedKey) int {
	if k.GoneBy == nil {
		return 0
	}
	return 1
}

// keysOf finds the keys of one endpoint. Of a kid all that were ever bound to it
// count: a label may have named several.
func (s *State) keysOf(ctx context.Context, endpoint string, kid *string) ([]PublishedKey, error) {
	rec, err := s.Source.Latest(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	m, err := history.Decode(rec.Memory)
	if err != nil {
		return nil, fmt.Errorf("reading its memory: %w", err)
	}
	seen, err := s.Source.LastSeen(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	wanted := map[jwks.Identity]*PublishedKey{}
	var order []jwks.Identity
	for _, id := range identities(m, kid) {
		sight := m.Sightings[id]
		if sight == nil || id.Kind == jwks.Secret || wanted[id] != nil || len(order) >= maxPublished {
			continue
		}
		k := &PublishedKey{
			Endpoint: endpoint, Issuer: s.issuerOf(endpoint), Kid: text(sight.Key.Kid), Thumbprint: thumbprint(&sight.Key), Alg: text(sight.Key.Alg),
			LastSeen: event.AtOrNil(later(seen, m.Changed)), WatchedFrom: event.AtOrNil(sight.FirstSeen),
		}
		if !sight.FirstAfter.IsZero() {
			k.FirstAfter, k.FirstSeen = event.AtOrNil(sight.FirstAfter), event.AtOrNil(sight.FirstSeen)
		}
		if !sight.Live() {
			k.LastSeen, k.GoneBy = event.AtOrNil(sight.LastSeen), event.AtOrNil(sight.GoneBy)
		}
		k.Returned = sight.Published > 0 && (sight.Live() || sight.Published > sight.LastSeen.Sub(sight.FirstSeen))
		wanted[id], order = k, append(order, id)
	}
	if err := s.entries(ctx, endpoint, wanted); err != nil {
		return nil, err
	}
	out := make([]PublishedKey, 0, len(order))
	for _, id := range order {
		out = append(out, *wanted[id])
	}
	return out, nil
}

// identities are those that were ever under the kid, or all, newest first.
func identities(m *history.Memory, kid *string) []jwks.Identity {
	var out []jwks.Identity
	if kid != nil && *kid != "" {
		if b := m.Bindings[*kid]; b != nil {
			out = slices.Clone(b.IDs)
			slices.Reverse(out)
		}
		return out
	}
	for id, sight := range m.Sightings {
		if kid == nil || sight.Key.Kid == "" {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b jwks.Identity) int {
		return cmp.Or(-m.Sightings[a].FirstSeen.Compare(m.Sightings[b].FirstSeen), cmp.Compare(a.String(), b.String()))
	})
	return out
}

// entries finds in the snapshots what the keys looked like, newest first.
func (s *State) entries(ctx context.Context, endpoint string, wanted map[jwks.Identity]*PublishedKey) error {
	missing, searched := len(wanted), 0
	var last [32]byte
	for rec, err := range s.Source.Snapshots(ctx, endpoint) {
		if err != nil {
			return err
		}
		if searched++; missing == 0 || searched > maxSearched {
			break
		}
		if rec.Digest == last || rec.Body == nil {
			continue
		}
		last = rec.Digest
		set := jwks.Parse(rec.Body)
		var document struct{ Keys []json.RawMessage }
		if !set.Usable() || json.Unmarshal(rec.Body, &document) != nil {
			continue
		}
		for i := range set.Keys {
			k := &set.Keys[i]
			if w := wanted[k.ID]; w != nil && w.JWK == nil && k.Index < len(document.Keys) {
				w.JWK = ascii(document.Keys[k.Index])
				missing--
			}
		}
	}
	return nil
}

// issuerOf is the issuer that a running daemon watches under the name.
func (s *State) issuerOf(endpoint string) *string {
	if live := s.live(); live != nil {
		for _, e := range live.Endpoints {
			if e.Name == endpoint {
				return text(e.Issuer)
			}
		}
	}
	return nil
}
