package lab

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Document is the JSON Web Key Set of the public halves, on one line, each
// entry with its members in the order most issuers print them: kty, use, kid,
// certificate hashes, alg, the numbers, x5c, then the rest by name. Without keys
// it is {"keys":[]}.
func Document(keys ...Key) []byte {
	entries := make([]map[string]any, len(keys))
	for n, k := range keys {
		entries[n] = k.Public()
	}
	return DocumentOf(entries...)
}

// DocumentOf is Document for entries made by hand or by Key.Private. A
// json.RawMessage is printed unchanged, so a document may be made ill-formed on
// purpose. It panics on a value that is no JSON, such as a channel.
func DocumentOf(entries ...map[string]any) []byte {
	var b bytes.Buffer
	b.WriteString(`{"keys":[`)
	for n, e := range entries {
		if n > 0 {
			b.WriteByte(',')
		}
		b.Write(encodeEntry(e))
	}
	b.WriteString("]}")
	return b.Bytes()
}

// encodeEntry prints one entry in the fixed order of members.
func encodeEntry(entry map[string]any) []byte {
	names := make([]string, 0, len(entry))
	for name := range entry {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var b bytes.Buffer
	b.WriteByte('{')
	for n, name := range names {
		if n > 0 {
			b.WriteByte(',')
		}
		b.Write(encodeValue(name))
		b.WriteByte(':')
		b.Write(encodeValue(entry[name]))
	}
	b.WriteByte('}')
	return b.Bytes()
}

// rank is the place of a member in an entry; unknown members come last.
func rank(member string) int {
	order := [...]string{
		"kty", "use", "kid", "x5t", "x5t#S256", "alg", "key_ops", "crv", "x", "y", "n", "e",
		"d", "p", "q", "dp", "dq", "qi", "oth", "k", "x5u", "x5c",
	}
	if n := slices.Index(order[:], member); n >= 0 {
		return n
	}
	return len(order)
}

func encodeValue(v any) []byte {
	// json.Marshal would check, compact and escape it.
	if raw, ok := v.(json.RawMessage); ok {
		return raw
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // issuers print < and & as they are
	if err := enc.Encode(v); err != nil {
		panic("lab: encoding a member: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// beside puts raw entries after those of a document that Document made.
func beside(document []byte, entries ...string) []byte {
	head := bytes.TrimSuffix(document, []byte("]}"))
	var b bytes.Buffer
	b.Write(head)
	for n, e := range entries {
		if n > 0 || !bytes.HasSuffix(head, []byte("[")) {
			b.WriteByte(',')
		}
		b.WriteString(e)
	}
	b.WriteString("]}")
	return b.Bytes()
}
