package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/keyhealth"
)

// Expect is what is declared of an endpoint. Zero values declare nothing.
type Expect struct {
	Cadence       time.Duration // from one rotation to the next
	Overlap       time.Duration // for which the old and the new key stand together at least
	TokenLifetime time.Duration // of the tokens of the issuer
	MaxKeyAge     time.Duration
	Keys          Range    // how many signing keys
	Algs          []string // of signing keys; RFC 7518 names
	Thumbprints   []string // RFC 7638, that the first sight must not go beyond
	Windows       []string // names of change windows
}

// Range is a number of things, both ends included; the zero Range is none.
type Range struct{ Min, Max int }

const maxRange = 4096 // keys: more are not read

func (e *Expect) fields() []field {
	return []field{
		{key: "cadence", doc: "Time from one rotation to the next.", example: "90d", one: durationOf(&e.Cadence, time.Hour)},
		{key: "overlap", doc: "How long the old and the new key stand together at least.", example: "24h", one: durationOf(&e.Overlap, time.Minute)},
		{key: "token_lifetime", doc: "Of the tokens of the issuer: so long a key is needed after its last signature.", example: "1h", one: durationOf(&e.TokenLifetime, time.Second)},
		{key: "max_key_age", doc: "How old a key may grow.", example: "120d", one: durationOf(&e.MaxKeyAge, time.Hour)},
		{key: "keys", doc: "How many signing keys: one number, or the least and the most as `1..3`.", example: "1..3", one: rangeOf(&e.Keys)},
		{key: "algs", doc: "Algorithms that signing keys may have (RFC 7518 names).", example: "[RS256, ES256]", texts: &texts{
			typ: "list of algorithms", shape: func() shape { return shape{pattern: strings.Join(signing(), "|")} },
			add: func(_ value, text string) *refusal {
				if !slices.Contains(signing(), text) {
					return refused("wants algorithms of signatures", "one of "+strings.Join(signing(), ", "))
				}
				e.Algs = append(e.Algs, text)
				return nil
			},
			show: func() []string { return e.Algs },
		}},
		{key: "thumbprints", doc: "Keys that the first sight must not go beyond (RFC 7638, SHA-256, base64url).", example: `["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]`, texts: thumbprints(&e.Thumbprints)},
		{key: "windows", doc: "Change windows in which changes are expected; outside of them a new signing key is high. See docs/approvals.md.", example: "[example]", texts: &texts{
			typ: "list of names", shape: func() shape { return shape{pattern: namePattern} },
			add: func(_ value, text string) *refusal {
				if !isName(text) {
					return refused("wants names of windows", "those that stand in windows:")
				}
				e.Windows = append(e.Windows, text)
				return nil
			},
			show: func() []string { return e.Windows },
		}},
	}
}

// Compromised are keys of own incidents.
type Compromised struct {
	Thumbprints []string
	Blocklists  []string               // paths of files as badkeys has them
	Lists       []*keyhealth.Blocklist // of these files, in their order; they never change
}

func (c *Compromised) fields(d *decoder) []field {
	return []field{
		{key: "thumbprints", doc: "RFC 7638, SHA-256, base64url.", example: `["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]`, texts: thumbprints(&c.Thumbprints)},
		{key: "blocklists", doc: "Files of known keys as badkeys has them, unpacked (`blocklist.dat`). Their content is looked at every 30 seconds, as that of all files.", example: "[/var/lib/badkeys/blocklist.dat]", texts: c.blocklists(d)},
	}
}

// thumbprints is a list of them.
func thumbprints(p *[]string) *texts {
	return &texts{
		typ: "list of thumbprints", shape: func() shape { return shape{pattern: thumbprintPattern} },
		add: func(_ value, text string) *refusal {
			if !IsThumbprint(text) {
				return refused("wants thumbprints of 43 characters of base64url", "jwkswatch lint URL prints them")
			}
			*p = append(*p, text)
			return nil
		},
		show: func() []string { return *p },
	}
}

// IsThumbprint reports whether the text has the form of an RFC 7638 thumbprint with
// SHA-256.
func IsThumbprint(s string) bool {
	return regexp.MustCompile("^(" + thumbprintPattern + ")$").MatchString(s)
}

// thumbprintPattern is SHA-256 in base64url: the last character holds four bits.
const thumbprintPattern = "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"

// signing are the algorithms of JSON Web Signatures with a key that can be
// published.
func signing() []string {
	return []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "Ed448",
		"ML-DSA-44", "ML-DSA-65", "ML-DSA-87",
	}
}

func rangeOf(p *Range) *binding {
	show := func() string {
		switch {
		case *p == Range{}:
			return ""
		case p.Min == p.Max:
			return strconv.Itoa(p.Min)
		}
		return fmt.Sprintf("%d..%d", p.Min, p.Max)
	}
	number := between(1, maxRange)
	sh := func() shape {
		return shape{pattern: "(" + number + `)(\.\.(` + number + "))?", plain: []string{"integer"}, least: 1, most: maxRange}
	}
	return &binding{typ: "number or range", shape: sh, show: show, set: func(s string) *refusal {
		least, most, both := strings.Cut(s, "..")
		if !both {
			most = least
		}
		low, ok := counted(least)
		high, too := counted(most)
		switch {
		case !ok || !too:
			return refused(fmt.Sprintf("wants a number from 1 to %d, or two such as 1..3", maxRange), "decimal digits; the set of an issuer that rotates holds one key more for a while")
		case high < low:
			return refused("wants the smaller number first", fmt.Sprintf("write %d..%d", high, low))
		}
		*p = Range{low, high}
		return nil
	}}
}

func counted(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 1 && n <= maxRange && s == strconv.Itoa(n)
}
