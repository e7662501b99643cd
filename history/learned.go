package history

import (
	"slices"
	"time"
)

// Bounds of what is learned about an endpoint's surroundings.
const (
	MaxLearnedSPKIs = 16
	MaxLearnedURIs  = 16
	MaxLearnedWeak  = 16
	// MaxLearnedPlaces is for six endpoints on some hosts each.
	MaxLearnedPlaces = 48
)

// Learned is what was seen around the key set: where discovery led, which
// certificates served it. A value that is here is no news.
type Learned struct {
	URIs    []Value // jwks_uri values, unmasked: compared and never shown
	SPKIs   []Value // hex of SHA-256 of leaf keys
	Issuers []Value // of leaf certificates
	// Leaf is the certificate of the last answer over TLS.
	LeafSPKI, LeafIssuer        string
	LeafNotBefore, LeafNotAfter time.Time
	// What discovery advertised last. Discovered is false before the first
	// document.
	Discovered     bool
	Algs           []string
	SignedMetadata bool
	PKCE           bool
	// Weak are the ways in which its documents were seen to protect less than
	// before: servers that differ must not be told for each turn they take.
	Weak []Value
	// Places are where its other endpoints were, "name host"; Others are the
	// jwks_uri values of its second document.
	Places, Others []Value
}

// Value is one value and when it was seen.
type Value struct {
	Text        string
	First, Last time.Time
	Count       uint64 // answers that were judged with it
}

// Knows reports whether a list holds the text.
func Knows(list []Value, text string) bool {
	return slices.ContainsFunc(list, func(v Value) bool { return v.Text == text })
}

// Newest returns the text that was seen last, "" of an empty list.
func Newest(list []Value) string {
	if len(list) == 0 {
		return ""
	}
	return slices.MaxFunc(list, func(a, b Value) int { return a.Last.Compare(b.Last) }).Text
}

// Met notes that a text was seen. Of more than most the one seen longest ago
// falls off. The list that is given is not changed.
func Met(list []Value, text string, at time.Time, most int) []Value {
	out := slices.Clone(list)
	i := slices.IndexFunc(out, func(v Value) bool { return v.Text == text })
	if i < 0 {
		out = append(out, Value{Text: text, First: at})
		i = len(out) - 1
	}
	out[i].Count++
	if at.After(out[i].Last) {
		out[i].Last = at
	}
	if len(out) > most {
		oldest := 0
		for j := range out {
			if j != i && (oldest == i || out[j].Last.Before(out[oldest].Last)) {
				oldest = j
			}
		}
		out = slices.Delete(out, oldest, oldest+1)
	}
	return out
}
