package configs

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// fields of a sink: those of every type, and those of NATS when there is one.
func (s *Sink) fields(d *decoder) []field {
	out := []field{
		{key: "name", required: true, hint: "give it a name, such as name: siem", doc: "Its identity: the position in the journal hangs on it. Unique.", example: "siem", one: nameOf(&s.Name)},
		{key: "type", required: true, hint: "write type: log, nats, file, syslog or webhook", doc: "Log lines on standard output, NATS JetStream, a file of lines, syslog, or requests to a URL.", example: TypeNATS, one: choiceOf(&s.Type, sinkTypes())},
		{key: "from", def: FromNow, doc: "Where a new or renamed sink starts in the journal.", one: choiceOf(&s.From, []string{FromNow, FromBeginning})},
		{key: "format", def: "cloudevents", doc: "How an event is written.", one: choiceOf(&s.Format, []string{"cloudevents", "ocsf", "ecs", "cef"})},
		{key: "min_severity", def: "informational", doc: "What an event has at least. Heartbeats, drills and the end of a condition whose beginning passed always pass.", one: choiceOf(&s.MinSeverity, []string{"informational", "low", "medium", "high", "critical"})},
		{key: "max_backlog", def: "1000000", doc: "How many events the sink may lack. Of more, the oldest are left behind, and `agent.events_lost` tells; what a sink lacks is never dropped for its age.", one: countOf(&s.MaxBacklog, 100, 100_000_000)},
	}
	if s.NATS != nil {
		out = append(out, s.NATS.fields(d)...)
	}
	if s.File != nil {
		out = append(out, s.File.fields(d)...)
	}
	if s.Syslog != nil {
		out = append(out, s.Syslog.fields(d)...)
	}
	if s.Webhook != nil {
		out = append(out, s.Webhook.fields(d)...)
	}
	return out
}

// sinkTypes are the types of sinks, in the order of the reference.
func sinkTypes() []string { return []string{TypeLog, TypeNATS, TypeFile, TypeSyslog, TypeWebhook} }

// anySink has the keys of every type, for the reference.
func anySink() *Sink {
	return &Sink{NATS: &NATS{}, File: &FileSink{}, Syslog: &SyslogSink{}, Webhook: &WebhookSink{}}
}

// ofType marks the fields of one type of sink.
func ofType(typ string, fields []field) []field {
	for i := range fields {
		fields[i].only = typ
	}
	return fields
}

// FileSink is a file that is appended to.
type FileSink struct {
	Path    string
	MaxSize int64 // octets
	Keep    int64
}

// owns reports whether a path is that of the file or of an older one.
func (f *FileSink) owns(path string) bool {
	rest, ok := strings.CutPrefix(path, f.Path)
	if !ok || rest == "" {
		return ok
	}
	n, err := strconv.Atoi(strings.TrimPrefix(rest, "."))
	return rest[0] == '.' && err == nil && n >= 1 && int64(n) <= f.Keep
}

func (f *FileSink) fields(d *decoder) []field {
	return ofType(TypeFile, []field{
		{key: "path", required: true, hint: "give the file, such as path: /var/log/jwkswatch/events.jsonl", doc: "The file; its folder must be there, and writable. A link is not followed.", example: "/var/log/jwkswatch/events.jsonl", one: pathOf(&f.Path, d.path)},
		{key: "max_size", def: "100MiB", doc: "Size after which a new file is begun, 64KiB to 64GiB.", one: sizeOf(&f.MaxSize, 64<<10, 64<<30)},
		{key: "keep", def: "10", doc: "Older files that are kept, as PATH.1 (the newest) and so on.", one: countOf(&f.Keep, 1, 1000)},
	})
}

// SyslogSink is a receiver of syslog.
type SyslogSink struct {
	Address  string // tls://, tcp:// or udp://host:port
	Facility string
	TLS      TLS
}

func (s *SyslogSink) fields(d *decoder) []field {
	address := textOf(&s.Address)
	address.typ = "URL"
	address.shape = func() shape { return shape{pattern: syslogPattern} }
	set := address.set
	address.set = func(text string) *refusal {
		if r := checkSyslog(text); r != nil {
			return r
		}
		return set(text)
	}
	return ofType(TypeSyslog, []field{
		{key: "address", required: true, hint: "give the receiver, such as address: tls://syslog.corp.example:6514", doc: "`tls://host:port` (RFC 5425), `tcp://host:port` (octet counting) or `udp://host:port`, the last two in clear text.", example: "tls://syslog.corp.example:6514", one: address},
		{key: "facility", def: "local0", doc: "Facility of the messages.", one: choiceOf(&s.Facility, facilities())},
		{key: "tls", doc: "What the receiver must prove, and who sends. With `tls://`.", section: s.TLS.fields(d)[:3]},
	})
}

