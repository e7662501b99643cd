package event_test

import (
	"bytes"
	"crypto/sha256"
	"math"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jwkswatch/jwkswatch/event"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"RFC 8785, 3.2.2": {
			`{"numbers": [333333333.33333329, 1E15, 4.50, 2e-3, 0.000000000000000000000000001],
			  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1000000000000000,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		"RFC 8785, 3.2.3: UTF-16 order": {
			`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		},
		"nested":           {` { "b" : [ { "z" : 1 , "a" : [ ] } , { } ] , "a" : "" } `, `{"a":"","b":[{"a":[],"z":1},{}]}`},
		"scalars":          {" true\n", "true"},
		"escapes":          {`"\b\f\n\r\t\u0001\u001f\u007f\u2028<>&"`, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\u007f\u2028<>&\""},
		"empty name":       {`{"":1,"a":2}`, `{"":1,"a":2}`},
		"zeros":            {`[0,-0,0.0,-0e5,0E400]`, `[0,0,0,0,0]`},
		"exact integers":   {`[9007199254740991,-9007199254740991,1e2]`, `[9007199254740991,-9007199254740991,100]`},
		"small":            {`[0.000001,0.0000001,-1.5e-7,5e-324,1e-10]`, `[0.000001,1e-7,-1.5e-7,5e-324,1e-10]`},
		"no normalisation": {"[\"e\u0301\",\"é\"]", "[\"e\u0301\",\"é\"]"},
	} {
		got, err := event.Canonical([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, c.want)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"nothing":             "",
		"syntax":              `{"a":1,}`,
		"two values":          `1 2`,
		"control in a string": "\"\n\"",
		"invalid UTF-8":       "\"secret\xff\"",
		"byte order mark":     "\ufeff1",
		"repeated name":       `{"secret":1,"b":2,"secret":3}`,
		"repeated by escape":  `{"secret":1,"\u0073ecret":2}`,
		"repeated below":      `[{"a":{"secret":1,"secret":1}}]`,
		"lone high surrogate": `"secret\ud800"`,
		"lone low surrogate":  `"secret\udc00"`,
		"high, then a letter": `"\ud800\u0041"`,
		"high and high":       `"\ud800\ud800"`,
		"surrogate in a name": `{"\ud800":1}`,
		"2^53":                `9007199254740992`,
		"-2^53":               `-9007199254740992`,
		"2^53 as a float":     `9.007199254740992e15`,
		"huge":                `1e400`,
		"next to nothing":     `[1e-400]`,
		"too deep":            strings.Repeat("[", 20000) + strings.Repeat("]", 20000),
	} {
		got, err := event.Canonical([]byte(in))
		if err == nil {
			t.Errorf("%s: no error, but %.60s", name, got)
			continue
		}
		if msg := err.Error(); strings.Contains(msg, "secret") || len(msg) > 200 {
			t.Errorf("%s: the error quotes its input: %s", name, msg)
		}
		if _, err := event.Hash([]byte(in)); err == nil {
			t.Errorf("%s: Hash has no error", name)
		}
	}
}

// canonicalElsewhere is the same by a library of its own.
func canonicalElsewhere(in []byte) ([]byte, error) {
	v := jsontext.Value(bytes.Clone(in))
	err := v.Canonicalize()
	return v, err
}

func TestHashOfGoldens(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		encoded := encode(t, &s.event)
		want, err := canonicalElsewhere(encoded)
		if err != nil {
			t.Fatal(err)
		}
		got, err := event.Canonical(encoded)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\n got %s\nwant %s", s.name, err, got, want)
		}
		sum, err := event.Hash(encoded)
		if err != nil || sum != sha256.Sum256(want) {
			t.Errorf("%s: hash %x, %v", s.name, sum, err)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		`{"b":[1,2.5e-8,-0],"a":"\u20ac\ud83d\ude00\n"}`, `{"a":1,"a":2}`, `"\ud800"`, `9007199254740993`, ` [ ] `, "\"\xff\"", `1e-7`,
	} {
		f.Add([]byte(s))
	}
	for _, s := range samples()[:2] {
		f.Add(encode(f, &s.event))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		kept := bytes.Clone(in)
		got, err := event.Canonical(in)
		if !bytes.Equal(in, kept) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			return
		}
		want, err := canonicalElsewhere(in)
		if err != nil {
			t.Fatalf("only we accept %+q: %v", in, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%+q:\n got %s\nwant %s", in, got, want)
		}
		again, err := event.Canonical(got)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("not idempotent: %s, then %s, %v", got, again, err)
		}
	})
}

// Numbers in every range are written as the library writes them.
func TestCanonicalNumbers(t *testing.T) {
	t.Parallel()
	for e := -330; e <= 15; e++ {
		for _, m := range []float64{1, 1.5, 3.0000000000000004, 9.999999999999999} {
			v := m * math.Pow10(e)
			if v == 0 {
				continue
			}
			in, err := canonicalElsewhere([]byte(jsontext.Float(v).String()))
			if err != nil {
				t.Fatal(err)
			}
			got, err := event.Canonical(in)
			if v > 1<<53-1 {
				if err == nil {
					t.Errorf("%s is accepted", in)
				}
				continue
			}
			if err != nil || !bytes.Equal(got, in) {
				t.Errorf("%s is written %s, %v", in, got, err)
			}
		}
	}
}
