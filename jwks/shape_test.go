package jwks

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

type shapeCase struct {
	name, body string
	want       Shape
}

// shapes has every kind of body that an endpoint has been seen to serve, and
// those that decoders read in different ways.
func shapes() []shapeCase {
	return []shapeCase{
		{"set", `{"keys":[]}`, ShapeJWKS},
		{"set, spaced", " \r\n\t{ \"keys\" : [ ] } \n", ShapeJWKS},
		{"nothing", "", ShapeEmpty},
		{"white space", " \r\n", ShapeEmpty},
		{"byte order mark", "\xef\xbb\xbf{\"keys\":[]}", ShapeBOM},
		{"UTF-16 with a mark", "\xff\xfe{\x00}\x00", ShapeEncoding},
		{"UTF-16, big-endian, with a mark", "\xfe\xff\x00{\x00}", ShapeEncoding},
		{"UTF-16 without a mark", "{\x00\"\x00k\x00", ShapeEncoding},
		{"UTF-16, big-endian, without a mark", "\x00{\x00\"", ShapeEncoding},
		{"UTF-32", "\x00\x00\xfe\xff\x00\x00\x00{", ShapeEncoding},
		{"gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00", ShapeEncoding},
		{"zstandard", "\x28\xb5\x2f\xfd\x00", ShapeEncoding},
		{"page", "<!DOCTYPE html><html></html>", ShapeHTML},
		{"page after white space", "\n\n<html>", ShapeHTML},
		{"words", "upstream request timeout", ShapeNotJSON},
		{"comment", `{"keys":[] /* none */}`, ShapeNotJSON},
		{"comma too many", `{"keys":[],}`, ShapeNotJSON},
		{"single quotes", `{'keys':[]}`, ShapeNotJSON},
		{"control character in a string", "{\"keys\":[\"\x01\"]}", ShapeNotJSON},
		{"escape that is none", `{"keys":["\x41"]}`, ShapeNotJSON},
		{"number with a leading zero", `{"keys":[01]}`, ShapeNotJSON},
		{"NaN", `{"keys":[NaN]}`, ShapeNotJSON},
		{"cut in a string", `{"keys":[{"kty":"RS`, ShapeTruncated},
		{"cut after a value", `{"keys":[]`, ShapeTruncated},
		{"cut in a literal", `{"keys":nul`, ShapeTruncated},
		{"two values", `{"keys":[]}{"keys":[]}`, ShapeTrailing},
		{"brace too many", `{"keys":[]}}`, ShapeTrailing},
		{"octet of zero behind", "{\"keys\":[]}\x00", ShapeTrailing},
		{"deepest", `{"keys":[` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `]}`, ShapeJWKS},
		{"too deep", `{"keys":[` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `]}`, ShapeTooDeep},
		{"too deep, objects", strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), ShapeTooDeep},
		{"far too deep", strings.Repeat("[", 20000), ShapeTooDeep},
		{"most keys", `{"keys":[1` + strings.Repeat(",1", MaxKeys-1) + `]}`, ShapeJWKS},
		{"too many keys", `{"keys":[1` + strings.Repeat(",1", MaxKeys) + `]}`, ShapeTooMany},
		{"null", "null", ShapeNull},
		{"true", "true", ShapeBoolean},
		{"false", " false", ShapeBoolean},
		{"number", "-1e5", ShapeNumber},
		{"string", `"keys"`, ShapeString},
		{"array", `[{"kty":"RSA"}]`, ShapeArray},
		{"object", `{}`, ShapeNoKeys},
		{"error", `{"error":"server_error"}`, ShapeNoKeys},
		{"bare key", rsaKey(1, "a"), ShapeNoKeys},
		{"keys deeper", `{"data":{"keys":[]}}`, ShapeNoKeys},
		{"map of certificates", `{"a":"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"}`, ShapeNoKeys},
		{"Keys", `{"Keys":[]}`, ShapeKeysCase},
		{"long s", `{"keyſ":[]}`, ShapeKeysCase},
		{"keys with a space", `{"keys ":[]}`, ShapeNoKeys},
		{"keys null", `{"keys":null}`, ShapeKeysNull},
		{"keys object", `{"keys":{"a":{}}}`, ShapeKeysType},
		{"keys string", `{"keys":"a"}`, ShapeKeysType},
		{"keys number", `{"keys":0}`, ShapeKeysType},
		{"keys false", `{"keys":false}`, ShapeKeysType},
		{"keys twice", `{"keys":[{"kty":"RSA"}],"keys":[]}`, ShapeRepeatedKeys},
		{"keys twice, one null", `{"keys":null,"keys":[]}`, ShapeRepeatedKeys},
		{"keys twice, one escaped", `{"keys":[],"\u006beys":[]}`, ShapeRepeatedKeys},
		{"keys and KEYS", `{"keys":[],"KEYS":[]}`, ShapeJWKS},
		{"keys escaped", `{"\u006b\u0065ys":[]}`, ShapeJWKS},
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for _, c := range shapes() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := checkParse(t, []byte(c.body))
			if s.Shape != c.want {
				t.Errorf("shape %s (%s at %d), want %s", s.Shape, s.Reason, s.Offset, c.want)
			}
			if s.Usable() != (c.want == ShapeJWKS) {
				t.Errorf("usable %v", s.Usable())
			}
			if s.HeldSecret {
				t.Error("held a secret")
			}
		})
	}
}

// Every cut of a good document is told from a good document.
func TestTruncatedAtEveryOctet(t *testing.T) {
	t.Parallel()
	body := doc(rsaKey(1, `a\u0041\"`, `"x":[1.5e3,true,{"y":null}]`))
	for i := 1; i < len(body); i++ {
		if s := checkParse(t, body[:i]); s.Shape != ShapeTruncated {
			t.Fatalf("%d octets of %d: shape %s", i, len(body), s.Shape)
		}
	}
}

func TestOffsets(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int64{
		`{"keys":[],}`:          10,
		`{"keys":[]} x`:         11,
		`{"a":1, "keys": null}`: 16,
		`{"keys":[1,2`:          12,
		` <html>`:               1,
	} {
		if s := Parse([]byte(body)); s.Offset != want {
			t.Errorf("%s: offset %d, want %d (%s)", body, s.Offset, want, s.Shape)
		}
	}
}

// A large pretty-printed document and one with the most keys are ordinary.
func TestLarge(t *testing.T) {
	t.Parallel()
	var entries []string
	for i := range MaxKeys {
		entries = append(entries, fmt.Sprintf("\n%64s{\n%64s\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"kid\": \"%d\",\n%300s\"x\": %q\n}", "", "", i, "", b64(octets(uint64(i), 32))))
	}
	s := Parse(doc(entries...))
	if s.Shape != ShapeJWKS || len(s.Keys) != MaxKeys || len(s.Identities()) != MaxKeys {
		t.Fatalf("shape %s, %d keys, %d identities", s.Shape, len(s.Keys), len(s.Identities()))
	}
	compact := make([]string, len(entries))
	for i, e := range entries {
		compact[i] = strings.Join(strings.Fields(e), "")
	}
	if got := Parse(doc(compact...)); got.Digest != s.Digest {
		t.Error("white space changes the digest")
	}
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	a, b := rsaKey(1, "a"), rsaKey(2, "b")
	s := Parse(doc(a, b, rsaKey(1, "c")))
	want := map[Identity][]int{s.Keys[0].ID: {0, 2}, s.Keys[1].ID: {1}}
	if got := s.Identities(); !reflect.DeepEqual(got, want) {
		t.Errorf("identities %v, want %v", got, want)
	}
}
