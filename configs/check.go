package configs

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// entry is an element of a list, for the checks between elements.
type entry struct {
	name   string
	at     map[string]value
	source source
}

// url is the key that says what is polled, and its value.
func (e entry) url() (key string, v value, ok bool) {
	for _, key := range []string{"issuer", "jwks_uri"} {
		if v, ok := e.at[key]; ok {
			return key, v, true
		}
	}
	return "", value{}, false
}

// place is where the value of a key stands.
func (e entry) place(key string) string {
	return fmt.Sprintf("%s:%d", e.source.name, e.at[key].node.Line)
}

// config reads the main file, then those that it includes, and fills in what
// they leave open.
func (d *decoder) config(c *Config, root *yaml.Node) {
	d.root = root
	fields := c.fields(d)
	d.defaults(fields)
	at := d.mapping(value{node: root}, "the configuration", fields)
	before := len(d.errs)
	d.included(c)
	d.book(c)
	d.complete(c, root, at, before)
	d.approvals(c)
}

func (d *decoder) endpoint(e *Endpoint, n *yaml.Node) {
	fields := e.fields(d)
	d.defaults(fields)
	at := d.mapping(value{node: n}, "an endpoint", fields)
	d.endpoints = append(d.endpoints, entry{e.Name, at, d.source})
	issuer, hasIssuer := at["issuer"]
	uri, hasURI := at["jwks_uri"]
	switch {
	case hasIssuer && hasURI:
		d.fail(uri, true, "jwks_uri beside issuer: an endpoint has one of them", "keep issuer to have jwks_uri looked up on every poll, or jwks_uri to watch that URL alone")
	case !hasIssuer && !hasURI && n.Kind == yaml.MappingNode:
		d.fail(value{node: n}, false, "an endpoint has neither issuer nor jwks_uri", "give one, such as issuer: https://login.corp.example or jwks_uri: https://login.corp.example/jwks.json")
	}
	if hasIssuer && e.Issuer != "" {
		d.url(e, issuer, "issuer", e.Issuer)
	}
	if hasURI && e.JWKSURI != "" {
		d.url(e, uri, "jwks_uri", e.JWKSURI)
	}
	if !strings.HasPrefix(strings.ToLower(e.Issuer+e.JWKSURI), "http:") {
		return
	}
	if v, ok := at["headers"]; ok && len(e.Headers) > 0 {
		d.warn(v, "these headers are sent in clear text", "use https://")
	}
	if v, ok := at["tls"]; ok && (e.TLS.CAFile != "" || e.TLS.Pins != nil || e.TLS.CertFile != "") {
		d.fail(v, true, "tls beside http://: it would promise what is not kept", "use https://, or take tls out")
	}
}

// url checks a URL together with the policy beside it.
func (d *decoder) url(e *Endpoint, v value, key, raw string) {
	v.hide = true
	u, r := parseURL(raw)
	if r == nil && key == "issuer" {
		r = checkIssuer(u, raw)
	}
	if r == nil {
		r = checkHost(u, e.AllowPrivate)
	}
	if r != nil {
		d.fail(v, false, key+" "+r.what, r.hint)
	}
}

func (d *decoder) sink(s *Sink, n *yaml.Node) {
	at := map[string]value{}
	if d.kind(value{node: n}, yaml.MappingNode, "a sink") {
		at = d.sinkOfType(s, n)
	}
	d.sinks = append(d.sinks, entry{s.Name, at, d.source})
}

// sinkOfType reads a sink by its type: which keys there are depends on it.
func (d *decoder) sinkOfType(s *Sink, n *yaml.Node) map[string]value {
	what := "a sink"
	switch typ, text := d.peek(n, "type"); {
	case typ.node == nil:
	case text == TypeLog:
		what = "a sink of type log"
	case text == TypeNATS:
		what, s.NATS = "a sink of type nats", &NATS{}
	case text == TypeFile:
		what, s.File = "a sink of type file", &FileSink{}
	case text == TypeSyslog:
		what, s.Syslog = "a sink of type syslog", &SyslogSink{}
	case text == TypeWebhook:
		what, s.Webhook = "a sink of type webhook", &WebhookSink{}
	default:
		return d.otherType(s, n, typ)
	}
	fields := s.fields(d)
	d.defaults(fields)
	at := d.mapping(value{node: n}, what, fields)
	switch {
	case s.NATS != nil:
		d.nats(s.NATS, at)
	case s.Syslog != nil:
		d.syslog(s.Syslog, at)
	case s.Webhook != nil:
		d.webhook(s.Webhook, at)
	}
	return at
}

func (d *decoder) syslog(s *SyslogSink, at map[string]value) {
	secured, given := at["tls"]
	if given {
		d.together(secured.node, "cert_file", "key_file")
	}
	v, ok := at["address"]
	switch {
	case !ok || s.Address == "":
	case s.Network() != "tls" && given:
		d.fail(secured, true, "tls beside "+s.Network()+"://: it would promise what is not kept", "use tls://, or take tls out")
	case s.Network() != "tls":
		d.warn(v, "events go in clear text, and anybody on the way can add to them", "use tls:// if the receiver can")
	}
}

