package history

import (
	"encoding/base64"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// What follows bounds the length of the encoding from above, without encoding.

// overhead is the length of one member's name, quotes and separator, at most.
const overhead = 10

func (m *Memory) octets() int {
	n := 4096 + 120*len(m.Flood.Withheld) + 100*(len(m.Waiting)+len(m.Approved)+20*len(m.Windowed)+len(m.Stability.Back)+len(m.Stability.Shares)+len(m.Habit.Replacements)+len(m.Stability.Places)+20) + text(len(m.URL)) + 500*len(m.Digests) + 20*len(m.Flips) + octetsOfLearned(&m.Learned) + octetsOfPending(m.Pending) +
		octetsOfRotation(&m.Rotation) + len(m.Told) + overhead
	for i := range m.Live {
		n += octetsOfKey(&m.Live[i])
	}
	for _, s := range m.Sightings {
		n += octetsOfSighting(s)
	}
	for kid, b := range m.Bindings {
		n += octetsOfBinding(kid, b)
	}
	for _, c := range m.Conditions {
		n += 100 + len(c.ID) + len(c.Type) + len(c.OpenedBy) + len(c.Rule) + texts(c.Flaws) + text(len(c.Details))
		if c.Key != nil {
			n += octetsOfKey(c.Key)
		}
	}
	return n
}

// text is the length of n octets in base64 with their member's name.
func text(n int) int {
	if n == 0 {
		return 0
	}
	return base64.StdEncoding.EncodedLen(n) + overhead
}

func texts(list []string) int {
	n := 0
	for _, s := range list {
		n += text(len(s)) + overhead
	}
	return n
}

func octetsOfKey(k *jwks.Key) int {
	n := 3*text(33) + 60 + text(len(k.Kid)) + text(len(k.Kty)) + text(len(k.Crv)) + text(len(k.Alg)) + text(len(k.Use)) +
		text(len(k.Issuer)) + text(len(k.X5U)) + text(len(k.Exp)) + text(len(k.Nbf)) +
		texts(k.Ops) + texts(k.Encoding) + texts(k.Private)
	for i := range k.Defects {
		n += octetsOfDefect(&k.Defects[i])
	}
	return n
}

func octetsOfDefect(d *jwks.Defect) int {
	return 40 + len(d.Code) + text(len(d.Pointer)) + text(len(d.Kid)) + 6*len(d.Text)
}

func octetsOfSighting(s *Sighting) int { return 120 + octetsOfKey(&s.Key) + octetsOfHealth(s.Health) }

func octetsOfBinding(kid string, b *Binding) int {
	return 60 + text(len(kid)) + len(b.IDs)*text(33)
}

func octetsOfPending(p *Pending) int {
	if p == nil {
		return 0
	}
	n := 400 + text(len(p.Body)) + text(len(p.Facts)) + 6*(len(p.Reason)+len(p.Remote)) + len(p.Replaced)*text(33) + octetsOfPending(p.Aside)
	for _, list := range [][]jwks.Key{p.Old, p.Keys} {
		for i := range list {
			n += octetsOfKey(&list[i])
		}
	}
	for i := range p.Defects {
		n += octetsOfDefect(&p.Defects[i])
	}
	return n
}

func octetsOfLearned(l *Learned) int {
	n := 400 + text(len(l.LeafSPKI)) + text(len(l.LeafIssuer)) + texts(l.Algs)
	for _, list := range [][]Value{l.URIs, l.SPKIs, l.Issuers, l.Weak} {
		for _, v := range list {
			n += 80 + text(len(v.Text))
		}
	}
	return n
}
