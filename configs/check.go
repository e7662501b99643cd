package configs

import (
	"fmt"
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

const (
	labelKeyPattern = `[a-z0-9_.-]{1,63}`
	headerPattern   = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}"
)
