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
	name string
	at   map[string]value
}

// config reads the whole file and fills in what it leaves open.
func (d *decoder) config(c *Config, root *yaml.Node) {
	fields := c.fields(d)
	d.defaults(fields)
	d.mapping(value{node: root}, "the configuration", fields)
	for i := range c.Endpoints {
		p := &c.Endpoints[i].Poll
		if p.Interval == 0 {
			p.Interval = c.Poll.Interval
		}
		if p.Timeout == 0 {
			p.Timeout = c.Poll.Timeout
		}
		if p.MaxBody == 0 {
			p.MaxBody = c.Poll.MaxBody
		}
	}
	if len(c.Sinks) == 0 {
		s := Sink{Name: "stdout", Type: TypeLog}
		d.defaults(s.fields(d))
		c.Sinks = []Sink{s}
	}
	d.unique("endpoint", d.endpoints)
	d.unique("sink", d.sinks)
	d.policies(c)
	d.logs(c)
}

func (d *decoder) endpoint(e *Endpoint, n *yaml.Node) {
	fields := e.fields(d)
	d.defaults(fields)
	at := d.mapping(value{node: n}, "an endpoint", fields)
	d.endpoints = append(d.endpoints, entry{e.Name, at})
	if v, ok := at["jwks_uri"]; ok && e.JWKSURI != "" {
		d.jwksURI(e, v)
	}
	if v, ok := at["headers"]; ok && len(e.Headers) > 0 && strings.HasPrefix(strings.ToLower(e.JWKSURI), "http:") {
		d.warn(v, "these headers are sent in clear text", "use https://")
	}
}

// jwksURI checks the URL together with the policy beside it.
func (d *decoder) jwksURI(e *Endpoint, v value) {
	v.hide = true
	u, r := parseURL(e.JWKSURI)
	if r == nil {
		r = checkHost(u, e.AllowPrivate)
	}
	if r != nil {
		d.fail(v, false, "jwks_uri "+r.what, r.hint)
	}
}

func (d *decoder) sink(s *Sink, n *yaml.Node) {
	at := map[string]value{}
	if d.kind(value{node: n}, yaml.MappingNode, "a sink") {
		at = d.sinkOfType(s, n)
	}
	d.sinks = append(d.sinks, entry{s.Name, at})
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
	default:
		return d.otherType(s, n, typ)
	}
	fields := s.fields(d)
	d.defaults(fields)
	at := d.mapping(value{node: n}, what, fields)
	if s.NATS != nil {
		d.nats(s.NATS, at)
	}
	return at
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
	if tls, ok := at["tls"]; ok && tls.node.Kind == yaml.MappingNode {
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
	first, second := member(n, a), member(n, b)
	if first.node == nil {
		first, second, a, b = second, first, b, a
	}
	if first.node != nil && second.node == nil {
		d.fail(first, true, a+" without "+b, "give both or none")
	}
}

// unique holds that no two elements have one name, and names both lines.
func (d *decoder) unique(what string, list []entry) {
	lines := map[string]int{}
	for _, e := range list {
		v, ok := e.at["name"]
		if !ok || e.name == "" {
			continue
		}
		if line, taken := lines[e.name]; taken {
			d.fail(v, false, fmt.Sprintf("the %s on line %d has the name of the one on line %d", what, v.node.Line, line), "a name is an identity: history and events hang on it. Give each its own")
			continue
		}
		lines[e.name] = v.node.Line
	}
}

// policies warns when one URL is polled under two policies: what one refuses
// the other fetches.
func (d *decoder) policies(c *Config) {
	type seen struct {
		line  int
		allow bool
	}
	first := map[string]seen{}
	for i, e := range d.endpoints {
		v, ok := e.at["jwks_uri"]
		if !ok || c.Endpoints[i].JWKSURI == "" {
			continue
		}
		now := seen{v.node.Line, c.Endpoints[i].AllowPrivate}
		before, again := first[c.Endpoints[i].JWKSURI]
		switch {
		case !again:
			first[c.Endpoints[i].JWKSURI] = now
		case before.allow != now.allow:
			v.hide = true
			d.warn(v, fmt.Sprintf("the jwks_uri on line %d stands on line %d with another allow_private", now.line, before.line), "one of the two is probably a mistake")
		}
	}
}

// logs warns when two sinks write to standard output.
func (d *decoder) logs(c *Config) {
	line := 0
	for i, s := range d.sinks {
		v, ok := s.at["type"]
		if !ok || c.Sinks[i].Type != TypeLog {
			continue
		}
		if line > 0 {
			d.warn(v, fmt.Sprintf("the sinks on lines %d and %d both write to standard output", line, v.node.Line), "each event is written twice; keep one of them")
		}
		line = v.node.Line
	}
}

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
	if strings.HasPrefix(name, "Proxy-") || slices.Contains([]string{
		"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "If-Match", "If-Modified-Since",
		"If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Range", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade",
	}, name) {
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

// isToken holds to RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
