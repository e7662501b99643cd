package event_test

import "github.com/jwkswatch/jwkswatch/event"

// waySamples are those of what was seen on the way to a document.
func waySamples(add func(string, event.Event)) {
	both := func(name event.Type, e func() event.Event, message string) {
		add(string(name), e())
		add(string(name)+".closed", closed(e(), message))
	}
	both(event.EndpointDangling, endpointDangling,
		"partner-keys: the host resolves again (2 polls in a row), since 19:20 UTC after 31 minutes; ask who registered it")
	both(event.EndpointRedirected, endpointRedirected,
		"partner-keys: no redirect any more (seen 2 of 2), since 19:20 UTC; changes are seen again")
	add(string(event.EndpointCertificateChanged), endpointCertificateChanged())
	both(event.EndpointTLSInvalid, endpointTLSInvalid,
		"partner-keys: the certificate is valid again (2 polls in a row), since 19:20 UTC; a change in them may have been missed")
	both(event.EndpointCachePolicy, endpointCachePolicy,
		"partner-keys: caches keep the set for no more than a day again (seen 2 of 2), since 19:20 UTC")
	both(event.EndpointContentType, endpointContentType,
		"partner-keys: served as JSON again (seen 2 of 2), since 19:20 UTC")
	add(string(event.DiscoveryMoved), discoveryMoved())
	both(event.DiscoveryIssuerMismatch, discoveryIssuerMismatch,
		"corp-idp: the discovery document names the configured issuer again (seen 2 of 2), since 19:20 UTC")
	add(string(event.DiscoveryWeakened), discoveryWeakened())
}

func failed(e event.Event, phase, text string) event.Event {
	e.Data.Snapshot.Current = nil
	e.Data.Transport = nil
	since, good := at("2026-11-22 18:44:01.055"), at("2026-11-22 18:43:01.040")
	e.Data.Observed.After = &good
	e.Data.Failure = &event.Failure{Phase: phase, Error: text, Count: 3, Since: since}
	return opened(e)
}

func endpointDangling() event.Event {
	e := step(partnerKeys(), event.EndpointDangling, event.SeverityHigh, event.Unexpected,
		"partner-keys: the host does not exist in DNS (3 polls in a row), since 18:44 UTC; whoever registers it signs your tokens", nil)
	e.Data.Details = event.EndpointDanglingDetails{
		Code: "nxdomain", Host: "partner.example", Failures: 3,
		Since: new(at("2026-11-22 18:44:01.055")), LastGood: new(at("2026-11-22 18:43:01.040")),
	}
	return failed(e, "resolve", "no such host")
}

func endpointRedirected() event.Event {
	e := step(partnerKeys(), event.EndpointRedirected, event.SeverityHigh, event.Unexpected,
		"partner-keys: redirected to another host (seen 1 of 1), between 18:48 and 18:49 UTC; not followed, changes go unseen", nil)
	e.Data.Details = event.EndpointRedirectedDetails{
		Status: 302, Location: new("https://keys.elsewhere.example/jwks?sig=***"), CrossHost: true,
		Confirmation: event.Confirmation{Attempts: 1, Agreed: 1, Addresses: []string{"203.0.113.10:443"}},
	}
	return failed(e, "status", "HTTP status 302")
}

func endpointCertificateChanged() event.Event {
	e := step(corpIDP(), event.EndpointCertificateChanged, event.SeverityMedium, event.Unexpected,
		"corp-idp: another certificate from an issuer never seen here (seen 2 of 2), between 18:48 and 18:49 UTC; 61 days before its renewal", nil)
	e.Data.Details = event.EndpointCertificateChangedDetails{
		SPKIBefore: new(hex256("leaf before")), SPKIAfter: new(hex256("leaf")),
		IssuerBefore: new("CN=Example TLS CA 1,O=Example Trust,C=ZZ"), IssuerAfter: new("CN=Other CA,O=Other Trust,C=ZZ"),
		NotAfterBefore: new(at("2027-01-22 12:00:00.000")), NotAfterAfter: new(at("2027-02-20 12:00:00.000")),
		NewIssuer: true, Confirmation: confirmation(),
	}
	return e
}

