package lab

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// statuses asks n times and gives the statuses.
func statuses(a Answer, n int) []int {
	i := &Issuer{}
	i.Answer(a)
	var got []int
	for range n {
		got = append(got, ask(i, "/", nil).Code)
	}
	return got
}

func TestCombinators(t *testing.T) {
	t.Parallel()
	a, b, c := Status(401, nil, ""), Status(402, nil, ""), Status(403, nil, "")
	for name, test := range map[string]struct {
		answer Answer
		want   []int
	}{
		"alternate": {Alternate(a, nil, c), []int{401, 200, 403, 401, 200}},
		"sequence":  {Sequence(a, b, nil), []int{401, 402, 200, 200, 200}},
		"after":     {After(2, nil, b), []int{200, 200, 402, 402, 402}},
		"after 0":   {After(0, a, b), []int{402, 402, 402, 402, 402}},
		"none":      {Alternate(Sequence(), Alternate()), []int{200, 200, 200, 200, 200}},
		"nested":    {Sequence(a, Alternate(b, c)), []int{401, 402, 403, 402, 403}},
	} {
		if got := statuses(test.answer, 5); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	first, second := statuses(CoinFlip(7, a, b), 64), statuses(CoinFlip(7, a, b), 64)
	if !slices.Equal(first, second) || slices.Equal(first, statuses(CoinFlip(8, a, b), 64)) {
		t.Error("the coin does not follow its seed")
	}
	if !slices.Contains(first, 401) || !slices.Contains(first, 402) {
		t.Errorf("the coin has one side: %v", first)
	}
	i := &Issuer{}
	i.Answer(When(func(r *http.Request) bool { return r.URL.Path == "/a" }, a, b))
	if x, y := ask(i, "/a", nil).Code, ask(i, "/b", nil).Code; x != 401 || y != 402 {
		t.Errorf("When gave %d and %d", x, y)
	}
}

func TestStaleCacheAges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &Issuer{}
		i.Publish(NewEd25519("a"))
		old := string(i.Current())
		i.Answer(StaleCache(2 * time.Hour))
		ask(i, "/", nil)
		i.Mutate("a")
		time.Sleep(90 * time.Second)
		got := ask(i, "/", nil)
		if got.Body.String() != old || got.Header().Get("Age") != "7290" {
			t.Errorf("Age %q, body %s, want the old one %s", got.Header().Get("Age"), got.Body, old)
		}
	})
}

func TestSameETagLies(t *testing.T) {
	t.Parallel()
	i := &Issuer{}
	i.Publish(NewEd25519("a"))
	i.Answer(SameETag())
	first := ask(i, "/", nil)
	i.Mutate("a")
	tag := http.Header{"If-None-Match": {first.Header().Get("ETag")}}
	if got := ask(i, "/", tag); got.Code != 304 {
		t.Errorf("with its ETag: %d", got.Code)
	}
	second := ask(i, "/", nil)
	if second.Body.String() == first.Body.String() || second.Header().Get("ETag") != first.Header().Get("ETag") {
		t.Errorf("the document must change under one ETag: %v", second.Header())
	}
}

func TestVaryingBodies(t *testing.T) {
	t.Parallel()
	i := &Issuer{}
	i.Publish(Ed25519FromSeed("a", "a"), Ed25519FromSeed("b", "b"), Ed25519FromSeed("c", "c"))
	honest := entries(t, i.Current())
	for name, test := range map[string]struct {
		answer Answer
		more   int // entries beside the issuer's own
	}{
		"junk key": {JunkKey(), 1}, "request id": {RequestID(), 0}, "shuffled": {Shuffled(1), 0},
	} {
		i.Answer(test.answer)
		var bodies []string
		for range 8 {
			body := ask(i, "/", nil).Body.String()
			bodies = append(bodies, body)
			got := entries(t, []byte(body))
			for kid := range honest {
				if got[kid]["x"] != honest[kid]["x"] {
					t.Errorf("%s: key %s is %v", name, kid, got[kid])
				}
			}
			if len(got) != len(honest)+test.more {
				t.Errorf("%s: %d entries in %s", name, len(got), body)
			}
		}
		slices.Sort(bodies)
		if different := len(slices.Compact(bodies)); different < 4 {
			t.Errorf("%s: only %d different bodies of 8", name, different)
		}
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	i := &Issuer{}
	i.Publish(NewEd25519("a"))
	metadata := func(a Answer, path string) (got struct{ Issuer, JWKSURI string }) {
		i.Answer(a)
		var document map[string]string
		if err := json.Unmarshal(ask(i, path, nil).Body.Bytes(), &document); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		got.Issuer, got.JWKSURI = document["issuer"], document["jwks_uri"]
		return got
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		if got := metadata(Discovery("", "", nil), path); got.Issuer != "http://example.com" || got.JWKSURI != "http://example.com/jwks" {
			t.Errorf("honest: %+v", got)
		}
		if got := metadata(Discovery("https://a.invalid", "file:///b", nil), path); got.Issuer != "https://a.invalid" || got.JWKSURI != "file:///b" {
			t.Errorf("lying: %+v", got)
		}
	}
	if got := ask(i, "/jwks", nil).Body.String(); got != string(i.Current()) {
		t.Errorf("elsewhere: %s", got)
	}
}

// The promises of single answers that their Outcome does not tell.
func TestBodiesHoldWhatTheyPromise(t *testing.T) {
	t.Parallel()
	i := &Issuer{}
	i.Publish(NewEd25519("own"))
	document := func(a Answer) string {
		i.Answer(a)
		return ask(i, "/", nil).Body.String()
	}
	keys := func(a Answer) (list []json.RawMessage) {
		var set struct{ Keys []json.RawMessage }
		if err := json.Unmarshal([]byte(document(a)), &set); err != nil {
			t.Fatal(err)
		}
		return set.Keys
	}
	if got := len(keys(ManyKeys(50))); got != 51 {
		t.Errorf("ManyKeys(50): %d entries", got)
	}
	repeated := keys(RepeatedKid("same", 5))
	seen := make(map[string]bool)
	for _, k := range repeated[1:] {
		seen[string(k)] = true
		if !strings.Contains(string(k), `"kid":"same"`) {
			t.Errorf("RepeatedKid: %s", k)
		}
	}
	if len(seen) != 5 {
		t.Errorf("RepeatedKid(5): %d different entries", len(seen))
	}
	for _, k := range keys(PrivateBomb(3))[1:] {
		for _, member := range []string{"d", "p", "q", "dp", "dq", "qi"} {
			if !strings.Contains(string(k), `"`+member+`":"`) {
				t.Errorf("PrivateBomb: no %s in an entry", member)
			}
		}
	}
	if got := document(Deep(70)); strings.Count(got, "[") != 71 {
		t.Errorf("Deep(70): %s", got)
	}
	if got := document(Kid("\"a\xff\"")); !strings.Contains(got, "\"kid\":\"a\xff\"") {
		t.Errorf("Kid changed its text: %q", got)
	}
	i.Empty()
	if got := document(Beside(`1`, `2`)); got != `{"keys":[1,2]}` {
		t.Errorf("Beside nothing: %s", got)
	}
}
