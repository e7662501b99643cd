package jwks

import (
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	gorsa "crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math"
	"math/big"
	"slices"
)

// What stands in place of a secret that says more of it: that it is the private
// half of the key it stands in, and that it is no secret at all. Nothing else
// remains of the proof, and a document that is read again says the same. Who
// serves these texts himself says so of his own key.
const (
	redactedProven = "[redacted: private half of this key]"
	redactedPublic = "[redacted: a public key of this set]"
)

// Bounds of proving within one document. Arithmetic on secrets is dear, and a
// document may hold thousands: what is beyond is told as unproven.
const (
	maxProofs     = 4
	maxProofBits  = 4096 // of a modulus that takes an exponentiation, which is done once
	maxPublicKeys = 64   // that symmetric keys are compared with
)

// prove marks the cuts that hold the private half of their own entry, and those
// of symmetric keys that are public keys of the set. It reads secrets and keeps
// none.
func prove(body []byte, cuts []cut) {
	if len(cuts) == 0 {
		return
	}
	p := prover{body: body, cuts: cuts, left: maxProofs, powers: 1}
	s := &Set{Body: body}
	var symmetric []member
	for raw := range s.entries() {
		if raw[0] != '{' {
			continue
		}
		if k, ok := p.entry(raw); ok {
			symmetric = append(symmetric, k)
		}
	}
	if len(symmetric) > 0 {
		p.compare(s, symmetric)
	}
}

// prover works on one document.
type prover struct {
	body   []byte
	cuts   []cut
	left   int // proofs that may still be tried
	powers int // of them, by an exponentiation
}

// member is the value of a member of an entry, as it stands in the body.
type member struct {
	raw []byte
	at  *cut // that takes it out; nil when nothing does
}

// entry tries to prove an entry, and returns its k if it is a symmetric key.
func (p *prover) entry(raw []byte) (k member, symmetric bool) {
	start := cap(p.body) - cap(raw) // raw is a part of body, with all that follows it
	if !p.cutWithin(start, start+len(raw)) {
		return k, false
	}
	m := map[string]member{}
	twice := false
	for at := skipSpace(raw, 1); raw[at] != '}'; {
		end := skipValue(raw, at)
		name, short := "", end-at < 8 // as every name that is looked for
		if short {
			name = string(unquote(raw[at:end]))
		}
		at = skipSpace(raw, skipSpace(raw, end)+1)
		end = skipValue(raw, at)
		if short {
			_, known := m[name]
			twice = twice || known
			m[name] = member{raw[at:end], p.cutAt(start + at)}
		}
		if at = skipSpace(raw, end); raw[at] == ',' {
			at = skipSpace(raw, at+1)
		}
	}
	if twice {
		return k, false // which of the two counts nobody can say
	}
	key := Key{Kty: m["kty"].text(), Crv: m["crv"].text()}
	if key.Kty == "oct" {
		return m["k"], m["k"].at != nil
	}
	pub, ok := public(raw, &key)
	if !ok || p.left == 0 {
		return k, false
	}
	p.left--
	for _, name := range p.proven(&pub, m) {
		m[name].at.mark = redactedProven
	}
	return k, false
}

// proven returns the members that are the private half.
func (p *prover) proven(pub *Public, m map[string]member) []string {
	d := m["d"].octets()
	switch {
	case pub.N != nil:
		var names []string
		for _, name := range []string{"p", "q"} {
			f := new(big.Int).SetBytes(m[name].octets())
			if f.BitLen() > 1 && f.Cmp(pub.N) < 0 && new(big.Int).Mod(pub.N, f).Sign() == 0 {
				names = append(names, name)
			}
		}
		if len(names) == 0 && len(d) > 0 && p.power(pub, new(big.Int).SetBytes(d)) {
			names = append(names, "d")
		}
		return names
	case len(d) == 0:
		return nil
	case pub.Kty == "EC":
		if c, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[pub.Crv]; ok {
			key, err := ecdsa.ParseRawPrivateKey(c, padded(d, len(pub.X)))
			if err != nil {
				return nil
			}
			point, err := key.PublicKey.Bytes()
			if err == nil && bytes.Equal(point[1:], append(bytes.Clone(pub.X), pub.Y...)) {
				return []string{"d"}
			}
		}
	case pub.Crv == "Ed25519" && len(d) == ed25519.SeedSize:
		if bytes.Equal(ed25519.NewKeyFromSeed(d)[ed25519.SeedSize:], pub.X) {
			return []string{"d"}
		}
	case pub.Crv == "X25519":
		if key, err := ecdh.X25519().NewPrivateKey(d); err == nil && bytes.Equal(key.PublicKey().Bytes(), pub.X) {
			return []string{"d"}
		}
	}
	return nil
}