// facilities by their number.
func facilities() []string {
	return []string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
}

// FacilityNumber is that of the facility, 0 to 23.
func (s *SyslogSink) FacilityNumber() int { return slices.Index(facilities(), s.Facility) }

// Network and HostPort are the parts of the address.
func (s *SyslogSink) Network() string { network, _, _ := strings.Cut(s.Address, "://"); return network }

// HostPort is where the receiver is.
func (s *SyslogSink) HostPort() string { _, at, _ := strings.Cut(s.Address, "://"); return at }

const syslogPattern = `(?:tls|tcp|udp)://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}`

func checkSyslog(s string) *refusal {
	if !regexp.MustCompile(`^(?:` + syslogPattern + `)$`).MatchString(s) {
		return refused("wants tls://host:port, tcp://host:port or udp://host:port", "the port of syslog over TLS is 6514, the others have 514")
	}
	_, at, _ := strings.Cut(s, "://")
	_, port, err := net.SplitHostPort(at)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 1 || n > 65535 {
		return refused("has no port from 1 to 65535", "the port of syslog over TLS is 6514, the others have 514")
	}
	return nil
}

// WebhookSink is a URL that takes requests.
type WebhookSink struct {
	URL        string
	SecretFile string
	TLS        TLS
	Insecure   bool
}

func (w *WebhookSink) fields(d *decoder) []field {
	at := textOf(&w.URL)
	at.typ, at.hide = "URL", true
	at.shape = func() shape { return shape{pattern: webhookPattern} }
	set := at.set
	at.set = func(text string) *refusal {
		if r := checkWebhook(text); r != nil {
			return r
		}
		return set(text)
	}
	return ofType(TypeWebhook, []field{
		{key: "url", required: true, hint: "give the receiver, such as url: https://soar.corp.example/hook", doc: "Where each event is posted. `http://` only to loopback, or with `insecure`.", example: "https://soar.corp.example/hook", one: at},
		{key: "secret_file", required: true, hint: "make a secret: echo whsec_$(openssl rand -base64 32) > hook.key", doc: "A file with one secret a line (`whsec_` and base64), with which requests are signed as Standard Webhooks has it.", example: "hook.key", one: pathOf(&w.SecretFile, d.path)},
		{key: "tls", doc: "What the receiver must prove, and who posts. With `https://`.", section: w.TLS.fields(d)[:3]},
		{key: "insecure", def: "false", doc: "Allows `http://` to a host that is not loopback: events go in clear text, though signed.", one: boolOf(&w.Insecure)},
	})
}

const webhookPattern = `[Hh][Tt][Tt][Pp][Ss]?://[^ #@\\"]+`

func checkWebhook(s string) *refusal {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Host == "", strings.ContainsAny(s, " \\\""):
		return refused("is no URL", "write https://host/path")
	case u.User != nil:
		return refused("holds credentials", "requests are signed with secret_file; put none in the URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return refused("must begin with https://", "write https://host/path")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return refused("has a fragment", "leave out # and what follows")
	}
	return checkAuthority(u)
}

// local reports whether the receiver is on this machine.
func (w *WebhookSink) local() bool {
	u, err := url.Parse(w.URL)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback()
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

func (e *Evidence) fields(d *decoder) []field {
	return []field{
		{key: "every", def: "5m", doc: "Time between two checkpoints while something changes, at least 10s.", one: durationOf(&e.Every, 10*time.Second)},
		{key: "key_file", defDoc: "the path of the state with `.signing-key` at the end", doc: "The Ed25519 key that signs, in PEM (PKCS #8). One that is not there is made at the start.", example: "/etc/jwkswatch/signing.key", one: pathOf(&e.KeyFile, d.path)},
	}
}

func (r *Drill) fields() []field {
	return []field{
		{key: "every", def: "off", doc: "Time between two drills, at least 1m, or `off`.", one: durationOrOff(&r.Every, time.Minute)},
		{key: "scenario", def: "key-mutated", doc: "What they are about.", one: choiceOf(&r.Scenario, []string{"key-added", "key-mutated", "key-private", "set-emptied", "set-replaced"})},
	}
}

func (o *Observer) fields() []field {
	return []field{
		{key: "name", def: "jwkswatch", doc: "The agent's name, unique among your agents.", one: nameOf(&o.Name)},
		{key: "vantage", doc: "From where it looks, such as `eu-central`.", example: "eu-central", one: textOf(&o.Vantage)},
		{key: "heartbeat", def: "1m", doc: "Time between two `agent.heartbeat` events, at least 1s, or `off`. Its absence is the alarm.", one: durationOrOff(&o.Heartbeat, time.Second)},
	}
}
