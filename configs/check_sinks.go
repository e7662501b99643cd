package configs

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

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
