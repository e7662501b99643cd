package jwks

import (
	"bytes"
	"reflect"
	"testing"
)

// checkParse holds what Parse promises for any octets.
func checkParse(t *testing.T, body []byte) *Set {
	t.Helper()
	before := bytes.Clone(body)
	s := Parse(body)
	if !bytes.Equal(body, before) {
		t.Fatal("Parse wrote to the body")
	}
	if s.Shape == "" {
		t.Fatal("no shape")
	}
	if (s.Shape == ShapeJWKS) != (s.Reason == "") {
		t.Fatalf("shape %s with reason %q", s.Shape, s.Reason)
	}
	if s.Shape != ShapeJWKS && (s.Keys != nil || s.Digest != [32]byte{}) {
		t.Fatalf("shape %s with %d keys and digest %x", s.Shape, len(s.Keys), s.Digest)
	}
	if s.Offset < 0 || s.Offset > int64(len(body)) {
		t.Fatalf("offset %d of %d octets", s.Offset, len(body))
	}
	for i, k := range s.Keys {
		if k.Index != i {
			t.Fatalf("key %d has index %d", i, k.Index)
		}
		for _, text := range append([]string{k.Kid, k.Kty, k.Crv, k.Alg, k.Use}, k.Ops...) {
			if len(text) > MaxText {
				t.Fatalf("text of %d octets in key %d", len(text), i)
			}
		}
		if k.Decoded() == (k.Form == [32]byte{}) {
			t.Fatalf("key %d: decoded %v, form %x", i, k.Decoded(), k.Form)
		}
		for _, d := range k.Defects {
			if len(d.Pointer) > maxPointer {
				t.Fatalf("pointer of %d octets in key %d", len(d.Pointer), i)
			}
		}
	}
	if s.Body == nil {
		return s
	}
	if bytes.Contains(s.Body, []byte("PRIVATE KEY-----")) || bytes.Contains(s.Body, []byte("PRIVATE KEY BLOCK-----")) {
		t.Fatal("the body holds a private key as text")
	}
	decoded := 0
	for _, k := range s.Keys {
		if k.Decoded() {
			decoded++
		}
	}
	for i := range s.Publics() {
		if decoded--; !s.Keys[i].Decoded() {
			t.Fatalf("key %d was not decoded and has public material", i)
		}
	}
	if decoded != 0 {
		t.Fatalf("%d decoded keys have no public material", decoded)
	}
	again := Parse(s.Body)
	if !bytes.Equal(again.Body, s.Body) {
		t.Fatalf("redacted twice: %q, once %q", again.Body, s.Body)
	}
	if again.Shape != s.Shape || again.HeldSecret != s.HeldSecret || again.Digest != s.Digest ||
		!reflect.DeepEqual(again.Keys, s.Keys) || !reflect.DeepEqual(again.Defects, s.Defects) {
		t.Fatalf("parsed again: %+v, first %+v", again, s)
	}
	return s
}

// backwards returns the document with the entries of keys in the opposite
// order.
func backwards(s *Set) []byte {
	w := newWalker(s.Body)
	w.at = skipSpace(w.in, 0)
	var out []byte
	w.object(func(name []byte) {
		start := w.at
		w.skip()
		if string(name) != "keys" {
			return
		}
		end := w.at
		out = append(append(out, w.in[:start]...), '[')
		var parts [][]byte
		for e := range elements(w.in[start:end]) {
			parts = append(parts, e)
		}
		for i := len(parts) - 1; i >= 0; i-- {
			out = append(out, parts[i]...)
			if i > 0 {
				out = append(out, ',')
			}
		}
		out = append(append(out, ']'), w.in[end:]...)
	})
	return out
}

func FuzzParse(f *testing.F) {
	for _, c := range shapes() {
		f.Add([]byte(c.body))
	}
	for _, c := range entries() {
		f.Add(doc(c.entry, rsaKey(3, "good")))
	}
	for _, c := range leaks() {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := checkParse(t, body)
		if !s.Usable() {
			return
		}
		if got := Parse(backwards(s)); got.Digest != s.Digest {
			t.Fatalf("another order has another digest: %q", s.Body)
		}
		if len(body) < 4<<10 {
			s.Oracle()
		}
	})
}

// FuzzSecret puts a canary where a hostile issuer could put a secret.
func FuzzSecret(f *testing.F) {
	f.Add("d", `"kty":"RSA"`, uint8(0))
	f.Add("k", `"kty":"oct","x":["y",{"z":"\ud800"}]`, uint8(1))
	f.Add("\u212a", `"a":{"b":[1,2,{"c":null}]}`, uint8(2))
	f.Add("Priv", `"d":"","d":[]`, uint8(3))
	f.Fuzz(func(t *testing.T, name, rest string, how uint8) {
		if _, ok := privateName([]byte(name)); !ok {
			name = "d"
		}
		const secret = "CANARY0123456789"
		value := [...]string{`"` + secret + `"`, `["` + secret + `"]`, `{"a":"` + secret + `"}`, `[[],"` + secret + `"]`}[how%4]
		entry := `{"` + name + `":` + value + `,` + rest + `}`
		for _, body := range []string{entry, string(doc(entry)), `{"error":` + entry + `}`, `[` + entry + `]`} {
			s := checkParse(t, []byte(body))
			if !s.HeldSecret {
				t.Fatalf("%q: no secret was held", body)
			}
			wantNoTrace(t, s, secret)
		}
	})
}
