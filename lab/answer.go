package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Answer writes the answer to one request. current is the document an honest
// issuer would send now; it is lent, not given. A nil Answer is Honest(nil).
// An Answer that has state belongs to one Issuer and is safe for concurrent use.
type Answer func(w http.ResponseWriter, r *http.Request, current []byte)

func (a Answer) give(w http.ResponseWriter, r *http.Request, current []byte) {
	if a == nil {
		a = Honest(nil)
	}
	a(w, r, current)
}

// Honest sends the current document with an ETag and an hour of max-age, and
// 304 to a client that has it. The header overrides or adds lines.
func Honest(header http.Header) Answer {
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		sum := sha256.Sum256(current)
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("ETag", tag)
		setHeader(h, header)
		if strings.Contains(r.Header.Get("If-None-Match"), tag) {
			h.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Length", strconv.Itoa(len(current)))
		_, _ = w.Write(current)
	}
}

// Set serves other keys than the issuer's, honestly: a node that lags behind or
// ran ahead.
func Set(keys ...Key) Answer {
	document := Document(keys...)
	return func(w http.ResponseWriter, r *http.Request, _ []byte) {
		Honest(nil).give(w, r, document)
	}
}

// Alternate gives the answers in turn, a request each: the nodes behind one name
// disagree. In its arguments, as in those of all that follow, nil is honest, and
// so is a list without answers.
func Alternate(answers ...Answer) Answer {
	if len(answers) == 0 {
		return nil
	}
	var n atomic.Uint64
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		turn := (n.Add(1) - 1) % uint64(len(answers))
		answers[turn].give(w, r, current)
	}
}

// Sequence gives each answer once, and the last one for ever.
func Sequence(answers ...Answer) Answer {
	if len(answers) == 0 {
		return nil
	}
	var n atomic.Uint64
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		turn := min(n.Add(1), uint64(len(answers))) - 1
		answers[turn].give(w, r, current)
	}
}

// After gives the first answer n times and then the other.
func After(n int, first, then Answer) Answer {
	var given atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		if given.Add(1) <= int64(n) {
			first.give(w, r, current)
			return
		}
		then.give(w, r, current)
	}
}

// CoinFlip gives either answer by chance. The order of heads and tails depends
// on the seed alone.
func CoinFlip(seed uint64, heads, tails Answer) Answer {
	var mu sync.Mutex
	coin := rand.New(rand.NewPCG(seed, 0))
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		mu.Lock()
		up := coin.IntN(2) == 0
		mu.Unlock()
		if up {
			heads.give(w, r, current)
			return
		}
		tails.give(w, r, current)
	}
}

// When gives the first answer to requests that match and the other to the rest:
// a view of one's own by user agent, path or header.
func When(match func(*http.Request) bool, then, otherwise Answer) Answer {
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		if match(r) {
			then.give(w, r, current)
			return
		}
		otherwise.give(w, r, current)
	}
}

// Edited sends what edit makes of the current document, honestly. edit gets a
// number that is 0 for the first answer, and must not write into its argument.
func Edited(edit func(current []byte, n uint64) []byte) Answer {
	var n atomic.Uint64
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		Honest(nil).give(w, r, edit(current, n.Add(1)-1))
	}
}

// setHeader replaces the lines of h that more names; a nil value removes.
func setHeader(h, more http.Header) {
	for name, values := range more {
		h[http.CanonicalHeaderKey(name)] = values
	}
}

// pause waits, and reports whether the request still stands.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
