// Package evidence makes what the agent saw hard to rewrite: signed checkpoints
// over the heads of all hash chains, and the check of exported events against the
// chains and the checkpoints.
//
// A chain shows that events were altered or dropped; a checkpoint that left the host
// shows that the chain was made anew. Neither helps against who is root on the host
// and forges from now on.
//
// The package is pure: keys, octets and times come in as values.
package evidence

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/jwkswatch/jwkswatch/event"
)

// Head is the end of one chain: its last event.
type Head struct {
	Stream   string `json:"stream"`
	Epoch    string `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"` // sha256:<hex> over the RFC 8785 form of the event
}

// MaxHeads is how many heads one part has: an event has 64 KiB at most, and the
// payload grows by a third in a JWS.
const MaxHeads = 100

// Checkpoint is what is signed: one part of it. A checkpoint has the heads that
// changed since the one before, so that ten thousand quiet endpoints cost nothing;
// Digest is over all heads, those that did not change too.
type Checkpoint struct {
	Version  int        `json:"v"` // 1
	Observer string     `json:"observer"`
	At       event.Time `json:"at"`
	Part     int        `json:"part"` // from 1
	Parts    int        `json:"parts"`
	Full     bool       `json:"full"`    // the heads of all streams are here, in all parts together
	Changed  int        `json:"changed"` // heads of all parts
	Total    int        `json:"total"`   // streams
	Digest   string     `json:"digest"`  // sha256:<hex> over the heads of all streams; see Digest
	Heads    []Head     `json:"heads"`   // by stream
}

// typ is the type of the JWS.
const typ = "jwkswatch-checkpoint+jws"

// Checkpoints makes the parts of one checkpoint. changed says of which streams the
// heads may have changed since the checkpoint before; nil means of all. One that did
// not change may be among them. Without heads there is no part.
func Checkpoints(observer string, at event.Time, all []Head, changed func(stream string) bool) []Checkpoint {
	all = slices.SortedFunc(slices.Values(all), byStream)
	heads := all
	if changed != nil {
		heads = slices.DeleteFunc(slices.Clone(all), func(h Head) bool { return !changed(h.Stream) })
	}
	c := Checkpoint{
		Version: 1, Observer: observer, At: at, Parts: (len(heads) + MaxHeads - 1) / MaxHeads,
		Full: len(heads) == len(all), Changed: len(heads), Total: len(all), Digest: Digest(all),
	}
	var out []Checkpoint
	for some := range slices.Chunk(heads, MaxHeads) {
		c.Part++
		c.Heads = some
		out = append(out, c)
	}
	return out
}

func byStream(a, b Head) int { return cmp.Compare(a.Stream, b.Stream) }

// Digest is SHA-256 over one line a head, in the order of the list:
// stream, epoch, sequence and hash with spaces between them.
func Digest(heads []Head) string {
	h := sha256.New()
	for _, head := range heads {
		fmt.Fprintf(h, "%s %s %d %s\n", head.Stream, head.Epoch, head.Sequence, head.Hash)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Sign makes the checkpoint a compact JWS (RFC 7515) with EdDSA, which carries the
// public key that it is verified by.
func Sign(key ed25519.PrivateKey, c Checkpoint) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("signing a checkpoint: %w", err)
	}
	o := (&jose.SignerOptions{EmbedJWK: true}).WithType(typ)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: Thumbprint(key.Public().(ed25519.PublicKey))}}, o)
	if err != nil {
		return "", fmt.Errorf("signing a checkpoint: %w", err)
	}
	s, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing a checkpoint: %w", err)
	}
	return s.CompactSerialize()
}

// Open verifies a signed checkpoint by the key that it carries, and returns that key's
// thumbprint: whether it is the right key is for the caller to say. Texts of the
// errors hold nothing of the checkpoint.
func Open(compact string) (c Checkpoint, signer string, err error) {
	s, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return c, "", errors.New("the checkpoint is no JWS with EdDSA")
	}
	if len(s.Signatures) != 1 || s.Signatures[0].Protected.JSONWebKey == nil {
		return c, "", errors.New("the checkpoint carries no key")
	}
	h := s.Signatures[0].Protected
	public, ok := h.JSONWebKey.Key.(ed25519.PublicKey)
	if t, _ := h.ExtraHeaders[jose.HeaderType].(string); !ok || t != typ {
		return c, "", errors.New("the JWS is no checkpoint")
	}
	payload, err := s.Verify(public)
	if err != nil {
		return c, "", errors.New("the signature of the checkpoint does not verify")
	}
	signer = Thumbprint(public)
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, signer, errors.New("what the checkpoint signs cannot be read")
	}
	if c.Version != 1 {
		return c, signer, fmt.Errorf("the checkpoint has version %d, this program knows 1", c.Version)
	}
	return c, signer, nil
}

// Thumbprint is the RFC 7638 thumbprint of a key, by which it is pinned.
func Thumbprint(public ed25519.PublicKey) string {
	k := jose.JSONWebKey{Key: public}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return "" // of an Ed25519 key it never fails
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}
