package configs

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// keysOf is a list of so many keys.
func keysOf(n int) []byte {
	b := make([]byte, 16*n)
	for i := range n {
		binary.BigEndian.PutUint32(b[16*i:], uint32(i))
	}
	return b
}

// TestBlocklists holds what becomes of lists of known keys that are larger than any
// other file, change, shrink or are none: always by content.
func TestBlocklists(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	main, list := filepath.Join(dir, "main.yaml"), filepath.Join(dir, "known.dat")
	put := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := "state: { path: x.db }\nendpoints: [{ name: a, issuer: \"https://a.example\" }]\ncompromised: { blocklists: [known.dat] }\n"
	put(main, []byte(text))
	large := keysOf(MaxFile/16 + 1000)
	put(list, large)
	c, err := Load(main)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Compromised.Lists[0]; got.Len() != MaxFile/16+1000 || got.Name != "known.dat" {
		t.Errorf("%d keys of %s", got.Len(), got.Name)
	}
	same := func() bool {
		t.Helper()
		now, err := Fingerprint(main)
		if err != nil {
			t.Fatal(err)
		}
		return now == c.Fingerprint
	}
	if !same() {
		t.Error("another fingerprint of the same content")
	}
	other := slices.Clone(large)
	other[len(other)-1] = 9 // beyond what is read of other files
	put(list, other)
	if same() {
		t.Error("the fingerprint does not cover the end of the list")
	}
	next, err := Load(main)
	if err != nil {
		t.Fatal(err)
	}
	if d := Changes(c, next); !slices.Equal(d.Settings, []string{"compromised"}) || len(d.Shrinks)+len(d.Restart) > 0 {
		t.Errorf("another content: %+v", d)
	}
	put(list, large[:1600])
	fewer, err := Load(main)
	if err != nil {
		t.Fatal(err)
	}
	if d := Changes(c, fewer); len(d.Shrinks) != 1 || !strings.Contains(d.Shrinks[0], "has 100 keys and no longer 263144") {
		t.Errorf("fewer keys: %q", d.Shrinks)
	}
	put(main, []byte(strings.Replace(text, "compromised", "# compromised", 1)))
	none, err := Load(main)
	if err != nil {
		t.Fatal(err)
	}
	if d := Changes(c, none); !slices.Equal(d.Shrinks, []string{"compromised.blocklists loses known.dat"}) {
		t.Errorf("no list: %q", d.Shrinks)
	}
	put(main, []byte(text))
	swapped := append(slices.Clone(large[16:32]), large[:16]...)
	for why, b := range map[string][]byte{"no whole records": large[:17], "record 1 is out of order": swapped, "it is empty": nil} {
		put(list, b)
		if _, err := Load(main); err == nil || !strings.Contains(err.Error(), ":3:29: error: blocklists names a file that cannot be used: ") || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
		if same() {
			t.Errorf("%s: the same fingerprint", why)
		}
	}
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(main); err == nil || !strings.Contains(err.Error(), "no such file") || same() {
		t.Errorf("no file: %v", err)
	}
	// Who only asks where the state is reads no list.
	if path, err := StatePath(main); err != nil || path != filepath.Join(dir, "x.db") {
		t.Errorf("%s (%v)", path, err)
	}
	if sum, err := keyedFile(main); err != nil || !bytes.Equal(sum[:], func() []byte { s := keyed([]byte(text)); return s[:] }()) {
		t.Errorf("a file and its content have other sums (%v)", err)
	}
}
