package rules

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
)

// speak are the findings of the rules that compare the way with what was learned.
func speak(c *Case) []Finding {
	return slices.Concat(moved(c), disagreeing(c), endpointMoved(c), weakened(c), certificateChanged(c))
}

// TestNovelIsWhatARuleSpeaksOf holds, for any way, that it is novel exactly when
// a rule would speak, and no more once it was learned.
func TestNovelIsWhatARuleSpeaksOf(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	p := Policy{Endpoint: "corp-idp", Issuer: "https://idp.example", Site: "idp.example", Interval: time.Minute}
	way := func() *Facts {
		f := &Facts{LeafSPKI: pick("", "11", "22", "33"), LeafIssuer: pick("CN=One", "CN=Two")}
		switch r.IntN(4) {
		case 0:
			return f
		case 1:
			f.Discovery = &Discovery{Issuer: p.Issuer, JWKSURI: "https://lost.test/", Failure: &Failure{Phase: "dial"}}
			return f
		}
		host := pick("idp.example", "evil.test")
		f.Discovery = &Discovery{
			Issuer: pick(p.Issuer, p.Issuer, p.Issuer+"/", "https://evil.test"), JWKSURI: "https://" + host + pick("/a", "/b"), Host: host, Site: host,
			PKCE: r.IntN(2) == 0, SignedMetadata: r.IntN(2) == 0,
		}
		for range r.IntN(3) {
			host := pick("idp.example", "login.idp.example", "evil.test", "")
			f.Discovery.Endpoints = append(f.Discovery.Endpoints, DiscoveryEndpoint{Name: pick("token_endpoint", "userinfo_endpoint"), Host: host, Site: host})
		}
		if r.IntN(3) == 0 {
			f.Discovery.Other = &OtherDocument{JWKSURI: pick("https://idp.example/a", "https://evil.test/b"), Against: pick(f.Discovery.JWKSURI, "https://idp.example/a")}
		}
		for range r.IntN(3) {
			f.Discovery.Algs = append(f.Discovery.Algs, pick("RS256", "none", "HS256"))
		}
		return f
	}
	m := &history.Memory{Baseline: now}
	news := 0
	for range 5000 {
		if r.IntN(8) == 0 {
			m = &history.Memory{Baseline: now}
		}
		now = now.Add(time.Minute)
		f := way()
		found := speak(&Case{Policy: p, When: When{now, now}, Before: m, Facts: f})
		if got := novel(m, p, f, now); got != (len(found) > 0) {
			t.Fatalf("novel is %v, told %d: %+v of %+v", got, len(found), m.Learned, f)
		}
		if len(found) > 0 {
			news++
		}
		was := m.Learned.Clone()
		n := *m
		learn(&n, p, f, now)
		if !sameLearned(was, m.Learned, now) || len(was.URIs) > 0 && was.URIs[0] != m.Learned.URIs[0] {
			t.Fatal("learning changed what the memory before shared")
		}
		m = &n
		if history.Knows(m.Learned.URIs, "https://lost.test/") {
			t.Fatal("a document that could not be had was learned")
		}
		if novel(m, p, f, now) {
			t.Fatalf("still novel: %+v of %+v", m.Learned, f)
		}
		if f.Discovery != nil && len(f.Discovery.Algs) > 0 {
			f.Discovery.Algs[0] = "changed by its owner"
		}
		if slices.Contains(m.Learned.Algs, "changed by its owner") {
			t.Fatal("the memory shares the facts")
		}
	}
	if news < 500 {
		t.Errorf("only %d of 5000 had news", news)
	}
	if novel(m, p, nil, now) || len(speak(&Case{Policy: p, Before: m})) > 0 || len(speak(&Case{Policy: p, Facts: way()})) > 0 {
		t.Error("told without facts, or without a past")
	}
}

func TestTransportNovel(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	seen := func(issuer string, after time.Duration) history.Value {
		return history.Value{Text: issuer, First: base.Add(after), Last: base.Add(after), Count: 1}
	}
	one, two := seen("CN=One", 0), seen("CN=Two", 48*time.Hour)
	for name, c := range map[string]struct {
		issuers []history.Value
		facts   *Facts
		looks   []*answer
		at      time.Duration
		first   string // "" for a case that is no baseline
		want    bool
	}{
		"nothing new":                {issuers: []history.Value{one}, facts: &Facts{LeafSPKI: "11", LeafIssuer: "CN=One"}},
		"nothing known of the way":   {issuers: []history.Value{one}},
		"a new leaf of the issuer":   {issuers: []history.Value{one}, facts: &Facts{LeafSPKI: "22", LeafIssuer: "CN=One"}},
		"of a new issuer":            {issuers: []history.Value{one}, facts: &Facts{LeafSPKI: "22", LeafIssuer: "CN=Two"}, want: true},
		"at first sight":             {issuers: []history.Value{one}, facts: &Facts{LeafSPKI: "22", LeafIssuer: "CN=Two"}, first: "first_sight"},
		"the second look":            {issuers: []history.Value{one}, looks: []*answer{{}, {facts: &Facts{LeafSPKI: "22", LeafIssuer: "CN=Two"}}}, want: true},
		"learned an hour ago":        {issuers: []history.Value{one, two}, at: 49 * time.Hour, want: true},
		"learned longer ago":         {issuers: []history.Value{one, two}, at: 49*time.Hour + 1},
		"the first that was learned": {issuers: []history.Value{two}, at: 48 * time.Hour},
	} {
		m := &history.Memory{Baseline: base}
		m.Learned.SPKIs, m.Learned.Issuers, m.Learned.LeafSPKI = []history.Value{{Text: "11"}}, c.issuers, "11"
		got := transportNovel(&Case{When: When{At: base.Add(c.at)}, Before: m, Facts: c.facts, looks: c.looks, Baseline: c.first})
		if got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if transportNovel(&Case{Facts: &Facts{LeafSPKI: "22"}}) {
		t.Error("without a past nothing is novel")
	}
}
