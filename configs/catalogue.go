package configs

import (
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// field is one key of the configuration. The tables below are the only place
// where a key is described: decoder, defaults, suggestions, the reference, the
// effective configuration and its origins, the schema and the start file all
// read them. Of one, section, table, list and texts at most one is set; none
// means that the key belongs to the contract and is not built.
type field struct {
	key       string
	def       string // the default as one would write it; "" is none
	defDoc    string // the default in words, where it is no constant
	need      string // in place of a default: under which condition it must be given
	doc       string // one sentence of the reference
	example   string // for the start file, where there is no default
	required  bool
	only      string // the one type of sink that takes it
	hint      string // the cure when it is missing, misplaced or not built
	elsewhere string // why it does not belong into this file
	inherits  string // the key whose value is the default
	absent    bool   // a section that is not there, and so has no effective value

	one     *binding
	section []field
	given   func(v value) // runs after a section was read
	table   *table
	list    *list
	texts   *texts
	node    func(v value) // reads what has a shape of its own; in files of rules only
}

// texts is a list of scalars.
type texts struct {
	typ   string
	shape func() shape
	// add takes one after expansion, as binding.set does.
	add  func(v value, text string) *refusal
	show func() []string
	// merged lists have done their work when the configuration is complete.
	merged bool
}

// table is a mapping with keys of the operator's own.
type table struct {
	typ    string
	hide   bool // its values are secrets
	limit  int  // of keys
	keys   func() shape
	values func() shape
	check  func(key, text string) (canonical string, r *refusal)
	set    func(key, text string)
	sorted func() []pair
}

type pair struct{ key, text string }

// list is a list of mappings or, keyed, a mapping of names to them.
type list struct {
	keyed     bool
	element   []field // for the reference
	read      func(n *yaml.Node)
	readNamed func(v value) // of a keyed one
	show      func() []element
}

// element is one of a list, with what tells it from the others.
type element struct {
	name   string
	fields []field
}

func (f *field) built() bool {
	return f.one != nil || f.section != nil || f.table != nil || f.list != nil || f.texts != nil || f.node != nil
}

// fields is the whole catalogue, bound to c. The decoder may be nil when
// nothing is to be decoded.
func (c *Config) fields(d *decoder) []field {
	web := c.Web
	if web == nil {
		web = &Web{}
	}
	return []field{
		{key: "state", doc: "Where the agent keeps what it saw.", section: c.State.fields(d)},
		{key: "poll", doc: "Defaults of all endpoints.", section: c.Poll.fields(pollDefaults())},
		{key: "endpoints", need: "required, here or in an included file", doc: "What is watched; at least one.", hint: endpointHint(), list: &list{
			element: new(Endpoint).fields(d),
			read: func(n *yaml.Node) {
				c.Endpoints = append(c.Endpoints, Endpoint{})
				d.endpoint(&c.Endpoints[len(c.Endpoints)-1], n)
			},
			show: func() []element {
				var out []element
				for _, e := range slices.SortedFunc(slices.Values(c.Endpoints), byName(func(e Endpoint) string { return e.Name })) {
					out = append(out, element{e.Name, e.fields(nil)})
				}
				return out
			},
		}},
		{key: "include", doc: "More files with `endpoints` and `sinks`: paths, or patterns with `*`, `?` and `[…]`.", example: "[endpoints.d/*.yaml]", texts: &texts{
			typ: "list of paths", shape: pathShape, merged: true,
			add: func(v value, text string) *refusal {
				c.include = append(c.include, text)
				return d.readInclude(v, text)
			},
			show: func() []string { return c.include },
		}},
		{key: "sinks", defDoc: "one `log` sink named `stdout`", doc: "Where events go.", list: &list{
			element: anySink().fields(d),
			read: func(n *yaml.Node) {
				c.Sinks = append(c.Sinks, Sink{})
				d.sink(&c.Sinks[len(c.Sinks)-1], n)
			},
			show: func() []element {
				var out []element
				for _, s := range slices.SortedFunc(slices.Values(c.Sinks), byName(func(s Sink) string { return s.Name })) {
					out = append(out, element{s.Name, s.fields(nil)})
				}
				return out
			},
		}},
		{
			key: "web", defDoc: "no listener", doc: "The listener for `/metrics`, `/livez` and `/readyz`. `web: {}` has the defaults below.",
			section: web.fields(d), absent: c.Web == nil,
			given: func(v value) {
				c.Web = web
				d.web(web, v)
			},
		},
		{key: "observer", doc: "Who saw it, in each event.", section: c.Observer.fields()},
		{key: "evidence", doc: "Signed checkpoints over the hash chains of all events; `jwkswatch verify` holds exported events against them.", section: c.Evidence.fields(d)},
		{key: "drill", doc: "Test events on a schedule, through every sink; `drill.failed` tells when one does not arrive.", section: c.Drill.fields()},
		{key: "windows", doc: "When changes are made, by name; `expect.windows` of an endpoint names them.", list: c.windowList(d)},
		{key: "rules", doc: "Which rules have a word on severities.", section: c.Rules.fields(d)},
		{key: "compromised", doc: "Keys of your own incidents: `key.compromised`, critical, wherever they are seen.", section: c.Compromised.fields(d)},
		{key: "approvals", doc: "Which changes were announced.", section: c.Approvals.fields(d)},
	}
}

func (s *State) fields(d *decoder) []field {
	return []field{
		{key: "path", def: "/var/lib/jwkswatch/jwkswatch.db", doc: "The state file. Its directory must be writable. The control socket stands beside it, with `.sock` at the end.", one: stateOf(&s.Path, d.path)},
		{key: "retain", def: "400d", doc: "How long snapshots and events are kept. At least 1d.", one: durationOf(&s.Retain, day)},
		{key: "backup", doc: "Copies of the state that the agent makes by itself, for a state that is damaged or gone.", section: []field{
			{key: "every", def: "1d", doc: "Time between two, at least 1h, or `off`.", one: durationOrOff(&s.Backup.Every, time.Hour)},
			{key: "keep", def: "3", doc: "How many of the newest stay, 1 to 100.", one: countOf(&s.Backup.Keep, 1, 100)},
			{key: "dir", defDoc: "the folder of the state", doc: "Where they are; better on another disk. They hold the key of the event ids.", example: "/var/backups/jwkswatch", one: pathOf(&s.Backup.Dir, d.path)},
		}},
	}
}

// defaults of poll, and for an endpoint where they come from.
type defaults struct{ interval, timeout, maxBody, maxEvents, proxy, from string }

func pollDefaults() defaults {
	return defaults{interval: "1m", timeout: "15s", maxBody: "4MiB", maxEvents: "60", proxy: proxyNone}
}

func (p *Poll) fields(def defaults) []field {
	out := []field{
		{key: "interval", def: def.interval, doc: "Time between two polls. At least 1s.", one: durationOf(&p.Interval, time.Second)},
		{key: "timeout", def: def.timeout, doc: "Of one whole request. At least 1s.", one: durationOf(&p.Timeout, time.Second)},
		{key: "max_body", def: def.maxBody, doc: "Largest answer that is read, 1KiB to 64MiB.", one: sizeOf(&p.MaxBody, 1<<10, 64<<20)},
		{key: "max_events", def: def.maxEvents, doc: "Events an hour that an endpoint may tell one by one, 10 to 100000. Ten more of high and ten more of critical severity always pass; the rest is counted in `endpoint.noisy`.", one: countOf(&p.MaxEvents, 10, 100_000)},
		{key: "proxy", def: def.proxy, doc: "`http://host:port` or `https://host:port`, without credentials. The proxy resolves and connects: behind it no address can be guarded or seen.", one: proxyOf(&p.Proxy)},
	}
	if def.from != "" {
		for i, from := range p.fields(pollDefaults()) {
			out[i].example = from.def
			out[i].inherits = def.from + out[i].key
			out[i].defDoc = "`" + out[i].inherits + "`"
		}
	}
	return out
}

func endpointHint() string {
	return "add one: endpoints: [{ name: corp, jwks_uri: https://login.corp.example/jwks.json }]"
}

func (e *Endpoint) fields(d *decoder) []field {
	return slices.Concat([]field{
		{key: "name", required: true, hint: "give it a name, such as name: corp-idp", doc: "Its identity: history and events hang on it. Unique.", example: "example", one: nameOf(&e.Name)},
		{key: "issuer", need: "this or `jwks_uri`", doc: "Its discovery document leads to the key set, and is looked up on every poll. No query and no fragment in it.", example: exampleIssuer, one: urlOf(&e.Issuer, issuerPattern, wellKnownURL)},
		{key: "jwks_uri", need: "this or `issuer`", doc: "The key set. `http://` only with `allow_private`. No credentials and no fragment in it.", example: exampleIssuer + "/jwks.json", one: urlOf(&e.JWKSURI, urlPattern, "")},
		{key: "tier", def: "standard", doc: "How much depends on it.", one: choiceOf(&e.Tier, []string{"low", "standard", "critical"})},
		{key: "owner", doc: "Whom to ask; stands in each event.", example: "iam@corp.example", one: textOf(&e.Owner)},
		{key: "group", doc: "Endpoints that may share keys.", example: "corp", one: textOf(&e.Group)},
		{key: "labels", doc: "Texts for each event. Keys of `a-z 0-9 _ . -`, at most 63 long; at most 32 labels.", example: "{ env: prod }", table: e.labels()},
	}, e.Poll.fields(defaults{from: "poll."}), []field{
		{key: "headers", doc: "Extra request headers. Values are secret; take them from a file or the environment.", example: `{ Authorization: "${env:EXAMPLE_TOKEN:-none}" }`, table: e.headers()},
		{key: "tls", doc: "What it must prove, and who asks. Needs `https://`.", section: e.TLS.fields(d), given: func(v value) {
			d.together(v.node, "cert_file", "key_file")
			d.pair(v, e.TLS.Cert, e.TLS.Key)
		}},
		{key: "allow_private", def: "false", doc: "Whether its name may resolve to loopback or private addresses; allows `http://`.", one: boolOf(&e.AllowPrivate)},
		{key: "redirects", def: "none", doc: "Which redirects are followed: none, or those that stay at scheme, host and port.", one: choiceOf(&e.Redirects, []string{"none", "same-host"})},
		{key: "expect", doc: "What is declared of the issuer; what breaks it is unexpected.", section: e.Expect.fields()},
		{key: "learn", def: "on", doc: "Whether habits of the issuer, such as to replace all keys at once, lower what is told.", one: choiceOf(&e.Learn, []string{"on", "off"})},
		{key: "addresses", def: "any", doc: "Whether each address of its host is asked by itself too, one more request a poll and eight addresses at most: servers behind one name may serve different sets. Not behind a proxy.", one: choiceOf(&e.Addresses, []string{"any", "each"})},
	})
}

const exampleIssuer = "https://login.example.invalid"

func (t *EndpointTLS) fields(d *decoder) []field {
	return []field{
		{key: "ca_file", defDoc: "those of the system", doc: "Certificate authorities in PEM, trusted instead.", example: "example-ca.pem", one: certificatesOf(&t.CAFile, &t.CA, d)},
		{key: "pins", doc: "`sha256/` and base64 of the SHA-256 of a public key (SubjectPublicKeyInfo). One of the verified chain must match, or the document is not trusted.", example: `["sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]`, texts: t.pins()},
		{key: "cert_file", doc: "Client certificate with its chain in PEM, with `key_file`.", example: "example-client.pem", one: certificatesOf(&t.CertFile, &t.Cert, d)},
		{key: "key_file", doc: "Its key in PEM, without a passphrase.", example: "example-client.key", one: keyOf(&t.KeyFile, &t.Key, d)},
	}
}

func (e *Endpoint) labels() *table {
	return &table{
		typ: "text to text", limit: 32, check: checkLabel,
		keys: func() shape { return shape{pattern: labelKeyPattern} }, values: textShape,
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
		keys: func() shape { return shape{pattern: headerPattern, not: ownHeaderPattern()} },
		values: func() shape {
			return shape{pattern: literal(`\x00-\x08\x0a-\x1f\x7f`), short: 1, plain: anyPlain()}
		},
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
