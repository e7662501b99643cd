package jwks

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Digest identifies a set by what its keys are, not by its octets: it does not
// depend on order, white space, members without a meaning or an identical entry
// that is repeated.
//
// The layout is frozen, because digests are stored. Numbers are of eight octets,
// big-endian; "sized" is such a number of octets and then the octets.
//
//	digest  = SHA-256( sized "jwkswatch set digest v1", sized entry … )
//	          entries in the order of their octets, each once
//	entry   = 0x01, identity kind (1 octet), identity sum (32),
//	          sized kid, sized alg, sized use,
//	          has key_ops (1 octet: 0 or 1), number of key_ops, sized key_op …,
//	          Cert (32), Form (32), codes
//	        | 0x02, codes                   the document's, when it has any
//	codes   = number of codes, sized code … sorted, each once, never the oracle's
func Digest(keys []Key, defects []Defect) [32]byte {
	entries := make([][]byte, 0, len(keys)+1)
	for i := range keys {
		entries = append(entries, keys[i].appendDigest(nil))
	}
	if c := codes(defects); len(c) > 0 {
		entries = append(entries, appendCodes([]byte{2}, c))
	}
	slices.SortFunc(entries, bytes.Compare)
	entries = slices.CompactFunc(entries, bytes.Equal)
	b := appendSized(nil, "jwkswatch set digest v1")
	for _, e := range entries {
		b = appendSized(b, e)
	}
	return sha256.Sum256(b)
}

func (k *Key) appendDigest(b []byte) []byte {
	b = append(b, 1, byte(k.ID.Kind))
	b = append(b, k.ID.Sum[:]...)
	b = appendSized(b, k.Kid)
	b = appendSized(b, k.Alg)
	b = appendSized(b, k.Use)
	if k.HasOps {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(len(k.Ops)))
	for _, op := range k.Ops {
		b = appendSized(b, op)
	}
	b = append(b, k.Cert[:]...)
	b = append(b, k.Form[:]...)
	return appendCodes(b, codes(k.Defects))
}

func appendCodes(b []byte, list []Code) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(list)))
	for _, c := range list {
		b = appendSized(b, c)
	}
	return b
}
