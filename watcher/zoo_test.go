package watcher_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// beast is an entry of the zoo of hostile servers: what holds it, and what is told
// of it.
type beast struct {
	entry string
	// by are scenarios of the lab's book, or tests: a path from the root and a name.
	by []string
	// tells is severity and type of an event that each of the scenarios must make;
	// "" for none at all but what a harmless answer brings.
	tells string
}

const (
	unreachable = "medium endpoint.unreachable"
	invalid     = "medium document.invalid"
	ambiguous   = "medium set.ambiguous"
	private     = "critical key.private"
)

// zoo is every hostile behaviour that is known.
var zoo = []beast{
	{"no accept, a reset or an end in the handshake, a stall", []string{"watcher TestZooNobodyAccepts", "watcher TestZooOfTLS"}, ""},
	{"reset at each phase", []string{"reset-before-header", "reset-in-header", "reset-after-header", "reset-in-body", "hang", "garbage"}, unreachable},
	{"TLS: expired, wrong host, self-signed, 1.0, huge chain", []string{"watcher TestZooOfTLS", "fetch TestTLSRefused", "fetch TestBrokenHandshakes"}, ""},
	{"TLS: another issuer of the certificate", []string{"watcher TestDiscoveryMovesOverTLS", "fetch TestCertificateExchangedIsSeen"}, ""},
	{"headers: trickle, 16 MiB, 1xx flood, conflicting lengths, invalid chunks", []string{"trickle-header", "huge-header", "informational", "two-lengths", "broken-chunks", "unended-chunks"}, unreachable},
	{"no Content-Length", []string{"no-length"}, ""},
	{"wrong Content-Length: too long", []string{"truncated"}, unreachable},
	{"wrong Content-Length: too short", []string{"short-length"}, invalid},
	{"body: an octet each two seconds, endless", []string{"trickle-body", "endless"}, unreachable},
	{"gzip bomb, 10,000 keys, deep nesting", []string{"gzip-bomb", "many-keys", "deep"}, invalid},
	{"gzip without asking", []string{"gzip-unasked", "gzip-unlabelled"}, invalid},
	{"wrong charset", []string{"wrong-charset"}, ""},
	{"content type that is none", []string{"wrong-type"}, "low endpoint.content_type"},
	{"UTF-16, byte order mark, login or captcha with 200, error as JSON, empty", []string{"utf16", "bom", "html-login", "error-json", "body-empty"}, invalid},
	{
		"other documents", []string{
			"body-null", "body-object", "body-array", "body-pem", "keys-null", "keys-object", "keys-case", "trailing", "script", "truncated-json",
		}, invalid,
	},
	{"truncated at every octet", []string{"watcher TestZooCutAnywhere", "fetch TestBodyCutAnywhere"}, ""},
	{"an honest set of 823 keys, and one of 80 under one kid", []string{"large-set", "kid-repeated"}, "medium set.oversized"},
	{"no key at all", []string{"empty-set"}, "critical set.emptied"},
	{"duplicates", []string{"repeated-keys"}, "high set.ambiguous"},
	{"bad keys beside good ones", []string{"bad-neighbours"}, "medium key.unparseable"},
	{"odd spellings of one key", []string{"odd-encodings"}, "high set.breaks_verifiers"},
	{"weak keys", []string{"weak-rsa", "odd-labels"}, "critical key.weak"},
	{"expired certificate of a key", []string{"expired-certificate"}, "low key.added"},
	{"private keys, and a thousand of them", []string{"private-bomb", "private-ec", "private-oct", "private-pem", "private-stray", "kid-redacted"}, private},
	{
		"status 204, 206, 304 without validator, 401, 403, 404, 429 with Retry-After of ten years, 500, 503",
		[]string{"status-204", "status-206", "status-304", "status-401", "status-403", "status-404", "status-429", "status-500", "status-503"},
		unreachable,
	},
	{"301 loop", []string{"redirect-loop"}, "medium endpoint.redirected"},
	{"302 to metadata, to another host, to a file", []string{"redirect-metadata", "redirect-elsewhere", "redirect-file"}, "high endpoint.redirected"},
	{"302 from https to http", []string{"fetch TestRedirectsNotFollowed"}, ""},
	{"304 that lies", []string{"lying-etag"}, ""},
	{"stale cache, Age past max-age", []string{"stale-cache"}, "low endpoint.cache_policy"},
	{"split view of addresses", []string{"watcher TestEachAddressIsAsked"}, ""},
	{"a view for one user agent, a takeover", []string{"user-agent", "takeover"}, "high set.replaced"},
	{"flapping with each poll", []string{"flapping"}, unreachable},
	{"empty by chance", []string{"coin-flip"}, "critical set.emptied"},
	{"rollback to an old set", []string{"rollback"}, "informational key.removed"},
	{"two nodes that disagree", []string{"split-nodes"}, "low key.added"},
	{"a key that is new in each answer", []string{"junk-key"}, "high endpoint.noisy"},
	{"revert within one interval, order and request ids that change", []string{"revert", "shuffled", "request-id"}, ""},
	{"DNS: NXDOMAIN", []string{"watcher TestNameDisappears"}, ""},
	{"DNS: SERVFAIL, 0-TTL rotation, 100 addresses, AAAA dead", []string{"watcher TestZooOfDNS"}, ""},
	{"DNS: rebinding to metadata and private addresses", []string{"watcher TestMetadataIsNeverReached", "fetch TestRebinding"}, ""},
	{"discovery: another issuer", []string{"watcher TestAnotherIssuerIsNotBelieved"}, ""},
	{"discovery: jwks_uri to another host", []string{"watcher TestDiscoveryMoves"}, ""},
	{"discovery: jwks_uri to loopback, metadata, http", []string{"fetch TestDiscoveredTargetDoesNotReachPrivateAddresses", "watcher TestMetadataIsNeverReached"}, ""},
	{"discovery: another jwks_uri in each poll", []string{"watcher TestZooMovesEachPoll"}, ""},
	{
		"kid: control characters, RTL, NUL, subjects, CEF, markup", []string{
			"kid-control", "kid-newline", "kid-nul", "kid-bidi", "kid-invisible", "kid-nats", "kid-cef", "kid-html", "kid-formula", "kid-template", "kid-path", "kid-surrogate",
			"kid-octets", "kid-number", "kid-object", "kid-null", "kid-empty",
		}, ambiguous,
	},
	{"kid of 1 MiB", []string{"kid-huge"}, "medium set.oversized"},
	{"HTTP/2: GOAWAY, ping and settings floods, push", []string{"h2-goaway", "h2-ping", "h2-settings", "h2-push"}, unreachable},
	{"an upgrade of the connection", []string{"fetch TestSwitchingProtocolsDoesNotHoldTheReader"}, ""},
}

