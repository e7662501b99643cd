package query_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/query"
)

// TestKeysEverPublished asks for keys by kid: live, gone, exchanged, and those of
// all endpoints.
func TestKeysEverPublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.step("idp", 0, set(key("a", "A"), key("b", "B")))
	w.step("idp", 10, set(key("a", "R"), key("b", "B")))
	w.step("idp", 20, set(key("a", "R")))
	w.step("partner", 5, set(key("a", "P"), key("", "Q")))
	w.step("_agent", 6, "")
	s := &query.State{Source: w.db}
	ask := func(f query.KeyFilter) []query.PublishedKey {
		t.Helper()
		keys, err := s.Keys(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	keys := ask(query.KeyFilter{Kid: new("a")})
	if len(keys) != 3 || keys[0].Endpoint != "idp" || keys[0].GoneBy != nil || keys[1].Endpoint != "partner" || keys[2].GoneBy == nil {
		t.Fatalf("%+v", keys)
	}
	if !keys[2].GoneBy.Equal(at(10)) || keys[2].FirstSeen != nil || keys[0].FirstSeen == nil || !keys[0].FirstAfter.Equal(at(9)) {
		t.Errorf("times: %+v", keys)
	}
	if !keys[2].WatchedFrom.Equal(at(0)) || !keys[0].WatchedFrom.Equal(at(10)) {
		t.Errorf("watched from: %+v", keys)
	}
	for _, k := range keys {
		var jwk struct{ X, Kid string }
		if err := json.Unmarshal(k.JWK, &jwk); err != nil || jwk.X == "" || jwk.Kid != "a" || k.Thumbprint == nil {
			t.Errorf("%s: %s (%v)", k.Endpoint, k.JWK, err)
		}
	}
	if keys := ask(query.KeyFilter{Kid: new("b"), Endpoint: "idp"}); len(keys) != 1 || !keys[0].GoneBy.Equal(at(20)) {
		t.Errorf("%+v", keys)
	}
	if keys := ask(query.KeyFilter{Kid: new("b"), Endpoint: "partner"}); len(keys) != 0 {
		t.Errorf("%+v", keys)
	}
	if keys := ask(query.KeyFilter{Kid: new("")}); len(keys) != 1 || keys[0].Endpoint != "partner" {
		t.Errorf("without a kid: %+v", keys)
	}
	if keys := ask(query.KeyFilter{}); len(keys) != 5 {
		t.Errorf("%d keys in all", len(keys))
	}
	_, err := s.Keys(t.Context(), query.KeyFilter{Endpoint: "ipd"})
	if p, ok := errors.AsType[*query.Problem](err); !ok || p.Code != query.UnknownEndpoint || !strings.Contains(err.Error(), "ipd") {
		t.Error(err)
	}
}

// TestKeysThatReturned holds that a key with an earlier life says so, also when it is
// gone again: the times of that life are not known any more.
func TestKeysThatReturned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	both, one := set(key("a", "A"), key("b", "B")), set(key("b", "B"))
	s := &query.State{Source: w.db}
	for i, c := range []struct {
		set            string
		live, returned bool
	}{{both, true, false}, {one, false, false}, {both, true, true}, {one, false, true}} {
		w.step("idp", 10*i, c.set)
		keys, err := s.Keys(t.Context(), query.KeyFilter{Kid: new("a")})
		if err != nil || len(keys) != 1 {
			t.Fatalf("%+v (%v)", keys, err)
		}
		if k := keys[0]; k.Returned != c.returned || (k.GoneBy == nil) != c.live {
			t.Errorf("step %d: %+v", i, k)
		}
	}
}
