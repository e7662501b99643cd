package configs

import (
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// fields of a sink: those of every type, and those of NATS when there is one.
func (s *Sink) fields(d *decoder) []field {
	out := []field{
		{key: "name", required: true, hint: "give it a name, such as name: siem", doc: "Its identity: the position in the journal hangs on it. Unique.", example: "siem", one: nameOf(&s.Name)},
		{key: "type", required: true, hint: "write type: log or type: nats", doc: "Log lines on standard output, or NATS JetStream.", example: TypeNATS, one: choiceOf(&s.Type, []string{TypeLog, TypeNATS}, "file", "syslog", "webhook")},
		{key: "from", def: FromNow, doc: "Where a new or renamed sink starts in the journal.", one: choiceOf(&s.From, []string{FromNow, FromBeginning})},
		{key: "format", def: "cloudevents", doc: "How an event is written.", one: choiceOf(&s.Format, []string{"cloudevents"}, "ocsf", "ecs", "cef")},
		{key: "min_severity", hint: "leave it out, and filter by data.event.severity_id behind the sink"},
		{key: "max_backlog", def: "1000000", doc: "How many events the sink may lack. Of more, the oldest are left behind, and `agent.events_lost` tells; what a sink lacks is never dropped for its age.", one: countOf(&s.MaxBacklog, 100, 100_000_000)},
	}
	if s.NATS != nil {
		out = append(out, s.NATS.fields(d)...)
	}
	return out
}

func (n *NATS) fields(d *decoder) []field {
	url := textOf(&n.URL)
	url.typ, url.hide = "URL", true
	url.shape = func() shape { return shape{pattern: natsPattern(), long: event.MaxText} }
	stream, subject := textOf(&n.Stream), textOf(&n.Subject)
	stream.shape = func() shape {
		return shape{pattern: `[^.*>/\\ ` + invisible + `]+`, long: 255, plain: []string{"integer", "boolean"}}
	}
	subject.shape = func() shape {
		return shape{pattern: subjectPattern, long: 128, plain: []string{"integer", "boolean"}}
	}
	out := []field{
		{key: "url", required: true, hint: "give the server, such as url: tls://nats.corp.example:4222", doc: "`tls://host:port` or `nats://host:port`, several separated by commas. No credentials in it.", example: "tls://nats.corp.example:4222", one: url},
		{key: "stream", required: true, hint: "name the JetStream stream, such as stream: JWKSWATCH", doc: "The JetStream stream that takes the events.", example: "JWKSWATCH", one: stream},
		{key: "subject", def: "jwkswatch.v1", doc: "Beginning of each subject.", one: subject},
		{key: "manage", def: "none", doc: "What the agent may do about the stream: nothing, look at its settings, or make it when it is absent.", one: choiceOf(&n.Manage, []string{"none", "verify", "create"})},
		{key: "credentials_file", doc: "JWT and nkey seed, as nsc writes them. At most one kind of credentials.", example: "nats.creds", one: pathOf(&n.CredentialsFile, d.path)},
		{key: "nkey_file", doc: "Seed of an nkey.", example: "nats.nk", one: pathOf(&n.NkeyFile, d.path)},
		{key: "token_file", doc: "A token.", example: "nats.token", one: pathOf(&n.TokenFile, d.path)},
		{key: "user", doc: "With `password_file`.", example: "jwkswatch", one: filledOf(&n.User)},
		{key: "password_file", doc: "With `user`.", example: "nats.password", one: pathOf(&n.PasswordFile, d.path)},
		{key: "tls", doc: "With any of its files, or `handshake_first: true`, TLS is insisted on.", section: n.TLS.fields(d)},
		{key: "insecure", def: "false", doc: "Allows `nats://` without TLS to a host that is not loopback: events and credentials go in clear text.", one: boolOf(&n.Insecure)},
	}
	for i := range out {
		out[i].only = TypeNATS
	}
	return out
}

func (t *TLS) fields(d *decoder) []field {
	return []field{
		{key: "ca_file", defDoc: "those of the system", doc: "Certificate authorities that are trusted.", example: "nats-ca.pem", one: pathOf(&t.CAFile, d.path)},
		{key: "cert_file", doc: "Client certificate, with `key_file`.", example: "nats-client.pem", one: pathOf(&t.CertFile, d.path)},
		{key: "key_file", doc: "Its key.", example: "nats-client.key", one: pathOf(&t.KeyFile, d.path)},
		{key: "handshake_first", def: "false", doc: "TLS before the server's first word; the server must be set up for it.", one: boolOf(&t.HandshakeFirst)},
	}
}

func (w *Web) fields(d *decoder) []field {
	return []field{
		{key: "listen", def: "127.0.0.1:9797", doc: "Address and port; port `0` takes a free one. Reached from other machines it needs `tls` and `token_file`.", one: listenOf(&w.Listen)},
		{key: "tls", defDoc: "clear text", doc: "Both of its files are needed.", section: []field{
			{key: "cert_file", required: true, hint: "give the certificate and its chain in PEM", doc: "Certificate with its chain in PEM.", example: "web.pem", one: certificatesOf(&w.CertFile, &w.Cert, d)},
			{key: "key_file", required: true, hint: "give the key of the certificate in PEM", doc: "Its key in PEM, without a passphrase.", example: "web.key", one: keyOf(&w.KeyFile, &w.Key, d)},
		}},
		{key: "token_file", doc: "A file with one line of at least 16 characters: what a request must bring as `Authorization: Bearer`.", example: "web.token", one: tokenOf(&w.TokenFile, &w.Token, d)},
	}
}

func (o *Observer) fields() []field {
	return []field{
		{key: "name", def: "jwkswatch", doc: "The agent's name, unique among your agents.", one: nameOf(&o.Name)},
		{key: "vantage", doc: "From where it looks, such as `eu-central`.", example: "eu-central", one: textOf(&o.Vantage)},
		{key: "heartbeat", def: "1m", doc: "Time between two `agent.heartbeat` events, at least 1s, or `off`. Its absence is the alarm.", one: durationOrOff(&o.Heartbeat, time.Second)},
	}
}
