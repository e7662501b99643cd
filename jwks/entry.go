package jwks

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
)

// registered are the members of a JSON Web Key with a meaning (RFC 7517, 7518,
// 8037, 9964).
func registered() []string {
	return []string{
		"kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "n", "e", "d", "p", "q", "dp", "dq", "qi",
		"oth", "crv", "x", "y", "k", "pub", "priv",
	}
}

// beside reports whether the name is that of a member without a registration
// that is read all the same. Nothing about it is a defect: it is no part of the
// digest.
func beside(name []byte) bool {
	switch string(name) {
	case "issuer", "exp", "nbf":
		return true
	}
	return false
}

// entry is one element of the keys array while it is read.
type entry struct {
	w       *walker
	notes   notes
	index   int
	raw     []byte
	object  bool
	fields  []field
	private []string // canonical names of the members that leak
}

// field is a registered public member; the last one when it is repeated.
type field struct {
	name     string
	raw      []byte
	conflict bool // repeated with different values
}

// member reads the value of one member of the entry.
func (e *entry) member(name []byte) {
	start := e.w.at
	e.w.value()
	if !e.named(name) && !beside(name) {
		return
	}
	f := field{name: string(name), raw: e.w.in[start:e.w.at]}
	for i := range e.fields {
		old := &e.fields[i]
		if old.name != f.name {
			continue
		}
		if !old.conflict && !bytes.Equal(old.raw, f.raw) {
			old.conflict = !bytes.Equal(canonical(old.raw), canonical(f.raw))
		}
		old.raw = f.raw
		return
	}
	e.fields = append(e.fields, f)
}

// named reports whether the name is a registered one, and notes a name that is
// one but for case.
func (e *entry) named(name []byte) bool {
	if len(name) > 24 { // no registered name is so long, in whatever case
		return false
	}
	for _, r := range registered() {
		if string(name) == r {
			return true
		}
		if equalFold(name, r) {
			e.w.note(CaseVariant, "equals "+r+" but for case: some decoders read it in its place")
		}
	}
	return false
}

func (e *entry) field(name string) *field {
	for i := range e.fields {
		if e.fields[i].name == name {
			return &e.fields[i]
		}
	}
	return nil
}

// note records a defect of the entry, at one of its members unless name is "".
func (e *entry) note(code Code, name, text string) {
	path := []step{{name: []byte("keys")}, {index: e.index}}
	if name != "" {
		path = append(path, step{name: []byte(name)})
	}
	e.notes.add(Defect{Code: code, Pointer: pointer(path), Text: text})
}

// str returns the octets of a member that must be a string; ok is false when it
// is absent or something else, which is noted.
func (e *entry) str(name string) (value []byte, ok bool) {
	f := e.field(name)
	if f == nil {
		return nil, false
	}
	if f.raw[0] != '"' {
		e.note(NotString, name, "not a string")
		return nil, false
	}
	return unquote(f.raw), true
}

// label is str for text that is kept, so it is capped.
func (e *entry) label(name string) string {
	value, _ := e.str(name)
	return e.capped(name, value)
}

// unjudged is label for what is no part of the digest, where no defect of it may be
// noted either. Numbers are taken as they are written; other values than numbers
// and strings are none.
func (e *entry) unjudged(name string) string {
	f := e.field(name)
	if f == nil {
		return ""
	}
	value := f.raw
	switch c := f.raw[0]; {
	case c == '"':
		value = unquote(f.raw)
	case c != '-' && (c < '0' || c > '9'):
		return ""
	}
	text, _ := capText(string(value))
	return text
}

func (e *entry) capped(name string, value []byte) string {
	text, cut := capText(string(value))
	if cut {
		e.note(TextTooLong, name, "longer than 512 octets")
	}
	return text
}

// key makes a Key of what was read.
func (e *entry) key() Key {
	k := Key{Index: e.index}
	if !e.object {
		e.note(NotObject, "", "the entry is no object")
		k.ID = Identity{Kind: Opaque, Sum: sha256.Sum256(canonical(e.raw))}
		return e.finish(k)
	}
	k.Kid, k.Alg, k.Use = e.label("kid"), e.label("alg"), e.label("use")
	k.Crv = e.label("crv")
	e.str("x5u")
	k.Issuer, k.X5U, k.Exp, k.Nbf = e.unjudged("issuer"), e.unjudged("x5u"), e.unjudged("exp"), e.unjudged("nbf")
	e.operations(&k)
	k.Cert = e.certificates()
	e.identify(&k)
	return e.finish(k)
}

func (e *entry) finish(k Key) Key {
	slices.Sort(e.private)
	k.Private = e.private
	k.Defects = e.notes.sorted()
	return k
}

// maxOps bounds key_ops; RFC 7517 section 4.3 defines eight.
const maxOps = 16

// operations reads key_ops. Order and repeats mean nothing in it.
func (e *entry) operations(k *Key) {
	f := e.field("key_ops")
	if f == nil {
		return
	}
	bad := func() {
		e.note(BadKeyOps, "key_ops", "no array of at most 16 strings")
		k.Ops, k.HasOps = nil, false
	}
	if f.raw[0] != '[' {
		bad()
		return
	}
	k.HasOps = true
	n := 0
	for item := range elements(f.raw) {
		if n++; item[0] != '"' || n > maxOps {
			bad()
			return
		}
		k.Ops = append(k.Ops, e.capped("key_ops", unquote(item)))
	}
	slices.Sort(k.Ops)
	k.Ops = slices.Compact(k.Ops)
}

// identify decodes the material. Whatever cannot be decoded is still somebody:
// the hash of what was served tells it from every other entry.
func (e *entry) identify(k *Key) {
	k.Kty = e.label("kty")
	kty := e.field("kty")
	m := material{e: e}
	switch {
	case kty == nil || string(kty.raw) == `""`:
		e.note(MissingKty, "", "no kty")
	case kty.raw[0] != '"': // noted by label
	case kty.conflict: // noted by the walker
	case k.Kty == "RSA":
		m.rsa()
	case k.Kty == "EC":
		m.ec(k.Crv)
	case k.Kty == "OKP":
		m.okp(k.Crv)
	case k.Kty == "AKP":
		m.akp()
	case k.Kty == "oct":
		k.ID = Identity{Kind: Secret, Sum: sha256.Sum256(canonical(plainMarks(e.raw)))}
		return
	default:
		e.note(UnknownKty, "kty", unknownKty(k.Kty))
	}
	if m.sum == nil {
		k.ID = Identity{Kind: Opaque, Sum: sha256.Sum256(canonical(plainMarks(e.raw)))}
		return
	}
	k.ID = Identity{Kind: Thumbprint, Sum: *m.sum}
	k.Bits, k.Form = m.bits, m.form()
	slices.Sort(m.encoding)
	k.Encoding = slices.Compact(m.encoding)
}

func unknownKty(kty string) string {
	for _, known := range [...]string{"RSA", "EC", "OKP", "AKP", "oct"} {
		if strings.EqualFold(kty, known) {
			return "equals " + known + " but for case; RFC 7517 section 4.1 makes it case-sensitive"
		}
	}
	return "a kind of key that this version does not know"
}
