package jwks

import (
	"bytes"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// For every valid text without repeated names the canonical form is that of
// RFC 8785, as another implementation writes it.
func TestCanonicalIsRFC8785(t *testing.T) {
	t.Parallel()
	texts := []string{
		`{}`, `[]`, ` { "b" : [ 1 , true , null ] , "a" : { } } `, `"\u0041\/\u000a\u001f\"\\\u2028\u007f"`, `"\ud83d\ude00"`,
		`{"\ud83d\ude00":1,"\ufb33":2,"\u20ac":3,"\r":4,"1":5,"\u0080":6,"ö":7,"</script>":8}`, // RFC 8785 section 3.2.3
		`[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]`,                    // section 3.2.2.3
		`[0,-0,-0.0,0e9,1e21,1e20,123456789012345678901,9007199254740993,1e-7,1e-6,5e-324,1e-400,1.7976931348623157e308,1e400,-1e400]`,
		`{"a":{"d":1,"c":{"f":1,"e":2}},"":0,"aa":1,"A":[{"z":1,"y":2}]}`,
	}
	for _, c := range entries() {
		texts = append(texts, c.entry)
	}
	compared := 0
	for _, text := range texts {
		want := jsontext.Value(text)
		if want.Canonicalize() != nil {
			continue // what RFC 8785 does not define
		}
		compared++
		if got := canonical([]byte(text)); !bytes.Equal(got, want) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if compared < 80 {
		t.Errorf("only %d texts compared", compared)
	}
}

// Beyond RFC 8785 the form is still one for each meaning and blind to order.
func TestCanonicalIsTotal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"b":1,"a":2,"b":0}`:           `{"a":2,"b":1,"b":0}`,
		"{\"\xff\":1,\"\xfe\":2}":       "{\"\xfe\":2,\"\xff\":1}",
		"{\"\xff\":1,\"\U0010ffff\":2}": "{\"\U0010ffff\":2,\"\xff\":1}",
		`{"\ue000":1,"\ud800":2}`:       "{\"\xed\xa0\x80\":2,\"\ue000\":1}",
		`"\ud800\n"`:                    "\"\xed\xa0\x80\\n\"",
	} {
		got := canonical([]byte(text))
		if string(got) != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if again := canonical(got); !bytes.Equal(again, got) {
			t.Errorf("%s: written again %q", text, again)
		}
	}
}

func TestNamesHaveOneOrder(t *testing.T) {
	t.Parallel()
	names := [][]byte{
		{},
		[]byte("a"), []byte("ab"), []byte("é"), []byte("\U0001f600"), []byte("\U0001f600a"), []byte("\ufb33"), []byte("\ufffd"),
		[]byte("\xff"), []byte("\xfe"), []byte("\xed\xa0\x80"), []byte("\xed\xa0\xbd\xed\xb8\x80"), []byte("\xed\xa0"), []byte("a\xff"), []byte("a\ufffd"),
	}
	for _, a := range names {
		for _, b := range names {
			if c := compareNames(a, b); c != -compareNames(b, a) || (c == 0) != bytes.Equal(a, b) {
				t.Errorf("%q and %q: %d and %d", a, b, c, compareNames(b, a))
			}
			for _, c := range names {
				if compareNames(a, b) < 0 && compareNames(b, c) < 0 && compareNames(a, c) >= 0 {
					t.Errorf("%q < %q < %q is no order", a, b, c)
				}
			}
		}
	}
	backwards := slices.Clone(names)
	slices.Reverse(backwards)
	slices.SortFunc(names, compareNames)
	slices.SortFunc(backwards, compareNames)
	if !slices.EqualFunc(names, backwards, bytes.Equal) {
		t.Errorf("sorted %q and %q", names, backwards)
	}
}
