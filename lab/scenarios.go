package lab

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Outcome is what a careful reader makes of an answer.
type Outcome string

// The outcomes. Only Whole says anything about the keys of an issuer.
const (
	// Whole: status 200 and a complete body of the shape {"keys":[…]}, however
	// strange the entries. One bad entry must not hide the others.
	Whole Outcome = "whole"
	// Ambiguous: as Whole, but the keys member stands twice.
	Ambiguous Outcome = "ambiguous"
	// Excess: well-formed as far as it goes, and more than a reader should take:
	// over 8 MiB once decompressed, over 4,096 entries, deeper than 64, or
	// without end.
	Excess Outcome = "excess"
	// Invalid: status 200, complete, and no JSON Web Key Set.
	Invalid Outcome = "invalid"
	// Refused: complete, with another status than 200.
	Refused Outcome = "refused"
	// Broken: no complete answer within a minute.
	Broken Outcome = "broken"
	// Varies: one answer is not as the next, or depends on what was asked. The
	// first answer to a plain GET is Whole.
	Varies Outcome = "varies"
)

// Scenario is a row of the book: one hostile or broken behaviour of an issuer.
type Scenario struct {
	Name    string // [a-z0-9-]+, unique, stable
	Title   string // a few words for people
	Does    string // one sentence: what goes over the wire, and what is hoped to come of it
	Outcome Outcome
	New     func() Answer // a fresh Answer, with state of its own
}

// Scenarios is the whole book, honest behaviour excluded. The slice is the
// caller's.
func Scenarios() []Scenario {
	return slices.Concat(
		statusScenarios(), cacheScenarios(), shapeScenarios(), entryScenarios(),
		kidScenarios(), sizeScenarios(), wireScenarios(), turnScenarios(),
	)
}

func statusScenarios() []Scenario {
	status := func(name, title, does string, code int, header http.Header, body string) Scenario {
		return Scenario{name, title, does, Refused, func() Answer { return Status(code, header, body) }}
	}
	page := http.Header{"Content-Type": {"text/html"}}
	return []Scenario{
		status("status-204", "No content", "204 without a body: nothing is there, which is not an empty set.", 204, nil, ""),
		{"status-206", "Partial content", "206 with the first half, though no range was asked for.", Refused, Partial},
		status("status-304", "Not modified, unasked", "304 to a client that sent no validator and has nothing to fall back on.", 304, nil, ""),
		status("status-401", "Unauthorized", "401 with a challenge: credentials must not follow it.", 401,
			http.Header{"WWW-Authenticate": {`Basic realm="keys"`}}, "unauthorized"),
		status("status-403", "Forbidden", "403 with the page of a bot filter.", 403, page, "<html>Are you a robot?</html>"),
		status("status-404", "Not found", "404: the path moved.", 404, page, "<html>not found</html>"),
		status("status-429", "Too many requests", "429 with a Retry-After of ten years: obeying it would blind the watcher.", 429,
			http.Header{"Retry-After": {"315360000"}}, "slow down"),
		status("status-500", "Server error", "500 whose body is a set with no keys: the status must win.", 500,
			http.Header{"Content-Type": {"application/json"}}, `{"keys":[]}`),
		status("status-503", "Maintenance", "503 with a Retry-After of two minutes.", 503,
			http.Header{"Retry-After": {"120"}, "Content-Type": {"text/html"}}, "<html>back soon</html>"),
		{"redirect-loop", "Redirect loop", "301 to ever new addresses of the same issuer.", Refused, RedirectLoop},
		{
			"redirect-metadata", "Redirect inwards", "302 to the metadata address of cloud machines.", Refused,
			func() Answer { return Redirect("http://169.254.169.254/latest/meta-data/") },
		},
		{
			"redirect-elsewhere", "Redirect to another host", "302 to a host nobody configured.", Refused,
			func() Answer { return Redirect("https://keys.invalid/jwks.json") },
		},
		{
			"redirect-file", "Redirect to a file", "302 to a file: address.", Refused,
			func() Answer { return Redirect("file:///etc/passwd") },
		},
	}
}

func cacheScenarios() []Scenario {
	return []Scenario{
		{"lying-etag", "One ETag for ever", "The document changes under one ETag, and 304 to whoever shows it.", Varies, SameETag},
		{
			"stale-cache", "Stale cache", "The first document for ever, with an Age past its max-age.", Whole,
			func() Answer { return StaleCache(2 * time.Hour) },
		},
		{
			"wrong-type", "Mangled content type", "A sound set whose Content-Type repeats the name of the field.", Whole,
			func() Answer { return Honest(http.Header{"Content-Type": {"Content-Type: application/json"}}) },
		},
		{
			"wrong-charset", "Wrong charset", "A sound set in UTF-8 that says it is UTF-16.", Whole,
			func() Answer { return Honest(http.Header{"Content-Type": {"application/json; charset=utf-16"}}) },
		},
		{
			"gzip-unasked", "Gzip, unasked", "A compressed body with its Content-Encoding, whatever the client accepts.", Varies,
			func() Answer { return GzipUnasked(true) },
		},
		{
			"gzip-unlabelled", "Gzip, unlabelled", "A compressed body that says it is JSON.", Invalid,
			func() Answer { return GzipUnasked(false) },
		},
	}
}

