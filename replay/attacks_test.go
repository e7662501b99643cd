package replay

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
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

// newIssuer makes one of each kind that the archive holds, fifty in its shares: more
// than half stand still, a sixth rotates a few times a year and a fifth about once a
// month, with an overlap or sliding; one replaces everything, one does every night,
// and one has unequal nodes.
func newIssuer(r *rand.Rand, n, days int) issuer {
	name := func(i int) key {
		return key{kid: fmt.Sprintf("i%d-k%d", n, i), material: fmt.Sprintf("issuer %d key %d", n, i), use: "sig"}
	}
	between := func(least, most int) int { return least + r.IntN(most-least) }
	kind := n % 50
	period, begin := between(28, 90), r.IntN(90) // nobody begins to be watched on the day of a rotation
	switch {
	case kind < 30: // once in the time, at most
		period, begin = 400, r.IntN(400)
	case kind < 36:
		period = between(90, 200)
	case kind >= 45 && kind < 47:
		period = between(7, 28)
	}
	if kind < 27 {
		begin = 0
	}
	var out issuer
	for day := range days {
		d := begin + day
		set := []key{name(d / period)}
		switch {
		case kind < 27:
			set = []key{name(0), name(1)}
		case kind < 41 || kind >= 45 && kind < 47: // an overlap of a week, or half of the period
			if d >= period && d%period < min(7, period/2) {
				set = append(set, name(d/period-1))
			}
		case kind < 45: // slides: the next key is published long before
			set = append(set, name(d/period+1))
		case kind < 48: // replaces everything
			set = []key{name(2 * (d / period)), name(2*(d/period) + 1)}
		case kind < 49: // nightly, a dozen at once, each for two days
			set = nil
			for i := range 24 {
				set = append(set, name(12*d+i))
			}
		default: // two nodes that are not equal
			set = []key{name(0), name(1)}
			if r.IntN(3) == 0 {
				set = []key{name(0), name(2)}
			}
		}
		out = append(out, set)
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
	r := Archive(rows, Options{Book: rules.Book(), Unchecked: true})
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
// how many are told at which severity: about as many as the definitions were measured
// with. TestAttacksOnTheArchive does so on the issuers that they were measured on.
func TestInjectedAttacks(t *testing.T) {
	t.Parallel()
	// Attacked on any day after the first quarter.
	const days = 300
	issuers, chance := 50, 4 // of fifty, what chance does in percent
	if os.Getenv("JWKSWATCH_LONG") != "" {
		issuers, chance = 100, 0
	}
	all := []event.Type{
		event.KeyMutated, event.KeyKidReused, event.SetReplaced, event.KeyAdded, event.KeyReappeared, event.SetRolledBack, event.KeyEphemeral,
	}
	for _, a := range []struct {
		name   string
		inject func(i issuer, at int) (on int) // the day of it; 0 when this issuer cannot be attacked so
		types  []event.Type
		least  event.Severity
		share  int // percent, at least
	}{
		{"the same kid with other material", func(i issuer, at int) int {
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
		{"the whole set replaced", func(i issuer, at int) int {
			for d := at; d < days; d++ {
				i[d] = []key{rogue("r1"), rogue("r2")}
			}
			return at
		}, all, event.SeverityHigh, 98},
		{"signing keys replaced beside a decoy", func(i issuer, at int) int {
			decoy := key{kid: "enc", material: "decoy", use: "enc"}
			for d := range i {
				i[d] = append(slices.Clone(i[d]), decoy)
				if d >= at {
					i[d] = []key{rogue("r1"), decoy}
				}
			}
			return at
		}, all, event.SeverityHigh, 99},
		{"a retired key brought back", func(i issuer, at int) int {
			old := key{kid: "old", material: "retired", use: "sig"}
			for d := range i {
				if d < 40 || d >= at {
					i[d] = append(slices.Clone(i[d]), old)
				}
			}
			return at
		}, all, event.SeverityHigh, 96},
		{"a key for one poll", func(i issuer, at int) int {
			i[at] = append(slices.Clone(i[at]), rogue("r"))
			return at
		}, all, event.SeverityHigh, 95},
		{"a rogue key alone", func(i issuer, at int) int {
			for d := at; d < days; d++ {
				i[d] = append(slices.Clone(i[d]), rogue("r"))
			}
			return at
		}, all, event.SeverityMedium, 72},
		{"a rogue key on a real rotation", func(i issuer, at int) int {
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
				on := a.inject(i, 90+r.IntN(days-110))
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
			if told*100 < (a.share-chance)*n {
				t.Errorf("%d of %d are at least %s, want %d %%", told, n, a.least, a.share)
			}
		})
	}
}