// power proves a private exponent without the primes: what is raised to e·d is
// itself again.
func (p *prover) power(pub *Public, d *big.Int) bool {
	if p.powers == 0 || pub.N.BitLen() > maxProofBits || d.BitLen() > maxProofBits || pub.E.BitLen() > 64 || d.BitLen() < 2 || pub.N.Bit(0) == 0 {
		return false
	}
	p.powers--
	two := big.NewInt(2)
	return new(big.Int).Exp(two, d.Mul(d, pub.E), pub.N).Cmp(two) == 0 && pub.N.BitLen() > 2
}

// compare marks symmetric keys whose octets are those of a public key of the set,
// in any form in which people paste one.
func (p *prover) compare(s *Set, symmetric []member) {
	forms := map[string]bool{}
	n := 0
	for raw := range s.entries() {
		if raw[0] != '{' {
			continue
		}
		w := newWalker(raw)
		e := &entry{w: w}
		w.sink, w.entry = &e.notes, e
		w.object(func(name []byte) { e.member(name) })
		key := Key{Kty: e.label("kty"), Crv: e.label("crv")}
		pub, ok := public(raw, &key)
		if !ok {
			continue
		}
		if n++; n > maxPublicKeys {
			break
		}
		for _, form := range pub.forms() {
			forms[string(form)] = true
		}
	}
	for _, k := range symmetric[:min(len(symmetric), maxPublicKeys)] {
		octets := k.octets()
		if forms[string(octets)] || forms[k.text()] || forms[string(bytes.TrimSpace(octets))] {
			k.at.mark = redactedPublic
		}
	}
}

// forms are the octets by which a public key may be taken for a shared secret.
// Text is without white space at its ends.
func (p *Public) forms() [][]byte {
	var out [][]byte
	block := func(kind string, der []byte) {
		out = append(out, der, bytes.TrimSpace(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	var key any
	switch {
	case p.N != nil && p.E.IsInt64() && p.E.Int64() <= math.MaxInt32 && p.N.BitLen() >= 64:
		k := &gorsa.PublicKey{N: p.N, E: int(p.E.Int64())}
		out = append(out, p.N.Bytes())
		block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(k))
		key = k
	case p.Kty == "EC":
		c := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[p.Crv]
		if c == nil {
			break
		}
		k, err := ecdsa.ParseUncompressedPublicKey(c, append(append([]byte{4}, p.X...), p.Y...))
		if err == nil {
			key = k
		}
	case p.Crv == "Ed25519":
		out = append(out, p.X)
		key = ed25519.PublicKey(p.X)
	}
	if key != nil {
		if der, err := x509.MarshalPKIXPublicKey(key); err == nil {
			block("PUBLIC KEY", der)
		}
	}
	for _, der := range p.X5C {
		if len(der) > 0 {
			block("CERTIFICATE", der)
		}
	}
	return out
}

func (p *prover) cutAt(start int) *cut {
	if i, ok := p.find(start); ok && !p.cuts[i].array && p.body[start] == '"' {
		return &p.cuts[i]
	}
	return nil
}

// find looks up the first cut at or after a place: cuts are in order.
func (p *prover) find(start int) (int, bool) {
	return slices.BinarySearchFunc(p.cuts, start, func(c cut, start int) int { return cmp.Compare(c.start, start) })
}

func (p *prover) cutWithin(start, end int) bool {
	i, _ := p.find(start)
	return i < len(p.cuts) && p.cuts[i].end <= end
}

// text is the value as text, "" when it is none.
func (m member) text() string {
	if len(m.raw) == 0 || m.raw[0] != '"' {
		return ""
	}
	return string(unquote(m.raw))
}

// octets decodes a value that is taken out; nil when it does not decode.
func (m member) octets() []byte {
	if m.at == nil {
		return nil
	}
	octets, _, _ := decodeBase64(unquote(m.raw))
	return octets
}

// padded is a number at the length of a coordinate; as it is when it is longer.
func padded(d []byte, size int) []byte {
	d = bytes.TrimLeft(d, "\x00")
	if len(d) > size {
		return d
	}
	return append(make([]byte, size-len(d), size), d...)
}

// plainMarks takes what marks say of secrets out of an entry: its identity is not
// to depend on it.
func plainMarks(raw []byte) []byte {
	if !bytes.Contains(raw, []byte("[redacted: ")) {
		return raw
	}
	raw = bytes.ReplaceAll(raw, []byte(`"`+redactedProven+`"`), []byte(`"`+Redacted+`"`))
	return bytes.ReplaceAll(raw, []byte(`"`+redactedPublic+`"`), []byte(`"`+Redacted+`"`))
}
