package jwks

import (
	"fmt"
	"strings"
	"testing"
)

func TestDocumentDefects(t *testing.T) {
	t.Parallel()
	a, b := rsaKey(1, "a"), rsaKey(2, "b")
	bare := func(seed uint64) string { return rsa(b64(octets(seed, 256)), "AQAB") }
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"nothing", string(doc(a, b)), nil},
		{"identical entry", string(doc(a, a)), nil},
		{"one key under two kids", string(doc(a, rsaKey(1, "b"))), nil},
		{"kid of two keys", string(doc(b, a, rsaKey(3, "a"))), []string{"repeated_kid /keys/1"}},
		{"kid of two keys, entries repeated", string(doc(a, a, rsaKey(3, "a"), rsaKey(3, "a"))), []string{"repeated_kid /keys/0"}},
		{"two kids of two keys", string(doc(a, b, rsaKey(3, "a"), rsaKey(4, "b"), rsaKey(5, "b"))), []string{"repeated_kid /keys/0", "repeated_kid /keys/1"}},
		{"twins, sig and enc", string(doc(a, rsaKey(1, "a", `"use":"enc"`))), []string{"repeated_kid_labels /keys/0"}},
		{"twins by alg, third", string(doc(a, a, rsaKey(1, "a", `"alg":"PS256"`))), []string{"repeated_kid_labels /keys/0"}},
		{"twins by key_ops", string(doc(a, rsaKey(1, "a", `"key_ops":[]`))), []string{"repeated_kid_labels /keys/0"}},
		{"twins by another member", string(doc(a, rsaKey(1, "a", `"x5t":"AQ"`))), nil},
		{"both", string(doc(a, rsaKey(2, "a"), rsaKey(2, "a", `"use":"enc"`))), []string{"repeated_kid /keys/0", "repeated_kid_labels /keys/1"}},
		{"no kid, alone", string(doc(bare(1))), nil},
		{"no kid, alone and repeated", string(doc(bare(1), bare(1))), nil},
		{"no kid, repeated with one", string(doc(bare(1), a)), nil},
		{"no kid among several", string(doc(a, bare(2), bare(3))), []string{"missing_kid /keys/1"}},
		{"empty kid among several", string(doc(a, rsaKey(2, ""))), []string{"missing_kid /keys/1"}},
		{"kid null among several", string(doc(a, strings.Replace(b, `"b"`, `null`, 1))), []string{"missing_kid /keys/1"}},
		{"no kid in an entry that is no object", string(doc(a, `null`)), []string{"missing_kid /keys/1"}},
		{"KEYS", `{"KEYS":null,"keys":[]}`, []string{"case_variant /KEYS"}},
		{"member repeated", `{"keys":[],"a":1,"\u0061":2,"a":3}`, []string{"repeated_member /a"}},
		{"member repeated deeper", `{"a":[{"b":1,"b":1}],"keys":[]}`, []string{"repeated_member /a/0/b"}},
		{"ill-formed text", "{\"keys\":[],\"a\":[\"\xff\"],\"\\udc00\":1}", []string{"invalid_utf8 /a/0", "invalid_utf8 /\xed\xb0\x80"}},
		{"in an entry only", string(doc(rsaKey(1, "\xff", `"a":1,"a":1`))), nil},
	} {
		s := checkParse(t, []byte(c.body))
		wantDefects(t, c.name, s.Defects, c.want...)
		for _, d := range s.Defects {
			if d.Text == "" {
				t.Errorf("%s: %s has no text", c.name, d.Code)
			}
			if named := d.Code == RepeatedKid || d.Code == RepeatedKidLabels; named != (d.Kid != "") {
				t.Errorf("%s: %s names the kid %q", c.name, d.Code, d.Kid)
			}
		}
	}
}

func TestRepeatedKidTellsBothPlaces(t *testing.T) {
	t.Parallel()
	s := Parse(doc(rsaKey(9, "x"), rsaKey(1, "secret-kid"), rsaKey(1, "secret-kid"), rsaKey(2, "secret-kid")))
	if len(s.Defects) != 1 {
		t.Fatalf("defects %q", told(s.Defects))
	}
	d := s.Defects[0]
	if d.Kid != "secret-kid" || d.Pointer != "/keys/1" || !strings.Contains(d.Text, "/keys/3") || strings.Contains(d.Text, d.Kid) {
		t.Errorf("defect %+v", d)
	}
}

// Nested defects are bounded; their code, which is what a digest knows, is kept.
func TestDefectsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 300)
	k := one(t, rsaKey(1, "a", fmt.Sprintf(`"a":{%q:{"b":1,"b":1}}`, long), `"c":[`+strings.Repeat(`{"d":1},`, 999)+`0]`))
	if len(k.Defects) != maxNotes+1 || !hasCode(k.Defects, RepeatedMember) {
		t.Fatalf("%d defects: %q", len(k.Defects), told(k.Defects))
	}
	for _, d := range k.Defects {
		if d.Code == RepeatedMember && d.Pointer != "/keys/0/a" {
			t.Errorf("pointer %q, want the nearest ancestor that fits", d.Pointer)
		}
	}
	var entries []string
	for i := range 50 {
		entries = append(entries, rsaKey(uint64(2*i), fmt.Sprint(i)), rsaKey(uint64(2*i+1), fmt.Sprint(i)))
	}
	if s := Parse(doc(entries...)); len(s.Defects) != 50 {
		t.Errorf("%d repeated kids told of 50", len(s.Defects))
	}
}

// Many names in one object are still told apart.
func TestRepeatedAmongMany(t *testing.T) {
	t.Parallel()
	var members []string
	for i := range 200 {
		members = append(members, fmt.Sprintf(`"m%d":1`, i))
	}
	list := strings.Join(members, ",")
	wantDefects(t, "all different", Parse([]byte(`{"keys":[],`+list+`}`)).Defects)
	wantDefects(t, "first and last", Parse([]byte(`{"keys":[],`+list+`,"m0":1,"m199":2}`)).Defects, "repeated_member /m0", "repeated_member /m199")
}
