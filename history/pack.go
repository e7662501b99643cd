package history

import (
	"fmt"
	"reflect"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
)

func packKey(k *jwks.Key) keyV1 {
	out := keyV1{
		ID: packID(k.ID), Kid: []byte(k.Kid), Kty: []byte(k.Kty), Crv: []byte(k.Crv), Alg: []byte(k.Alg), Use: []byte(k.Use),
		Ops: packAll(k.Ops), HasOps: k.HasOps, Bits: k.Bits, Cert: packSum(k.Cert), Form: packSum(k.Form),
		Encoding: k.Encoding, Private: k.Private, Index: k.Index, Defects: packDefects(k.Defects),
		Issuer: []byte(k.Issuer), X5U: []byte(k.X5U), Exp: []byte(k.Exp), Nbf: []byte(k.Nbf),
	}
	return out
}

func packPending(p *Pending) *pendingV1 {
	if p == nil {
		return nil
	}
	return &pendingV1{
		At: ms(p.At), After: ms(p.After), Body: p.Body, Shape: string(p.Shape), Reason: p.Reason, Offset: p.Offset,
		Looks: p.Looks, Told: p.Told, Replaced: packIDs(p.Replaced), Remote: p.Remote, Facts: p.Facts, Aside: packPending(p.Aside),
		Old: packKeys(p.Old), Keys: packKeys(p.Keys), Defects: packDefects(p.Defects), Digest: packSum(p.Digest),
	}
}

func packKeys(keys []jwks.Key) []keyV1 {
	var out []keyV1
	for i := range keys {
		out = append(out, packKey(&keys[i]))
	}
	return out
}

func packDefects(defects []jwks.Defect) []defectV1 {
	var out []defectV1
	for _, d := range defects {
		out = append(out, defectV1{string(d.Code), []byte(d.Pointer), []byte(d.Kid), d.Text})
	}
	return out
}

func unpackDefects(list []defectV1) []jwks.Defect {
	var out []jwks.Defect
	for _, d := range list {
		out = append(out, jwks.Defect{Code: jwks.Code(d.Code), Pointer: string(d.Pointer), Kid: string(d.Kid), Text: d.Text})
	}
	return out
}

// packLearned returns nil when nothing was learned yet.
func packLearned(l *Learned) *learnedV1 {
	out := &learnedV1{
		URIs: packValues(l.URIs), SPKIs: packValues(l.SPKIs), Issuers: packValues(l.Issuers),
		LeafSPKI: []byte(l.LeafSPKI), LeafIssuer: []byte(l.LeafIssuer),
		LeafNotBefore: ms(l.LeafNotBefore), LeafNotAfter: ms(l.LeafNotAfter),
		Discovered: l.Discovered, Algs: packAll(l.Algs), SignedMetadata: l.SignedMetadata, PKCE: l.PKCE,
		Weak: packValues(l.Weak), Places: packValues(l.Places), Others: packValues(l.Others),
	}
	if reflect.DeepEqual(unpackLearned(out), Learned{}) {
		return nil
	}
	return out
}

func packValues(list []Value) []valueV1 {
	var out []valueV1
	for _, v := range list {
		out = append(out, valueV1{[]byte(v.Text), ms(v.First), ms(v.Last), v.Count})
	}
	return out
}

func unpackLearned(l *learnedV1) Learned {
	if l == nil {
		return Learned{}
	}
	return Learned{
		URIs: unpackValues(l.URIs), SPKIs: unpackValues(l.SPKIs), Issuers: unpackValues(l.Issuers),
		LeafSPKI: string(l.LeafSPKI), LeafIssuer: string(l.LeafIssuer),
		LeafNotBefore: when(l.LeafNotBefore), LeafNotAfter: when(l.LeafNotAfter),
		Discovered: l.Discovered, Algs: unpackAll(l.Algs), SignedMetadata: l.SignedMetadata, PKCE: l.PKCE,
		Weak: unpackValues(l.Weak), Places: unpackValues(l.Places), Others: unpackValues(l.Others),
	}
}

func unpackValues(list []valueV1) []Value {
	var out []Value
	for _, v := range list {
		out = append(out, Value{string(v.Text), when(v.First), when(v.Last), v.Count})
	}
	return out
}

func packID(id jwks.Identity) []byte { return append([]byte{byte(id.Kind)}, id.Sum[:]...) }

func packIDs(ids []jwks.Identity) [][]byte {
	var out [][]byte
	for _, id := range ids {
		out = append(out, packID(id))
	}
	return out
}

func packAll(list []string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

func unpackAll(list [][]byte) []string {
	var out []string
	for _, b := range list {
		out = append(out, string(b))
	}
	return out
}

func packSum(sum [32]byte) []byte {
	if sum == ([32]byte{}) {
		return nil
	}
	return sum[:]
}

// reader turns stored octets back and remembers the first that were wrong.
type reader struct {
	err   error
	depth int
}

func (r *reader) key(k keyV1) jwks.Key {
	out := jwks.Key{
		ID: r.id(k.ID), Kid: string(k.Kid), Kty: string(k.Kty), Crv: string(k.Crv), Alg: string(k.Alg), Use: string(k.Use),
		Ops: unpackAll(k.Ops), HasOps: k.HasOps, Bits: k.Bits, Cert: r.sum(k.Cert), Form: r.sum(k.Form),
		Encoding: k.Encoding, Private: k.Private, Index: k.Index, Defects: unpackDefects(k.Defects),
		Issuer: string(k.Issuer), X5U: string(k.X5U), Exp: string(k.Exp), Nbf: string(k.Nbf),
	}
	return out
}

// maxAside bounds how deep claims nest; a memory that was written here has one.
const maxAside = 4

func (r *reader) pending(p *pendingV1) *Pending {
	if p == nil {
		return nil
	}
	if r.depth++; r.depth > maxAside {
		r.err = fmt.Errorf("%w: claims nested too deep", errEncoding)
		return nil
	}
	return &Pending{
		At: when(p.At), After: when(p.After), Body: p.Body, Shape: jwks.Shape(p.Shape), Reason: p.Reason, Offset: p.Offset,
		Looks: p.Looks, Told: p.Told, Replaced: r.ids(p.Replaced), Remote: p.Remote, Facts: p.Facts, Aside: r.pending(p.Aside),
		Old: r.keys(p.Old), Keys: r.keys(p.Keys), Defects: unpackDefects(p.Defects), Digest: r.sum(p.Digest),
	}
}

func (r *reader) keys(list []keyV1) []jwks.Key {
	var out []jwks.Key
	for _, k := range list {
		out = append(out, r.key(k))
	}
	return out
}

func (r *reader) id(b []byte) jwks.Identity {
	if len(b) != 33 || b[0] > byte(jwks.Secret) {
		r.err = fmt.Errorf("%w: an identity of %d octets", errEncoding, len(b))
		return jwks.Identity{}
	}
	return jwks.Identity{Kind: jwks.IdentityKind(b[0]), Sum: [32]byte(b[1:])}
}

func (r *reader) ids(list [][]byte) []jwks.Identity {
	var out []jwks.Identity
	for _, b := range list {
		out = append(out, r.id(b))
	}
	return out
}

func (r *reader) sum(b []byte) [32]byte {
	switch len(b) {
	case 0:
		return [32]byte{}
	case 32:
		return [32]byte(b)
	}
	r.err = fmt.Errorf("%w: a digest of %d octets", errEncoding, len(b))
	return [32]byte{}
}

func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func when(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