func (d *decoder) webhook(w *WebhookSink, at map[string]value) {
	secured, given := at["tls"]
	if given {
		d.together(secured.node, "cert_file", "key_file")
	}
	v, ok := at["url"]
	v.hide = true
	clear := strings.HasPrefix(strings.ToLower(w.URL), "http:")
	switch {
	case !ok || w.URL == "":
	case clear && given:
		d.fail(secured, true, "tls beside http://: it would promise what is not kept", "use https://, or take tls out")
	case clear && !w.local() && !w.Insecure:
		d.fail(v, false, "url has http:// to a host that is not loopback: events would go in clear text", "use https://, or say insecure: true if you must")
	case w.Insecure && (!clear || w.local()):
		d.warn(at["insecure"], "insecure: true has no effect here", "take it out: nothing goes in clear text over a network")
	}
}

// otherType reads only the name of a sink whose type is not known.
func (d *decoder) otherType(s *Sink, n *yaml.Node, typ value) map[string]value {
	d.scalar(typ, find(s.fields(d), "type"))
	name, text := d.peek(n, "name")
	if name.node == nil || !isName(text) {
		return nil
	}
	s.Name = text
	return map[string]value{"name": name}
}

// member returns the value of a key; its node is nil when there is none.
func member(n *yaml.Node, key string) value {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key && plainKey(n.Content[i]) {
			return value{key: n.Content[i], node: n.Content[i+1]}
		}
	}
	return value{}
}

// peek returns the text of a scalar and leaves what is wrong with it to be told
// by who reads it.
func (d *decoder) peek(n *yaml.Node, key string) (value, string) {
	v := member(n, key)
	if v.node == nil || v.node.Kind != yaml.ScalarNode {
		return v, ""
	}
	text, _, r := d.expand(v.node.Value)
	if r != nil {
		return v, ""
	}
	return v, text
}