func endpointTLSInvalid() event.Event {
	e := step(partnerKeys(), event.EndpointTLSInvalid, event.SeverityHigh, event.Unexpected,
		"partner-keys: no pin matches the certificate (3 polls in a row), since 18:44 UTC; the document is not trusted, changes go unseen", nil)
	e.Data.Details = event.EndpointTLSInvalidDetails{
		Code: "pin_mismatch", LeafSPKI: new(hex256("leaf of somebody else")), LeafIssuer: new("CN=Example TLS CA 1,O=Example Trust,C=ZZ"),
		NotAfter: new(at("2027-02-20 12:00:00.000")), Failures: 3,
		Since: new(at("2026-11-22 18:44:01.055")), LastGood: new(at("2026-11-22 18:43:01.040")),
	}
	return failed(e, "tls", "no pin matches")
}

func endpointCachePolicy() event.Event {
	e := step(partnerKeys(), event.EndpointCachePolicy, event.SeverityLow, event.Unexpected,
		"partner-keys: caches may keep the set for 7 days (seen 2 of 2), between 18:48 and 18:49 UTC; a revoked key lives on in them", nil)
	e.Data.Transport.CacheControl, e.Data.Transport.MaxAgeS = new("public, max-age=604800"), new(int64(604800))
	e.Data.Details = event.EndpointCachePolicyDetails{
		Code: "long_max_age", CacheControl: new("public, max-age=604800"), MaxAgeS: new(int64(604800)), Confirmation: confirmation(),
	}
	return opened(e)
}

func endpointContentType() event.Event {
	e := step(partnerKeys(), event.EndpointContentType, event.SeverityLow, event.Unexpected,
		"partner-keys: served as text/plain (seen 2 of 2), between 18:48 and 18:49 UTC; strict verifiers refuse it", nil)
	e.Data.Transport.ContentType = new("text/plain")
	e.Data.Details = event.EndpointContentTypeDetails{ContentType: new("text/plain"), Confirmation: confirmation()}
	return opened(e)
}

func discoveryMoved() event.Event {
	e := step(corpIDP(), event.DiscoveryMoved, event.SeverityCritical, event.Unexpected,
		"corp-idp: jwks_uri moved out of the issuer's domain (seen 2 of 2), between 18:48 and 18:49 UTC; who serves it can sign for the issuer", nil)
	e.Data.Endpoint.JWKSURI = new("https://keys.elsewhere.example/corp")
	e.Data.Transport.URL = "https://keys.elsewhere.example/corp"
	e.Data.Event.ChangeSet.Total = 6
	e.Data.Details = event.DiscoveryMovedDetails{
		Code: "other_domain", Document: "https://login.corp.example/.well-known/openid-configuration",
		Before: new("https://login.corp.example/oauth2/v1/keys"), After: new("https://keys.elsewhere.example/corp"),
		Confirmation: confirmation(),
	}
	return e
}

func discoveryIssuerMismatch() event.Event {
	e := step(corpIDP(), event.DiscoveryIssuerMismatch, event.SeverityHigh, event.Unexpected,
		"corp-idp: the discovery document is that of another issuer (seen 2 of 2), between 18:48 and 18:49 UTC; it is not used", nil)
	e.Data.Details = event.DiscoveryIssuerMismatchDetails{
		Code: "different", Document: "https://login.corp.example/.well-known/openid-configuration",
		Configured: "https://login.corp.example", Published: new("https://login.elsewhere.example"), Confirmation: confirmation(),
	}
	return opened(e)
}

func discoveryWeakened() event.Event {
	e := step(corpIDP(), event.DiscoveryWeakened, event.SeverityHigh, event.Unexpected,
		"corp-idp: the discovery document offers unsigned tokens (seen 2 of 2), between 18:48 and 18:49 UTC; clients that follow it accept them", nil)
	e.Data.Details = event.DiscoveryWeakenedDetails{
		Codes: []string{"none_advertised", "pkce_dropped"}, Document: "https://login.corp.example/.well-known/openid-configuration",
		Algs: []string{"none"}, Confirmation: confirmation(),
	}
	return e
}
