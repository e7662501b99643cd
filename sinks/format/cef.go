package format

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jwkswatch/jwkswatch/event"
)

// The longest values of CEF, in characters, as the dictionary has them.
const (
	cefText    = 1023
	cefCustom  = 4000
	cefAction  = 63
	cefID      = 40
	cefName    = 512
	cefAddress = 1023
)

// cef is the event as one line of the Common Event Format. Every text in it, that
// of an issuer above all, is escaped: nobody writes a field of his own.
func (d *document) cef() []byte {
	r := d.rule()
	var b strings.Builder
	b.WriteString("CEF:0")
	for _, h := range []string{"jwkswatch", "jwkswatch", d.Observer.Version, r.ID, cut(d.title(r.Title), cefName), strconv.Itoa(cefSeverity(d.Event.Severity))} {
		b.WriteByte('|')
		b.WriteString(cefHeader(h))
	}
	b.WriteByte('|')
	x := extension{b: &b}
	x.put("rt", strconv.FormatInt(d.Time.UnixMilli(), 10), cefText)
	x.put("externalId", d.ID, cefID)
	x.put("act", string(d.Event.Type), cefAction)
	x.put("cat", d.object(), cefText)
	x.put("outcome", string(d.Event.Verdict), cefAction)
	x.put("msg", d.Event.Message, cefText)
	x.put("reason", strings.Join(d.Event.Reasons, ","), cefText)
	x.put("cnt", strconv.Itoa(d.Event.Count), cefText)
	x.put("deviceExternalId", d.Observer.Name, 255)
	x.custom("cs3", "endpoint", d.name())
	if d.Endpoint != nil {
		x.custom("cs4", "issuer", text(d.Endpoint.Issuer))
		x.custom("flexString1", "tier", d.Endpoint.Tier)
	}
	if k := d.Key; k != nil {
		x.custom("cs1", "kid", text(k.Kid))
		x.custom("cs2", "thumbprint", text(k.Thumbprint))
		if k.Bits != nil {
			x.custom("cn1", "bits", strconv.Itoa(*k.Bits))
		}
	}
	if a := d.approval; a != nil {
		x.custom("cs1", "kid", text(a.Kid))
		x.custom("cs2", "thumbprint", text(a.Thumbprint))
	}
	if c := d.Event.ChangeSet; c != nil {
		x.custom("cs5", "changeSet", c.ID)
	}
	if c := d.Event.Condition; c != nil {
		x.custom("cs6", "condition", string(c.State)+" "+c.ID)
	}
	x.custom("cn2", "sequence", strconv.FormatUint(d.Integrity.Sequence, 10))
	if d.Event.Drill {
		x.custom("flexString2", "drill", "true")
	}
	if u := d.url(); u != "" {
		x.put("request", u, cefAddress)
		if parsed, err := url.Parse(u); err == nil {
			x.put("dhost", parsed.Hostname(), cefAddress)
		}
	}
	if a, ok := d.remote(); ok {
		if ip := a.Addr(); ip.Is4() {
			x.put("dst", ip.String(), cefText)
		} else {
			x.custom("c6a3", "Destination IPv6 Address", ip.String())
		}
		x.put("dpt", strconv.Itoa(int(a.Port())), cefText)
	}
	return []byte(b.String())
}

func cefSeverity(s event.Severity) int { return [...]int{0, 1, 3, 5, 8, 10}[min(int(s), 5)] }

// extension writes key=value pairs with a space between them.
type extension struct {
	b    *strings.Builder
	more bool
}

// put writes a pair. An empty value is left out.
func (x *extension) put(key, value string, most int) {
	if value == "" {
		return
	}
	if x.more {
		x.b.WriteByte(' ')
	}
	x.more = true
	x.b.WriteString(key)
	x.b.WriteByte('=')
	x.b.WriteString(cefValue(cut(value, most)))
}

// custom writes a custom field with its label.
func (x *extension) custom(key, label, value string) {
	if value == "" {
		return
	}
	x.put(key+"Label", label, cefText)
	x.put(key, value, cefCustom)
}

// cut shortens a text to so many characters.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// cefHeader escapes what separates the fields of the header. It has no line breaks.
func cefHeader(s string) string {
	return strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\r\n", " ", "\n", " ", "\r", " ").Replace(s)
}

// cefValue escapes a value of the extension. A value never ends a line, and an
// equals sign in it begins no key. Spaces at its ends would be lost, for they
// separate the pairs.
func cefValue(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`, "\r", `\r`).Replace(s)
	return strings.Trim(s, " ")
}