func (d *decoder) nats(n *NATS, at map[string]value) {
	if v, ok := at["url"]; ok && n.URL != "" {
		v.hide = true
		if r := n.checkServers(); r != nil {
			d.fail(v, false, "url "+r.what, r.hint)
		} else if n.Insecure && !n.clear() {
			d.warn(at["insecure"], "insecure: true has no effect here", "take it out: nothing goes in clear text over a network")
		}
	}
	if v, ok := at["stream"]; ok && (len(n.Stream) > 255 || n.Stream == "" || strings.ContainsAny(n.Stream, ".*>/\\ ")) {
		d.fail(v, false, "stream is no name of a stream", `leave out spaces and . * > / \`)
	}
	if v, ok := at["subject"]; ok && !isSubject(n.Subject) {
		d.fail(v, false, "subject wants names of a-z, 0-9, _ and - with dots between them", "severity, type and endpoint follow by themselves: jwkswatch.v1 becomes jwkswatch.v1.high.key.added.corp")
	}
	d.credentials(at)
	if tls, ok := at["tls"]; ok {
		d.together(tls.node, "cert_file", "key_file")
	}
}

// credentials holds that there is at most one kind.
func (d *decoder) credentials(at map[string]value) {
	first := ""
	for _, kind := range []string{"credentials_file", "nkey_file", "token_file", "user", "password_file"} {
		v, ok := at[kind]
		switch {
		case !ok:
		case first == "":
			first = kind
		case kind == "password_file" && first == "user":
		default:
			d.fail(v, true, fmt.Sprintf("%s beside %s: a sink has at most one kind of credentials", kind, first), "keep one of them")
		}
	}
	user, hasUser := at["user"]
	password, hasPassword := at["password_file"]
	switch {
	case hasUser && !hasPassword:
		d.fail(user, true, "user without password_file", "add password_file: and the path of a file with the password")
	case hasPassword && !hasUser:
		d.fail(password, true, "password_file without user", "add user:")
	}
}

func (d *decoder) together(n *yaml.Node, a, b string) {
	if n.Kind != yaml.MappingNode {
		return
	}
	first, second := member(n, a), member(n, b)
	if first.node == nil {
		first, second, a, b = second, first, b, a
	}
	if first.node != nil && second.node == nil {
		d.fail(first, true, a+" without "+b, "give both or none")
	}
}

// unique holds that no two elements have one name, and names both places.
func (d *decoder) unique(what string, list []entry) {
	first := map[string]entry{}
	for _, e := range list {
		v, ok := e.at["name"]
		if !ok || e.name == "" {
			continue
		}
		if before, taken := first[e.name]; taken {
			d.source = e.source
			d.fail(v, false, fmt.Sprintf("the %s at %s has the name of the one at %s", what, e.place("name"), before.place("name")), "a name is an identity: history and events hang on it. Give each its own")
			continue
		}
		first[e.name] = e
	}
}

// policies warns when one URL is polled under two policies: what one refuses
// the other fetches.
func (d *decoder) policies(c *Config) {
	first := map[string]int{}
	for i, e := range d.endpoints {
		if c.Endpoints[i].Addresses == "each" && c.Endpoints[i].Proxy != "" {
			d.source = e.source
			d.warn(e.at["addresses"], "addresses: each does nothing behind a proxy, which chooses the address itself", "leave it out, or set proxy: none")
		}
		key, v, ok := e.url()
		url := c.Endpoints[i].Issuer + c.Endpoints[i].JWKSURI
		if !ok || url == "" {
			continue
		}
		before, again := first[url]
		switch {
		case !again:
			first[url] = i
		case c.Endpoints[before].AllowPrivate != c.Endpoints[i].AllowPrivate:
			v.hide = true
			d.source = e.source
			other, _, _ := d.endpoints[before].url()
			d.warn(v, fmt.Sprintf("the %s at %s stands at %s with another allow_private", key, e.place(key), d.endpoints[before].place(other)), "one of the two is probably a mistake")
		}
	}
}

// logs warns when two sinks write to standard output.
func (d *decoder) logs(c *Config) {
	last := ""
	for i, s := range d.sinks {
		v, ok := s.at["type"]
		if !ok || c.Sinks[i].Type != TypeLog {
			continue
		}
		d.source = s.source
		if last != "" {
			d.warn(v, fmt.Sprintf("the sinks at %s and %s both write to standard output", last, s.place("type")), "each event is written twice; keep one of them")
		}
		last = s.place("type")
	}
}

// writers holds that no file has two writers: lines would be torn, and a rotation of
// one would take the other's. A path stands for its rotated files too, and the state
// for what lies beside it.
func (d *decoder) writers(c *Config) {
	type claim struct {
		path, who string
		owns      func(path string) bool
	}
	taken := []claim{{c.State.Path, "the state", func(path string) bool {
		rest, beside := strings.CutPrefix(path, c.State.Path)
		return beside && (rest == "" || rest[0] == '.')
	}}}
	for i, s := range d.sinks {
		f := c.Sinks[i].File
		v, ok := s.at["path"]
		if f == nil || !ok || f.Path == "" {
			continue
		}
		d.source = s.source
		mine := claim{f.Path, "the sink at " + s.place("path"), f.owns}
		clash := slices.IndexFunc(taken, func(other claim) bool { return other.owns(mine.path) || mine.owns(other.path) })
		switch {
		case clash < 0:
			taken = append(taken, mine)
		case taken[clash].path == f.Path:
			d.fail(v, false, "path is that of "+taken[clash].who, "give each its own file")
		case clash == 0:
			d.fail(v, false, "path lies among the files of the state", "write events elsewhere, such as /var/log/jwkswatch/events.jsonl")
		default:
			d.fail(v, false, "path and that of "+taken[clash].who+" meet when one of the two is rotated", "give each its own name: PATH.1 to PATH.keep are the older files of PATH")
		}
	}
}

const (
	labelKeyPattern = `[a-z0-9_.-]{1,63}`
	headerPattern   = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}"
)

func checkLabel(key, text string) (string, *refusal) {
	if key == "" || len(key) > 63 || !only(key, "_.-") {
		return "", &refusal{"the key of a label wants a-z, 0-9, _, . and -, at most 63 long", "write it in lower case, without spaces", true}
	}
	if r := checkText(text); r != nil {
		return "", refused("the value of label "+key+" "+r.what, r.hint)
	}
	return key, nil
}

// checkHeader refuses what frames the message, belongs to the connection, or
// makes the answer another document: a conditional, partial or encoded answer
// is no evidence.
func checkHeader(key, text string) (string, *refusal) {
	if len(key) > 128 || !isToken(key) {
		return "", &refusal{"the name of a header wants letters, digits and hyphens", "the name is the key, the value follows the colon", true}
	}
	name := textproto.CanonicalMIMEHeaderKey(key)
	if strings.HasPrefix(name, "Proxy-") || slices.Contains(ownHeaders(), name) {
		return "", &refusal{"header " + name + " is not for a configuration to set", "take it out: the agent needs the whole, plain answer and frames its requests itself", true}
	}
	switch {
	case text == "":
		return "", refused("header "+name+" has an empty value", "is the file or variable it comes from empty?")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "", refused("the value of header "+name+" holds a line break or another control character", "a header is one line")
	}
	return name, nil
}

// ownHeaders are those that are not for a configuration to set; so are all that
// begin with Proxy-.
func ownHeaders() []string {
	return []string{
		"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "If-Match", "If-Modified-Since",
		"If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Range", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade",
	}
}

func ownHeaderPattern() string {
	all := []string{anyCase("Proxy-") + ".*"}
	for _, h := range ownHeaders() {
		all = append(all, anyCase(h))
	}
	return anchored(strings.Join(all, "|"))
}

// isToken holds to RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
