package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestKeyCoversWhatMatters(t *testing.T) {
	t.Parallel()
	base := func() Response {
		return Response{Status: 200, URL: "https://i.example/", ContentType: "application/json", CacheControl: "max-age=1"}
	}
	keys := map[[32]byte]string{}
	for name, change := range map[string]func(*Response){
		"nothing":                 func(*Response) {},
		"body":                    func(r *Response) { r.BodySHA256[31]++ },
		"status":                  func(r *Response) { r.Status = 201 },
		"leaf":                    func(r *Response) { r.LeafSPKI[0]++ },
		"URL":                     func(r *Response) { r.URL += "x" },
		"URL that is not shown":   func(r *Response) { r.asked = "https://i.example/?a=b" },
		"content type":            func(r *Response) { r.ContentType = "text/html" },
		"cache control":           func(r *Response) { r.CacheControl = "max-age=2" },
		"stale":                   func(r *Response) { r.Stale = true },
		"content encoding":        func(r *Response) { r.ContentEncoding = "gzip" },
		"from one to another":     func(r *Response) { r.ContentType += "m"; r.CacheControl = r.CacheControl[1:] },
		"longer than stack space": func(r *Response) { r.CacheControl = strings.Repeat("x", 512) },
	} {
		r := base()
		change(&r)
		if other, found := keys[r.Key()]; found {
			t.Errorf("%s: same key as %s", name, other)
		}
		keys[r.Key()] = name
	}
	same, r := base(), base()
	r.ETag, r.Date, r.Age, r.LastModified, r.RemoteAddr = "e", "d", "1", "l", "1.1.1.1:443"
	r.LeafIssuer, r.Duration, r.Body, r.MaxAge = "CN=x", time.Second, []byte("b"), time.Second
	r.AgeSeconds, r.HasAge, r.LeafNotBefore = 1, true, time.Now()
	if r.Key() != same.Key() {
		t.Error("the key depends on what differs between two nodes")
	}
}

func TestKeyDoesNotAllocate(t *testing.T) {
	r := Response{Status: 200, URL: "https://issuer.example/.well-known/jwks.json", asked: "https://issuer.example/.well-known/jwks.json"}
	r.ContentType, r.CacheControl = "application/json; charset=utf-8", "public, max-age=3600, must-revalidate"
	if n := testing.AllocsPerRun(100, func() { r.Key() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"max-age=60": time.Minute, "public, max-age=0": 0, "no-cache,MAX-AGE=5 , x": 5 * time.Second, `max-age="7"`: 7 * time.Second,
		"max-age=1, max-age=2": time.Second, "max-age=2147483649": 1 << 31 * time.Second,
		"max-age=99999999999999999999999": 1 << 31 * time.Second,
	} {
		if got, has := directive(text, "max-age"); !has || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, has, want)
		}
	}
	for _, text := range []string{"", "no-store", "s-maxage=60", "max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=+1", "xmax-age=1", "max-age=1h"} {
		if got, has := directive(text, "max-age"); has {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Stale: beyond the time of freshness, stale-while-revalidate and a minute.
func TestFreshness(t *testing.T) {
	t.Parallel()
	type evidence struct {
		age        int64
		hasAge     bool
		revalidate time.Duration
		stale      bool
	}
	for _, test := range []struct {
		age, cacheControl string
		want              evidence
	}{
		{"", "max-age=0", evidence{}},
		{"61", "", evidence{61, true, 0, false}},
		{"61", "no-store", evidence{61, true, 0, false}},
		{"60", "max-age=0", evidence{60, true, 0, false}},
		{"61", "max-age=0", evidence{61, true, 0, true}},
		{"3660", "public, max-age=3600", evidence{3660, true, 0, false}},
		{"3661", "public, max-age=3600", evidence{3661, true, 0, true}},
		{"3691", "max-age=3600, stale-while-revalidate=30", evidence{3691, true, 30 * time.Second, true}},
		{"3690", "max-age=3600, stale-while-revalidate=30", evidence{3690, true, 30 * time.Second, false}},
		{"99", "stale-while-revalidate=30", evidence{99, true, 30 * time.Second, false}},
		// s-maxage is for the caches that Age comes from.
		{"80000", "max-age=60, s-maxage=86400", evidence{80000, true, 0, false}},
		{"80000", "s-maxage=60", evidence{80000, true, 0, false}},
		{"3000", "max-age=3600, s-maxage=60", evidence{3000, true, 0, false}},
		{"86461", "max-age=60, s-maxage=86400", evidence{86461, true, 0, true}},
		{"99999999999999999999", "max-age=99999999999999999999", evidence{1 << 31, true, 0, false}},
		{"70, 5", "max-age=0", evidence{70, true, 0, true}},
		{"-1", "max-age=0", evidence{}},
		{"1.5", "max-age=0", evidence{}},
		{"soon", "max-age=0", evidence{}},
	} {
		var r Response
		r.headers(http.Header{"Age": {test.age}, "Cache-Control": {test.cacheControl}}, Target{})
		if got := (evidence{r.AgeSeconds, r.HasAge, r.StaleWhileRevalidate, r.Stale}); got != test.want {
			t.Errorf("Age %q, %q: %+v, want %+v", test.age, test.cacheControl, got, test.want)
		}
	}
}

// TestWhatWeSentIsNotEvidence holds that a server which sends back what a request
// brought puts no secret into evidence.
func TestWhatWeSentIsNotEvidence(t *testing.T) {
	t.Parallel()
	const secret = "TOPSECRETVALUE"
	asked := Target{URL: "https://idp.example/keys?sig=QUERYSECRET", Header: http.Header{"X-Api-Key": {secret}, "Authorization": {"Bearer " + secret + "2"}}}
	echo := "x " + secret + " QUERYSECRET"
	var r Response
	h := http.Header{}
	for _, name := range []string{"Etag", "Cache-Control", "Content-Type", "Content-Encoding", "Age", "Date", "Last-Modified", "Retry-After", "Location"} {
		h.Set(name, echo)
	}
	r.headers(h, asked)
	if told := fmt.Sprintf("%+v", r); strings.Contains(told, secret) || strings.Contains(told, "QUERYSECRET") {
		t.Errorf("told: %s", told)
	}
	if r.ETag != "x *** ***" {
		t.Errorf("ETag %q", r.ETag)
	}
	found, err := asked.Discovered("https://idp.example/" + secret + "/keys")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(found.masked, secret) || !strings.Contains(found.URL, secret) {
		t.Errorf("shown as %s, asked as %s", found.masked, found.URL)
	}
	if got := asked.Scrub("issuer " + secret); got != "issuer ***" {
		t.Error(got)
	}
}

func TestErrorTextIsCleanAndShort(t *testing.T) {
	t.Parallel()
	cause := errors.New("a\x1b[2J\nb\u202e\xff" + strings.Repeat("é", 400))
	for pad := range 4 { // every position of a cut inside a character
		err := &Error{Phase: PhaseRead, Err: errors.New(strings.Repeat("p", pad) + cause.Error())}
		text := err.Error()
		if len(text) > maxErrorText || strings.ContainsAny(text, "\x1b\n\u202e") || !utf8.ValidString(text) || !strings.HasSuffix(text, "é…") {
			t.Errorf("%d octets: %q", len(text), text)
		}
	}
	err := error(&Error{Phase: PhaseStatus, Err: cause})
	if !errors.Is(err, cause) {
		t.Error("Unwrap")
	}
	if got := (&Error{Phase: PhaseStatus}).Error(); got != "status" {
		t.Errorf("without a cause: %q", got)
	}
}
