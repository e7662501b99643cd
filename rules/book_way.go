package rules

import "github.com/jwkswatch/jwkswatch/event"

// bookOfWay has the rules that are about documents and the way to them.
func bookOfWay() []Rule {
	return []Rule{
		{
			ID: "document-invalid", Type: event.DocumentInvalid, Inspect: invalid,
			Title: "The answer is no JWK Set", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Verifiers that fetch now get no keys. The baseline stays: a broken answer removes nothing.",
			Standards: monitoring(),
		},
		{
			ID: "endpoint-unreachable", Type: event.EndpointUnreachable, Judge: unreachable,
			Title: "An endpoint does not answer", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "While it lasts nobody watches this issuer, and new verifiers cannot learn its keys.",
			Standards: monitoring(),
		},
		{
			ID: "endpoint-noisy", Type: event.EndpointNoisy, Judge: endpointNoisy,
			Title: "An endpoint has more to tell than anyone can read", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Who floods the pager hides something in it. What is withheld is counted, by type and worst severity.",
			Standards: standards("T1562"),
		},
		{
			ID: "endpoint-dangling", Type: event.EndpointDangling, Observe: dangling,
			Title: "The host exists no more in DNS", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Whoever registers the name serves the keys that tokens are verified with.",
			Standards: standards("T1584.001"),
		},
		{
			ID: "endpoint-tls-invalid", Type: event.EndpointTLSInvalid, Observe: tlsInvalid,
			Title: "The certificate is refused", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "A wrong name, an unknown CA and a pin that fails are what an interception looks like; an expired one is neglect.",
			Standards: standards("T1557"),
		},
		{
			ID: "endpoint-redirected", Type: event.EndpointRedirected, Observe: redirected,
			Title: "A redirect where none is allowed", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Verifiers that follow it take their keys from wherever it leads.",
			Standards: standards("T1557"),
		},
		{
			ID: "endpoint-certificate-changed", Type: event.EndpointCertificateChanged, Judge: certificateChanged,
			Title: "Another leaf certificate serves the set", Severity: event.SeverityLow, Verdict: event.Informational,
			Why:       "Renewals come when they are due; a certificate from another CA beside new keys is a takeover of the host.",
			Standards: standards("T1557"),
		},
		{
			ID: "endpoint-cache-policy", Type: event.EndpointCachePolicy, Observe: cachePolicy,
			Title: "Caches keep the set for longer than is good", Severity: event.SeverityLow, Verdict: event.Informational,
			Why:       "A key that is withdrawn because it was stolen is trusted until the last cache forgets it.",
			Standards: monitoring(),
		},
		{
			ID: "endpoint-content-type", Type: event.EndpointContentType, Observe: contentType,
			Title: "The set is not served as JSON", Severity: event.SeverityLow, Verdict: event.Informational,
			Why:       "Some verifiers refuse it, and error pages look the same.",
			Standards: monitoring(),
		},
		{
			ID: "discovery-moved", Type: event.DiscoveryMoved, Judge: moved,
			Title: "Discovery names a jwks_uri never seen before", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Who can write the discovery document chooses whose keys are trusted, without touching a key.",
			Standards: standards("T1606", "T1484.002"),
		},
		{
			ID: "discovery-moved-disagreement", Type: event.DiscoveryMoved, Judge: disagreeing,
			Title: "Two discovery documents of one issuer name different key sets", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Clients read one or the other. Who changes the less watched one is believed by half of them.",
			Standards: standards("T1606", "T1484.002"),
		},
		{
			ID: "discovery-endpoint-moved", Type: event.DiscoveryEndpointMoved, Judge: endpointMoved,
			Title: "Discovery sends users or secrets to a host never seen there", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Whoever answers at the token endpoint gets authorization codes and client secrets, without touching a key.",
			Standards: standards("T1557", "T1528"),
		},
		{
			ID: "discovery-issuer-mismatch", Type: event.DiscoveryIssuerMismatch, Observe: issuerMismatch,
			Title: "The discovery document is that of another issuer", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "RFC 8414 forbids its use; a client that does not compare trusts another issuer's keys (mix-up).",
			Standards: standards("T1606"),
		},
		{
			ID: "discovery-weakened", Type: event.DiscoveryWeakened, Judge: weakened,
			Title: "Discovery offers less protection than before", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Unsigned tokens, or tokens signed with a public key as a secret, are accepted by clients that follow the document.",
			Standards: standards("T1600.001"),
		},
	}
}
