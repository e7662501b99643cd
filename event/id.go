package event

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// Identifier derives the ids of events, change sets and conditions from what
// they stand for, so that a step decided again after a crash has the ids it had
// before. It is a value and safe for concurrent use.
//
// An id is a prefix and the first 26 characters (130 bits) of the lower-case
// base32 form (RFC 4648, without padding) of
//
//	HMAC-SHA256(Key, lp(domain) lp(Epoch) lp(field) lp(field) …)
//
// where lp(x) is the length of x in octets as 8 octets, big endian, and then x.
// Numbers are 8 octets, big endian, under a length like every field. Domain and
// fields are
//
//	jw1-  "jwkswatch event v1"       endpoint revision prev next type subject ordinal
//	cs1-  "jwkswatch change set v1"  endpoint revision prev next
//	cn1-  "jwkswatch condition v1"   endpoint revision type subject ordinal
//
// This is frozen: an id that changed between versions would be delivered twice.
type Identifier struct {
	Key   [32]byte // random, one for each installation; a secret
	Epoch string   // random, new whenever a state is created or restored
}

// Event is the id of one event. Prev and next are the digests of the sets
// before and after, zero where there is none; ordinal tells apart events that
// are equal in everything else.
func (i Identifier) Event(endpoint string, revision uint64, prev, next [32]byte, t Type, subject string, ordinal int) string {
	return "jw1-" + i.sum("jwkswatch event v1",
		[]byte(endpoint), number(revision), prev[:], next[:], []byte(t), []byte(subject), number(uint64(ordinal)))
}

// ChangeSet is the id that the events of one step of one endpoint share.
func (i Identifier) ChangeSet(endpoint string, revision uint64, prev, next [32]byte) string {
	return "cs1-" + i.sum("jwkswatch change set v1",
		[]byte(endpoint), number(revision), prev[:], next[:])
}

// Condition is the id of a condition. Revision is that of the step that opened
// it, so that a condition that opens again is another one.
func (i Identifier) Condition(endpoint string, revision uint64, t Type, subject string, ordinal int) string {
	return "cn1-" + i.sum("jwkswatch condition v1",
		[]byte(endpoint), number(revision), []byte(t), []byte(subject), number(uint64(ordinal)))
}

func (i Identifier) sum(domain string, fields ...[]byte) string {
	mac := hmac.New(sha256.New, i.Key[:])
	write := func(field []byte) {
		// Hash.Write never returns an error.
		mac.Write(number(uint64(len(field))))
		mac.Write(field)
	}
	write([]byte(domain))
	write([]byte(i.Epoch))
	for _, f := range fields {
		write(f)
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)))[:26]
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