func shapeScenarios() []Scenario {
	fixed := func(name, title, does, body string) Scenario {
		return Scenario{name, title, does, Invalid, func() Answer { return Fixed("application/json", body) }}
	}
	return []Scenario{
		{"html-login", "Login page", "A sign-in page with status 200.", Invalid, HTMLLogin},
		{"error-json", "Error as JSON", "An error object with status 200.", Invalid, ErrorJSON},
		fixed("body-empty", "No octets", "Status 200 and nothing.", ""),
		fixed("body-null", "null", "The JSON value null.", "null"),
		fixed("body-object", "Empty object", "An object without keys.", "{}"),
		fixed("body-array", "Array", "A bare array of keys, as old issuers sent it.", "[]"),
		fixed("body-pem", "PEM map", "Certificates by kid, the format before JWKS.",
			`{"a1":"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"}`),
		fixed("keys-null", "keys is null", "What some marshallers make of an empty list.", `{"keys":null}`),
		fixed("keys-object", "keys is an object", "Keys by kid in place of an array.", `{"keys":{"a":{"kty":"EC"}}}`),
		fixed("keys-case", "Keys in capitals", "Only Keys: readers that ignore case see an empty set.", `{"Keys":[]}`),
		{"empty-set", "Empty set", "No key at all, properly said.", Whole, func() Answer { return Set() }},
		{"utf16", "UTF-16", "The document in UTF-16.", Invalid, UTF16},
		{"bom", "Byte order mark", "The document after a UTF-8 byte order mark.", Invalid, BOM},
		{
			"trailing", "Trailing octets", "The document and a second, empty one after it.", Invalid,
			func() Answer { return Affixed("", `{"keys":[]}`) },
		},
		{
			"script", "JSONP", "The document as an argument of a function.", Invalid,
			func() Answer { return Affixed("callback(", ");") },
		},
		{"truncated-json", "Half a document", "HTTP is complete, the JSON stops half way.", Invalid, TruncatedJSON},
		{"repeated-keys", "keys twice", "Two keys members: which one counts depends on the parser.", Ambiguous, RepeatedKeys},
	}
}

func sizeScenarios() []Scenario {
	return []Scenario{
		{
			"gzip-bomb", "Gzip bomb", "A megabyte that unpacks to a gigabyte of valid JSON.", Excess,
			func() Answer { return GzipBomb(1 << 30) },
		},
		{"endless", "Endless body", "Sound entries for as long as anybody reads.", Excess, Endless},
		{
			"many-keys", "Ten thousand keys", "10,000 sound entries beside the issuer's own.", Excess,
			func() Answer { return ManyKeys(10_000) },
		},
		{
			"large-set", "Eight hundred keys", "823 entries, the largest honest set ever seen in the wild.", Whole,
			func() Answer { return ManyKeys(823) },
		},
		{"deep", "Deep nesting", "Arrays 5,000 deep where a modulus should be.", Excess, func() Answer { return Deep(5000) }},
		{
			"private-bomb", "Private keys by the hundred", "1,000 private RSA entries: checking the primes of each takes minutes.", Whole,
			func() Answer { return PrivateBomb(1000) },
		},
	}
}

func turnScenarios() []Scenario {
	other := func() Answer { return Set(NewEC("other-node", "P-256")) }
	return []Scenario{
		{
			"split-nodes", "Nodes disagree", "The issuer's set and another one, in turn.", Varies,
			func() Answer { return Alternate(nil, other()) },
		},
		{
			"coin-flip", "Nodes disagree by chance", "An honest first look; then the issuer's set or an empty one, by a coin of fixed seed.", Varies,
			func() Answer { return After(1, nil, CoinFlip(1, nil, Set())) },
		},
		{
			"flapping", "Up and down", "An answer, then an error, then an answer.", Varies,
			func() Answer { return Alternate(nil, Status(http.StatusBadGateway, nil, "bad gateway")) },
		},
		{
			"revert", "Gone and back", "One answer lacks every key; before and after it all is well.", Varies,
			func() Answer { return Sequence(nil, Set(), nil) },
		},
		{
			"rollback", "Back to an old set", "Another key for eight answers, then the set of before for ever.", Varies,
			func() Answer { return After(8, Beside(string(encodeEntry(NewEC("newer", "P-256").Public()))), nil) },
		},
		{
			"takeover", "Replaced without a word", "Two honest answers, then other keys for ever.", Varies,
			func() Answer { return After(2, nil, other()) },
		},
		{"user-agent", "A view for browsers", "After the first look, other keys for whoever is no browser.", Varies, func() Answer {
			browser := func(r *http.Request) bool { return strings.HasPrefix(r.UserAgent(), "Mozilla/") }
			// Its first look is honest, so that the change shows.
			return After(1, nil, When(browser, nil, other()))
		}},
		{"junk-key", "A new key each time", "A key that is new in every answer, so that no two agree.", Varies, JunkKey},
		{"request-id", "A member that changes", "A request id outside keys, new in every answer.", Varies, RequestID},
		{
			"shuffled", "Changing order", "The same entries in another order each time.", Varies,
			func() Answer { return Shuffled(1) },
		},
	}
}
