package fetch

import (
	"strconv"
	"strings"
	"time"
)

// staleGrace is for clocks that differ and caches that round.
const staleGrace = time.Minute

// freshness reads how old the answer is and how old it may be (RFC 9111).
func (r *Response) freshness() {
	if r.CacheControl == "" && r.Age == "" {
		return
	}
	r.MaxAge, r.HasMaxAge = directive(r.CacheControl, "max-age")
	r.StaleWhileRevalidate, _ = directive(r.CacheControl, "stale-while-revalidate")
	// "If a cache receives a request with multiple Age field lines …, use the
	// first value" (RFC 9111, section 5.1, shortened).
	first, _, _ := strings.Cut(r.Age, ",")
	age, ok := deltaSeconds(strings.TrimSpace(first))
	r.AgeSeconds, r.HasAge = int64(age/time.Second), ok
	if !r.HasAge || !r.HasMaxAge {
		return
	}
	// Age comes from a shared cache, and for that s-maxage "overrides the maximum
	// age specified by … the max-age directive" (section 5.2.2.10). Where both
	// stand the longer one counts: a cache that kept to either does as told.
	shared, _ := directive(r.CacheControl, "s-maxage")
	r.Stale = age > max(r.MaxAge, shared)+r.StaleWhileRevalidate+staleGrace
}

// directive returns the first directive of that name, in lower case, when it is
// a time.
func directive(cacheControl, wanted string) (time.Duration, bool) {
	for part := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(name, wanted) {
			return deltaSeconds(strings.Trim(value, `"`))
		}
	}
	return 0, false
}

// deltaSeconds reads a time. "If a cache receives a delta-seconds value greater
// than the greatest integer it can represent, … the cache MUST consider the
// value to be 2147483648" (RFC 9111, section 1.2.2).
func deltaSeconds(text string) (time.Duration, bool) {
	const most = 1 << 31
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds > most {
		seconds = most // only a number out of range is left to fail
	}
	return time.Duration(seconds) * time.Second, true
}
