package replay

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// key is one synthetic key.
type key struct{ kid, material, use string }

func (k key) entry() map[string]string {
	x := sha256.Sum256([]byte(k.material))
	out := map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": k.kid, "x": base64.RawURLEncoding.EncodeToString(x[:])}
	if k.use != "" {
		out["use"] = k.use
	}
	return out
}

// issuer is the set of a synthetic issuer on each day.
type issuer [][]key

// issuers makes one of each kind that the archive holds, in about its shares: most
// stand still or rotate with an overlap, some slide, a few replace everything, and
// a few have unequal nodes.
func newIssuer(r *rand.Rand, n, days int) issuer {
	name := func(i int) key {
		return key{kid: fmt.Sprintf("i%d-k%d", n, i), material: fmt.Sprintf("issuer %d key %d", n, i), use: "sig"}
	}
	period := 20 + r.IntN(40)
	var out issuer
	switch kind := n % 40; {
	case kind < 20: // still
		set := []key{name(0), name(1)}
		for range days {
			out = append(out, set)
		}
	case kind < 32: // rotates with an overlap of a week
		for d := range days {
			set := []key{name(d / period)}
			if d/period > 0 && d%period < 7 {
				set = append(set, name(d/period-1))
			}
			out = append(out, set)
		}
	case kind < 37: // slides: the next key is published long before
		for d := range days {
			out = append(out, []key{name(d / period), name(d/period + 1)})
		}
	case kind < 38: // replaces everything
		for d := range days {
			out = append(out, []key{name(2 * (d / period)), name(2*(d/period) + 1)})
		}
	case kind < 39: // nightly, a dozen at once, each for two days
		for d := range days {
			var set []key
			for i := range 24 {
				set = append(set, name(12*d+i))
			}
			out = append(out, set)
		}
	default: // two nodes that are not equal
		for range days {
			set := []key{name(0), name(1)}
			if r.IntN(3) == 0 {
				set = []key{name(0), name(2)}
			}
			out = append(out, set)
		}
	}
	return out
}

// play replays the issuer and returns the highest severity of what was told of the
// kinds, from a day on for four days: as long as what needs two polls may take.
func (i issuer) play(t *testing.T, from int, kinds ...event.Type) event.Severity {
	t.Helper()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var rows []Row
	for d, set := range i {
		entries := []map[string]string{}
		for _, k := range set {
			entries = append(entries, k.entry())
		}
		doc, err := json.Marshal(map[string]any{"keys": entries})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, Row{T: start.Add(time.Duration(d) * day), Service: "idp", Status: 200, Doc: doc})
	}
	worst := event.Severity(0)
	r := Archive(rows, Options{Book: rules.Book()})
	for k := range r.Told {
		told := &r.Told[k]
		d := int(told.At.Sub(start) / day)
		if d >= from && d < from+4 && !told.Finding.Closing && slices.Contains(kinds, told.Finding.Type) {
			worst = max(worst, told.Data.Event.Severity)
		}
	}
	return worst
}

// rogue is a key of the attacker.
func rogue(kid string) key { return key{kid: kid, material: "rogue " + kid, use: "sig"} }

// TestInjectedAttacks injects each attack into many synthetic issuers and holds
// how many are told at which severity: at least as many as the definitions were
// measured with.
func TestInjectedAttacks(t *testing.T) {
	t.Parallel()
	const days, at, issuers = 160, 130, 80
	all := []event.Type{
		event.KeyMutated, event.KeyKidReused, event.SetReplaced, event.KeyAdded, event.KeyReappeared, event.SetRolledBack, event.KeyEphemeral,
	}
	for _, a := range []struct {
		name   string
		inject func(i issuer) (on int) // the day of it; 0 when this issuer cannot be attacked so
		types  []event.Type
		least  event.Severity
		share  int // percent, at least
	}{
		{"the same kid with other material", func(i issuer) int {
			for d := at; d < days; d++ {
				for n, k := range i[d] {
					if k.kid == i[at][0].kid {
						i[d] = slices.Clone(i[d])
						i[d][n].material = "rogue"
					}
				}
			}
			return at
		}, all, event.SeverityCritical, 97},
		{"the whole set replaced", func(i issuer) int {
			for d := at; d < days; d++ {
				i[d] = []key{rogue("r1"), rogue("r2")}
			}
			return at
		}, all, event.SeverityHigh, 98},
		{"signing keys replaced beside a decoy", func(i issuer) int {
			decoy := key{kid: "enc", material: "decoy", use: "enc"}
			for d := range i {
				i[d] = append(slices.Clone(i[d]), decoy)
				if d >= at {
					i[d] = []key{rogue("r1"), decoy}
				}
			}
			return at
		}, all, event.SeverityHigh, 98},
		{"a retired key brought back", func(i issuer) int {
			old := key{kid: "old", material: "retired", use: "sig"}
			for d := range i {
				if d < 40 || d >= at {
					i[d] = append(slices.Clone(i[d]), old)
				}
			}
			return at
		}, all, event.SeverityHigh, 96},
		{"a key for one poll", func(i issuer) int {
			i[at] = append(slices.Clone(i[at]), rogue("r"))
			return at
		}, all, event.SeverityHigh, 92},
		{"a rogue key alone", func(i issuer) int {
			for d := at; d < days; d++ {
				i[d] = append(slices.Clone(i[d]), rogue("r"))
			}
			return at
		}, all, event.SeverityMedium, 65},
		{"a rogue key on a real rotation", func(i issuer) int {
			// The day on which the next key comes; that of who never rotates, or always
			// does, is any.
			on := 0
			for d := at; d < days-5 && on == 0; d++ {
				for _, k := range i[d] {
					if !slices.Contains(i[d-1], k) {
						on = d
					}
				}
			}
			if on == 0 {
				return 0
			}
			r := rogue("r")
			for d := on; d < days; d++ {
				i[d] = append(slices.Clone(i[d]), r)
			}
			return on
		}, all, event.SeverityMedium, 69},
	} {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(4, 4))
			found, n := map[event.Severity]int{}, 0
			for k := range issuers {
				i := newIssuer(r, k, days)
				on := a.inject(i)
				if on == 0 {
					continue
				}
				n++
				found[i.play(t, on, a.types...)]++
			}
			told := 0
			for s, c := range found {
				if s >= a.least {
					told += c
				}
			}
			t.Logf("of %d: %d critical, %d high, %d medium, %d low, %d not", n, found[5], found[4], found[3], found[2], found[0]+found[1])
			if told*100 < a.share*n {
				t.Errorf("%d of %d are at least %s, want %d %%", told, n, a.least, a.share)
			}
		})
	}
}
