package keyhealth

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"sort"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// record is the length of one record of a block-list: the first 15 octets of a
// SHA-256, and the number of the list that the key is from.
const record = 16

// Blocklist is a list of keys whose private half is known, in the format of
// badkeys (docs/BLOCKLISTFORMAT.md there): sorted records and nothing else. The
// octets are the caller's and must not change; they may be a mapped file.
type Blocklist struct {
	Name string // of the list, as findings name it
	// Lists are names by the number in a record, of the file badkeysdata.json;
	// nil when there is none.
	Lists map[byte]string
	// Sum is the SHA-256 of the octets: with another list, keys are looked up anew.
	Sum [32]byte

	records []byte
}

var errBlocklist = errors.New("block-list")

// ParseBlocklist takes the octets of a block-list as it is served unpacked
// (blocklist.dat). It refuses octets that are no whole records or not sorted:
// they would hide keys.
func ParseBlocklist(name string, data []byte) (*Blocklist, error) {
	if len(data)%record != 0 {
		return nil, fmt.Errorf("%w %s: %d octets are no whole records of %d; is it still compressed?", errBlocklist, name, len(data), record)
	}
	for i := record; i < len(data); i += record {
		if bytes.Compare(data[i-record:i-1], data[i:i+record-1]) > 0 {
			return nil, fmt.Errorf("%w %s: record %d is out of order", errBlocklist, name, i/record)
		}
	}
	return &Blocklist{Name: name, Sum: sha256.Sum256(data), records: data}, nil
}

// Len is the number of keys.
func (b *Blocklist) Len() int { return len(b.records) / record }

// Find returns the name of the list that has the key, "list 7" when the number
// has no name.
func (b *Blocklist) Find(p jwks.Public) (list string, ok bool) {
	value := blocked(p)
	if value == nil {
		return "", false
	}
	sum := sha256.Sum256(value)
	n := b.Len()
	at := sort.Search(n, func(i int) bool {
		return bytes.Compare(b.records[i*record:(i+1)*record-1], sum[:record-1]) >= 0
	})
	if at == n || !bytes.Equal(b.records[at*record:(at+1)*record-1], sum[:record-1]) {
		return "", false
	}
	number := b.records[(at+1)*record-1]
	if name := b.Lists[number]; name != "" {
		return name, true
	}
	return fmt.Sprintf("list %d", number), true
}

// blocked is the value by which the format knows a key: the modulus, the x of a
// point, the octets of an OKP key, each without leading zeros, or the octets of
// an AKP key.
func blocked(p jwks.Public) []byte {
	switch {
	case p.N != nil:
		return p.N.Bytes()
	case p.Pub != nil:
		return p.Pub
	case p.X != nil:
		return new(big.Int).SetBytes(p.X).Bytes()
	}
	return nil
}
