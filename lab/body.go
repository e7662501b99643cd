package lab

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Beside sends the issuer's own entries and after them these, unchecked. It is
// the form of every attack that tries to hide a key behind a broken one.
func Beside(entries ...string) Answer {
	return Edited(func(current []byte, _ uint64) []byte { return beside(current, entries...) })
}

// Kid sends, beside the issuer's own, a sound Ed25519 key whose kid is the given
// JSON text. A kid need not be a string, nor well-formed.
func Kid(text string) Answer {
	return Beside(string(encodeEntry(NewEd25519("").With("kid", json.RawMessage(text)).Public())))
}

// UTF16 sends the document in UTF-16, little endian, with its mark.
func UTF16() Answer {
	return Edited(func(current []byte, _ uint64) []byte {
		b := []byte{0xff, 0xfe}
		for _, unit := range utf16.Encode([]rune(string(current))) {
			b = binary.LittleEndian.AppendUint16(b, unit)
		}
		return b
	})
}

// BOM sends the document after the three octets of a UTF-8 byte order mark.
func BOM() Answer { return Affixed("\ufeff", "") }

// Affixed sends the document with text before and after it.
func Affixed(before, after string) Answer {
	return Edited(func(current []byte, _ uint64) []byte {
		return slices.Concat([]byte(before), current, []byte(after))
	})
}

// RepeatedKeys sends the keys member twice: the first is the issuer's, the
// second holds one key of somebody else. Which of them counts depends on the
// parser, so two services behind one issuer may trust different keys.
func RepeatedKeys() Answer {
	other := bytes.TrimPrefix(Document(NewEC("second", "P-256")), []byte("{"))
	return Edited(func(current []byte, _ uint64) []byte {
		return slices.Concat(bytes.TrimSuffix(current, []byte("}")), []byte(","), other)
	})
}

// Deep puts an entry with arrays n deep beside the issuer's own.
func Deep(n int) Answer {
	return Beside(`{"kty":"RSA","kid":"deep","n":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
}

// ManyKeys puts n sound and different Ed25519 entries beside the issuer's own.
// Their points are hashes: nobody holds a private half, and they cost nothing.
func ManyKeys(n int) Answer {
	entries := make([]string, n)
	for i := range n {
		x := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("many"), uint64(i)))
		entries[i] = fmt.Sprintf(`{"kty":"OKP","use":"sig","kid":"many-%d","alg":"EdDSA","crv":"Ed25519","x":"%s"}`, i, b64(x[:]))
	}
	return Beside(entries...)
}

// PrivateBomb puts n entries of one private RSA key of 2048 bits, each under a
// kid of its own, beside the issuer's. A library that checks private keys tests
// two primes for each of them.
func PrivateBomb(n int) Answer {
	key := NewRSA("", 2048)
	entries := make([]string, n)
	for i := range n {
		key.Kid = "bomb-" + strconv.Itoa(i)
		entries[i] = string(encodeEntry(key.Private()))
	}
	return Beside(entries...)
}

// RepeatedKid puts n different keys under one kid beside the issuer's.
func RepeatedKid(kid string, n int) Answer {
	entries := make([]string, n)
	for i := range n {
		entries[i] = string(encodeEntry(NewEd25519(kid).Public()))
	}
	return Beside(entries...)
}

// JunkKey puts a key that is new in every answer beside the issuer's, so that no
// two looks ever agree on the whole.
func JunkKey() Answer {
	return Edited(func(current []byte, n uint64) []byte {
		key := NewEd25519("junk-" + strconv.FormatUint(n, 10))
		return beside(current, string(encodeEntry(key.Public())))
	})
}

// RequestID adds a member to the set, outside keys, that is new in every answer.
func RequestID() Answer {
	return Edited(func(current []byte, n uint64) []byte {
		return fmt.Appendf(bytes.TrimSuffix(bytes.Clone(current), []byte("}")), `,"requestid":"%08x"}`, n)
	})
}

// Shuffled sends the entries in another order each time; the order of orders
// depends on the seed alone. It needs a document that Document could make.
func Shuffled(seed uint64) Answer {
	return Edited(func(current []byte, n uint64) []byte {
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if json.Unmarshal(current, &set) != nil {
			return current
		}
		order := rand.New(rand.NewPCG(seed, n))
		order.Shuffle(len(set.Keys), func(a, b int) { set.Keys[a], set.Keys[b] = set.Keys[b], set.Keys[a] })
		return slices.Concat([]byte(`{"keys":[`), slices.Concat(join(set.Keys)...), []byte("]}"))
	})
}

func join(entries []json.RawMessage) [][]byte {
	var parts [][]byte
	for n, e := range entries {
		if n > 0 {
			parts = append(parts, []byte(","))
		}
		parts = append(parts, e)
	}
	return parts
}

// GzipUnasked compresses the document, whether or not the client accepts that.
// Without labelled there is no Content-Encoding to tell.
func GzipUnasked(labelled bool) Answer {
	return func(w http.ResponseWriter, _ *http.Request, current []byte) {
		w.Header().Set("Content-Type", "application/json")
		if labelled {
			w.Header().Set("Content-Encoding", "gzip")
		}
		_, _ = w.Write(squeeze(current))
	}
}

// GzipBomb sends, compressed a thousandfold, the document and then white space
// until the body has at least size octets. It is valid JSON to the end.
func GzipBomb(size int64) Answer {
	const block = 8 << 20
	return func(w http.ResponseWriter, _ *http.Request, current []byte) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		if _, err := w.Write(squeeze(current)); err != nil {
			return
		}
		// RFC 1952, 2.2: a gzip file is a series of members, so one small member
		// sent again and again is enough.
		space := squeeze(bytes.Repeat([]byte(" "), block))
		for sent := int64(len(current)); sent < size; sent += block {
			if _, err := w.Write(space); err != nil {
				return
			}
		}
	}
}

func squeeze(p []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(p) // a bytes.Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// Endless sends the issuer's entries and then sound Ed25519 entries for as long
// as the client reads.
func Endless() Answer {
	return func(w http.ResponseWriter, _ *http.Request, current []byte) {
		w.Header().Set("Content-Type", "application/json")
		head := bytes.TrimSuffix(beside(current, `{"kty":"OKP"}`), []byte("]}"))
		if _, err := w.Write(head); err != nil {
			return
		}
		var block bytes.Buffer
		for i := 0; ; i++ {
			block.Reset()
			for j := range 256 {
				x := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i*256+j)))
				fmt.Fprintf(&block, `,{"kty":"OKP","kid":"%d-%d","crv":"Ed25519","x":"%s"}`, i, j, b64(x[:]))
			}
			if _, err := io.Copy(w, &block); err != nil {
				return
			}
		}
	}
}
