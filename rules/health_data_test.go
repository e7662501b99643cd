package rules_test

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/replay"
	"github.com/jwkswatch/jwkswatch/rules"
)

// TestHealthOfRealKeys examines the last set of each issuer of the archive. What
// no issuer does must not be told of any, and what some do is known by number.
func TestHealthOfRealKeys(t *testing.T) {
	f, err := os.Open(filepath.Join(cmp.Or(os.Getenv("JWKSWATCH_DATA"), "../../shared/data"), "archive.jsonl.xz"))
	if err != nil {
		t.Skipf("no data: %v", err)
	}
	defer f.Close()
	rows, err := replay.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]*jwks.Set{}
	for _, r := range rows {
		if r.Status == 200 && r.Error == "" {
			last[r.Service] = jwks.Parse(r.Doc)
		}
	}
	at := time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC)
	got := map[string]int{} // issuers by code
	for _, set := range last {
		codes := map[string]bool{}
		for _, f := range rules.Examine(rules.Book(), set, rules.Policy{}, nil, at) {
			switch d := f.Details.(type) {
			case *event.KeyWeakDetails:
				for _, c := range d.Codes {
					codes[c] = true
				}
			case *event.KeyCertificateInvalidDetails:
				codes[d.Codes[0]] = true
			case *event.SetAmbiguousDetails:
				codes[d.Code] = true
			case *event.SetBreaksVerifiersDetails, *event.SetNoSigningKeysDetails, *event.SetOversizedDetails, *event.KeyCompromisedDetails:
				codes[string(f.Rule.Type)] = true
			}
		}
		for c := range codes {
			got[c]++
		}
	}
	t.Logf("of %d issuers: %v", len(last), got)
	for _, never := range []string{
		"rsa_even", "rsa_small_factor", "rsa_close_primes", "rsa_roca", "rsa_prime", "rsa_perfect_power", "ec_off_curve", "okp_low_order",
		"alg_none", "alg_mismatch", "key_mismatch", "thumbprint_mismatch", "kid_unsafe", "lookalike_kid",
	} {
		if got[never] > 0 {
			t.Errorf("%s of %d issuers", never, got[never])
		}
	}
	for _, some := range []string{"rsa_short", "rsa_exponent", "expired", "thumbprint_encoding", "set.breaks_verifiers"} {
		if got[some] == 0 || got[some] > len(last)/4 {
			t.Errorf("%s of %d issuers of %d: %v", some, got[some], len(last), slices.Sorted(maps.Keys(got)))
		}
	}
}
