package configs

import (
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// field is one key of the configuration. The tables below are the only place
// where a key is described: decoder, defaults, suggestions, the reference and
// the effective configuration all read them. Of one, section, table and list at
// most one is set; none means that the key belongs to the contract and is not
// built.
type field struct {
	key      string
	def      string // the default as one would write it; "" is none
	defDoc   string // the default in words, where it is no constant
	doc      string // one sentence of the reference
	required bool
	only     string // the one type of sink that takes it
	hint     string // the cure when it is missing, or not built

	one     *binding
	section []field
	table   *table
	list    *list
}

// table is a mapping with keys of the operator's own.
type table struct {
	typ    string
	hide   bool // its values are secrets
	limit  int  // of keys
	check  func(key, text string) (canonical string, r *refusal)
	set    func(key, text string)
	sorted func() []pair
}

type pair struct{ key, text string }

// list is a list of mappings.
type list struct {
	element []field // for the reference
	read    func(n *yaml.Node)
	show    func() [][]field
}

func (f *field) built() bool {
	return f.one != nil || f.section != nil || f.table != nil || f.list != nil
}

// fields is the whole catalogue, bound to c. The decoder may be nil when
// nothing is to be decoded.
func (c *Config) fields(d *decoder) []field {
	return []field{
		{key: "state", doc: "Where the agent keeps what it saw.", section: c.State.fields(d)},
		{key: "poll", doc: "Defaults of all endpoints.", section: c.Poll.fields(pollDefaults())},
		{key: "endpoints", doc: "What is watched; at least one.", required: true, hint: endpointHint(), list: &list{
			element: new(Endpoint).fields(d),
			read: func(n *yaml.Node) {
				c.Endpoints = append(c.Endpoints, Endpoint{})
				d.endpoint(&c.Endpoints[len(c.Endpoints)-1], n)
			},
			show: func() [][]field {
				var out [][]field
				for _, e := range slices.SortedFunc(slices.Values(c.Endpoints), byName(func(e Endpoint) string { return e.Name })) {
					out = append(out, e.fields(nil))
				}
				return out
			},
		}},
		{key: "sinks", defDoc: "one `log` sink named `stdout`", doc: "Where events go.", list: &list{
			element: (&Sink{NATS: &NATS{}}).fields(d),
			read: func(n *yaml.Node) {
				c.Sinks = append(c.Sinks, Sink{})
				d.sink(&c.Sinks[len(c.Sinks)-1], n)
			},
			show: func() [][]field {
				var out [][]field
				for _, s := range slices.SortedFunc(slices.Values(c.Sinks), byName(func(s Sink) string { return s.Name })) {
					out = append(out, s.fields(nil))
				}
				return out
			},
		}},
		{key: "observer", doc: "Who saw it, in each event.", section: c.Observer.fields()},
		{key: "windows", hint: "leave it out; every change is judged without change windows"},
		{key: "include", hint: "put all endpoints into this file"},
		{key: "rules", hint: "leave it out; the built-in rules always apply"},
		{key: "approvals", hint: "leave it out; no change can be announced yet"},
		{key: "web", hint: "leave it out; there is no page and no metrics endpoint yet"},
	}
}

func (s *State) fields(d *decoder) []field {
	return []field{
		{key: "path", def: "/var/lib/jwkswatch/jwkswatch.db", doc: "The state file. Its directory must be writable.", one: pathOf(&s.Path, d.path)},
		{key: "retain", def: "400d", doc: "How long snapshots and events are kept. At least 1d.", one: durationOf(&s.Retain, day)},
	}
}

// defaults of poll, and for an endpoint where they come from.
type defaults struct{ interval, timeout, maxBody, doc string }

func pollDefaults() defaults { return defaults{interval: "1m", timeout: "15s", maxBody: "4MiB"} }

func (p *Poll) fields(def defaults) []field {
	doc := func(key string) string {
		if def.doc == "" {
			return ""
		}
		return def.doc + key + "`"
	}
	return []field{
		{key: "interval", def: def.interval, defDoc: doc("interval"), doc: "Time between two polls. At least 1s.", one: durationOf(&p.Interval, time.Second)},
		{key: "timeout", def: def.timeout, defDoc: doc("timeout"), doc: "Of one whole request. At least 1s.", one: durationOf(&p.Timeout, time.Second)},
		{key: "max_body", def: def.maxBody, defDoc: doc("max_body"), doc: "Largest answer that is read, 1KiB to 64MiB.", one: sizeOf(&p.MaxBody, 1<<10, 64<<20)},
	}
}

func endpointHint() string {
	return "add one: endpoints: [{ name: corp, jwks_uri: https://login.corp.example/jwks.json }]"
}

func (e *Endpoint) fields(*decoder) []field {
	uri := textOf(&e.JWKSURI)
	uri.typ, uri.hide = "URL", true
	return slices.Concat([]field{
		{key: "name", required: true, hint: "give it a name, such as name: corp-idp", doc: "Its identity: history and events hang on it. Unique.", one: nameOf(&e.Name)},
		{key: "jwks_uri", required: true, hint: "give the URL of the key set, such as jwks_uri: https://login.corp.example/jwks.json", doc: "The key set. `http://` only with `allow_private`. No credentials and no fragment in it.", one: uri},
		{key: "tier", def: "standard", doc: "How much depends on it.", one: choiceOf(&e.Tier, []string{"low", "standard", "critical"})},
		{key: "owner", doc: "Whom to ask; stands in each event.", one: textOf(&e.Owner)},
		{key: "group", doc: "Endpoints that may share keys.", one: textOf(&e.Group)},
		{key: "labels", doc: "Texts for each event. Keys of `a-z 0-9 _ . -`, at most 63 long; at most 32 labels.", table: e.labels()},
	}, e.Poll.fields(defaults{doc: "`poll."}), []field{
		{key: "headers", doc: "Extra request headers. Values are secret; take them from a file or the environment.", table: e.headers()},
		{key: "allow_private", def: "false", doc: "Whether its name may resolve to loopback or private addresses.", one: boolOf(&e.AllowPrivate)},
		{key: "issuer", hint: "look up jwks_uri in its discovery document, and give that"},
		{key: "expect", hint: "leave it out; no expectation can be declared yet"},
		{key: "tls", hint: "leave it out; the certificate authorities of the system are trusted"},
		{key: "addresses", hint: "leave it out; one address is probed"},
		{key: "redirects", hint: "leave it out; redirects are never followed"},
	})
}

func (e *Endpoint) labels() *table {
	return &table{
		typ: "text to text", limit: 32, check: checkLabel,
		set: func(key, text string) {
			if e.Labels == nil {
				e.Labels = map[string]string{}
			}
			e.Labels[key] = text
		},
		sorted: func() []pair {
			var out []pair
			for _, k := range slices.Sorted(maps.Keys(e.Labels)) {
				out = append(out, pair{k, e.Labels[k]})
			}
			return out
		},
	}
}

func (e *Endpoint) headers() *table {
	return &table{
		typ: "name to secret", hide: true, limit: 32, check: checkHeader,
		set: func(key, text string) {
			if e.Headers == nil {
				e.Headers = map[string]Secret{}
			}
			e.Headers[key] = NewSecret(text)
		},
		sorted: func() []pair {
			var out []pair
			for _, k := range slices.Sorted(maps.Keys(e.Headers)) {
				out = append(out, pair{k, Redacted})
			}
			return out
		},
	}
}

// fields of a sink: those of every type, and those of NATS when there is one.
func (s *Sink) fields(d *decoder) []field {
	out := []field{
		{key: "name", required: true, hint: "give it a name, such as name: siem", doc: "Its identity: the position in the journal hangs on it. Unique.", one: nameOf(&s.Name)},
		{key: "type", required: true, hint: "write type: log or type: nats", doc: "Log lines on standard output, or NATS JetStream.", one: choiceOf(&s.Type, []string{TypeLog, TypeNATS}, "file", "syslog", "webhook")},
		{key: "from", def: FromNow, doc: "Where a new or renamed sink starts in the journal.", one: choiceOf(&s.From, []string{FromNow, FromBeginning})},
		{key: "format", def: "cloudevents", doc: "How an event is written.", one: choiceOf(&s.Format, []string{"cloudevents"}, "ocsf", "ecs", "cef")},
		{key: "min_severity", hint: "leave it out, and filter by data.event.severity_id behind the sink"},
		{key: "max_backlog", hint: "leave it out; a sink may lag as far as state.retain"},
	}
	if s.NATS != nil {
		out = append(out, s.NATS.fields(d)...)
	}
	return out
}

func (n *NATS) fields(d *decoder) []field {
	url := textOf(&n.URL)
	url.typ, url.hide = "URL", true
	stream, subject := textOf(&n.Stream), textOf(&n.Subject)
	out := []field{
		{key: "url", required: true, hint: "give the server, such as url: tls://nats.corp.example:4222", doc: "`tls://host:port` or `nats://host:port`, several separated by commas. No credentials in it.", one: url},
		{key: "stream", required: true, hint: "name the JetStream stream, such as stream: JWKSWATCH", doc: "The JetStream stream that takes the events.", one: stream},
		{key: "subject", def: "jwkswatch.v1", doc: "Beginning of each subject.", one: subject},
		{key: "manage", def: "none", doc: "What the agent may do about the stream: nothing, look at its settings, or make it when it is absent.", one: choiceOf(&n.Manage, []string{"none", "verify", "create"})},
		{key: "credentials_file", doc: "JWT and nkey seed, as nsc writes them. At most one kind of credentials.", one: pathOf(&n.CredentialsFile, d.path)},
		{key: "nkey_file", doc: "Seed of an nkey.", one: pathOf(&n.NkeyFile, d.path)},
		{key: "token_file", doc: "A token.", one: pathOf(&n.TokenFile, d.path)},
		{key: "user", doc: "With `password_file`.", one: filledOf(&n.User)},
		{key: "password_file", doc: "With `user`.", one: pathOf(&n.PasswordFile, d.path)},
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
		{key: "ca_file", defDoc: "those of the system", doc: "Certificate authorities that are trusted.", one: pathOf(&t.CAFile, d.path)},
		{key: "cert_file", doc: "Client certificate, with `key_file`.", one: pathOf(&t.CertFile, d.path)},
		{key: "key_file", doc: "Its key.", one: pathOf(&t.KeyFile, d.path)},
		{key: "handshake_first", def: "false", doc: "TLS before the server's first word; the server must be set up for it.", one: boolOf(&t.HandshakeFirst)},
	}
}

func (o *Observer) fields() []field {
	return []field{
		{key: "name", def: "jwkswatch", doc: "The agent's name, unique among your agents.", one: nameOf(&o.Name)},
		{key: "vantage", doc: "From where it looks, such as `eu-central`.", one: textOf(&o.Vantage)},
		{key: "heartbeat", hint: "leave it out; no heartbeat is sent yet"},
	}
}