// tells is what must be told of a scenario.
func tells(t *testing.T, scenario string) string {
	t.Helper()
	for _, b := range zoo {
		if slices.Contains(b.by, scenario) {
			return b.tells
		}
	}
	t.Errorf("scenario %s is in no entry of the zoo", scenario)
	return ""
}

// TestZooIsWhole holds that each entry is held by something that is there, and
// that no scenario of the lab is left out. What the scenarios tell is held by
// TestHostileIssuers.
func TestZooIsWhole(t *testing.T) {
	book := map[string]bool{}
	for _, sc := range lab.Scenarios() {
		book[sc.Name] = true
		tells(t, sc.Name)
	}
	for _, b := range zoo {
		if len(b.by) == 0 {
			t.Errorf("%s: held by nothing", b.entry)
		}
		for _, by := range b.by {
			dir, test, is := strings.Cut(by, " ")
			if !is && !book[by] {
				t.Errorf("%s: there is no scenario %s", b.entry, by)
			}
			if is && !defined(t, filepath.Join("..", dir), "func "+test+"(t *testing.T)") {
				t.Errorf("%s: there is no %s in %s", b.entry, test, dir)
			}
		}
	}
}

func defined(t *testing.T, dir, what string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(path string) bool {
		b, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(b), what)
	})
}

// TestZooCutAnywhere serves the set cut after each octet in turn, one octet more
// with every poll, as a complete answer: one row of invalid documents, in which no
// key goes.
func TestZooCutAnywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		issuer, pipe := &lab.Issuer{}, lab.NewPipe()
		stop := issuer.Serve(pipe)
		issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"), lab.ECFromSeed("k1", "P-256", "k1"))
		whole := len(issuer.Current())
		h := &watched{t: t, db: open(t, dir), dial: pipe}
		h.start(endpoint("idp", "http://idp.example/jwks", 10*time.Second))
		time.Sleep(time.Minute)
		issuer.Answer(lab.Edited(func(current []byte, n uint64) []byte { return current[:min(int(n), whole-1)] }))
		polls := issuer.Count()
		for issuer.Count() < polls+whole {
			time.Sleep(time.Minute)
		}
		h.expect("informational baseline.established", invalid)
		issuer.Answer(nil)
		time.Sleep(5 * time.Minute)
		h.expect("informational baseline.established", invalid, "informational document.invalid closed")
		h.stop()
		stop()
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestZooMovesEachPoll names another address of the key set in each discovery
// document, for an hour: told, bounded, and no key goes.
func TestZooMovesEachPoll(t *testing.T) {
	t.Parallel()
	discovery(t, func(h *watched, _ *town, idp *lab.Issuer) {
		h.start(discovered("idp", "http://idp.example", time.Minute))
		time.Sleep(5 * time.Minute)
		n := 0
		uri := func() string { n++; return "http://idp.example/jwks" + strings.Repeat("x", n%30) }
		for range 60 {
			idp.Answer(metadata(openID, "", uri()))
			time.Sleep(time.Minute)
		}
		idp.Answer(metadata(openID, "", "http://idp.example/jwks"))
		time.Sleep(10 * time.Minute)
		h.stop()
		list := h.events()
		for _, e := range list {
			if strings.HasPrefix(string(e.Data.Event.Type), "key.") || strings.HasPrefix(string(e.Data.Event.Type), "set.") {
				t.Errorf("told %s", e.Data.Event.Type)
			}
		}
		if !slices.ContainsFunc(list, func(e *event.Event) bool { return strings.HasPrefix(string(e.Data.Event.Type), "discovery.") }) {
			t.Errorf("told %q", tell(list))
		}
		if len(list) > 70 {
			t.Errorf("%d events of one issuer in an hour", len(list))
		}
	})
}
