package configs

import (
	"net/textproto"
	"slices"
	"strings"
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
