package rules

import (
	"fmt"
	"slices"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// noSigningKeys finds a set in which nothing can verify a signature. An empty one
// is set.emptied.
func noSigningKeys(r *Recalled) []Flaw {
	if len(r.Set.Keys) == 0 || signs(r.Set.Keys) {
		return nil
	}
	f := Flaw{
		ID: history.FlawID(string(event.SetNoSigningKeys)), Want: true,
		What:    "no key of the set can verify a signature: every token fails",
		Details: &event.SetNoSigningKeysDetails{Keys: len(diff.Group(r.Set.Keys))},
	}
	if signs(r.Before.Live) {
		f.ByChange = event.SeverityHigh
	}
	return []Flaw{f}
}

// Soft limits of a set. 50 keys are more than all but one of 365 real sets have,
// and 823 were seen.
const (
	ManyKeys  = 50
	ManyBytes = 256 << 10
)

func oversized(s *jwks.Set) []Flaw {
	if !s.Usable() || len(s.Keys) <= ManyKeys && len(s.Body) <= ManyBytes {
		return nil
	}
	return []Flaw{{
		ID:      history.FlawID(string(event.SetOversized)),
		What:    fmt.Sprintf("the set has %d entries in %d KiB: verifiers with a limit fail, and a key among so many is easily missed", len(s.Keys), len(s.Body)>>10),
		Details: &event.SetOversizedDetails{Keys: len(s.Keys), Bytes: int64(len(s.Body))},
	}}
}

// goJose is the version whose decoder the parser's oracle runs.
const goJose = "go-jose v4.1.8"

// strangers are decoders that are known to fail on a whole set for one entry
// whose kty they do not know, against RFC 7517 section 5, measured by who
// reported it to them.
var strangers = [...]string{"Authlib 1.7.2", "jwcrypto 1.5.8", "fusionauth-jwt 6.0.0"}

// breaksVerifiers names decoders that fail on the set. Each is a flaw of its own,
// so that one that always failed does not hide the next; those of one step are
// told as one.
func breaksVerifiers(r *Recalled) []Flaw {
	var out []Flaw
	add := func(d event.Decoder) {
		f := Flaw{
			ID: history.FlawID(string(event.SetBreaksVerifiers), d.Name), Details: &event.SetBreaksVerifiersDetails{Decoders: []event.Decoder{d}},
			What: fails(d),
		}
		if r.newSet() && signs(r.Set.Keys) {
			f.ByChange = event.SeverityHigh
		}
		out = append(out, f)
	}
	switch v := r.Before.VerdictOf(r.Set.Digest); v.Read {
	case history.Rejects:
		add(event.Decoder{Name: goJose, Effect: "rejects", Reason: event.Text(v.Reason), Keys: v.Entries})
	case history.Misreads:
		add(event.Decoder{Name: goJose, Effect: "misreads", Reason: event.Text(v.Reason), Keys: v.Entries})
	case history.Unread:
		// Nobody tried yet. What stood before stands until somebody did.
		if id := history.FlawID(string(event.SetBreaksVerifiers), goJose); holds(r.Before, id) {
			add(event.Decoder{Name: goJose, Effect: "rejects", Reason: "as the set before; this one was not tried yet"})
		}
	}
	unknown := 0
	for i := range r.Set.Keys {
		switch r.Set.Keys[i].Kty {
		case "RSA", "EC", "OKP", "oct", "":
		default:
			unknown++
		}
	}
	if unknown > 0 {
		for _, name := range strangers {
			add(event.Decoder{Name: name, Effect: "rejects", Reason: "an entry with a kty that it does not know", Keys: unknown})
		}
	}
	return out
}

// holds reports whether an open condition has the flaw.
func holds(m *history.Memory, id string) bool {
	return slices.ContainsFunc(m.Conditions, func(c *history.Condition) bool { return slices.Contains(c.Flaws, id) })
}

// fails says what becomes of the set in a decoder.
func fails(d event.Decoder) string {
	effect, then := "the whole set is rejected by", "its users verify nothing"
	if d.Effect == "misreads" {
		effect, then = "the set is misread by", "its users miss keys"
	}
	return fmt.Sprintf("%s %s (%s): %s", effect, d.Name, limit(d.Reason, 60), then)
}

// spoilt reports whether the entry that cannot be read stands under the kid of a
// signing key that could be read before.
func spoilt(c *Case, fl Flaw) bool {
	if fl.Rule.Type != event.KeyUnparseable || fl.Key.Decoded() || fl.Key.Kid == "" || c.Baseline != "" || c.Before == nil {
		return false
	}
	return slices.ContainsFunc(c.Before.Live, func(k jwks.Key) bool {
		return k.Kid == fl.Key.Kid && k.Decoded() && k.Class() == jwks.ClassSignature
	})
}
