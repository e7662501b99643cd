package jwks

import (
	"cmp"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realData returns the folder of recorded documents, and skips without it.
func realData(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(cmp.Or(os.Getenv("JWKSWATCH_DATA"), filepath.Join("..", "..", "shared", "data")), "jwks")
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil {
		t.Skip("no recorded documents here; set JWKSWATCH_DATA to their folder")
	}
	return dir
}

// Every recorded set parses, with each of its keys tracked.
func TestRecordedSets(t *testing.T) {
	t.Parallel()
	dir := realData(t)
	raw, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest []struct {
		File string
		Keys *int
		Kind string
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	sets := 0
	for _, m := range manifest {
		body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(m.File)))
		if err != nil {
			t.Fatal(err)
		}
		s := checkParse(t, body)
		if s.HeldSecret {
			t.Errorf("%s: held a secret", m.File)
		}
		if m.Keys == nil {
			continue
		}
		sets++
		if s.Shape != ShapeJWKS || len(s.Keys) != *m.Keys {
			t.Errorf("%s: shape %s, %d keys, want %d", m.File, s.Shape, len(s.Keys), *m.Keys)
			continue
		}
		for _, k := range s.Keys {
			if !k.Decoded() {
				t.Errorf("%s: key %d is not decoded: %q", m.File, k.Index, told(k.Defects))
			}
		}
		if got := Parse(backwards(s)); got.Digest != s.Digest {
			t.Errorf("%s: another order, another digest", m.File)
		}
	}
	if sets < 90 {
		t.Errorf("only %d sets", sets)
	}
}

// What is not a set says what it is.
func TestRecordedOthers(t *testing.T) {
	t.Parallel()
	dir := realData(t)
	for pattern, want := range map[string]Shape{
		"not-jwks/*.json": ShapeNoKeys, "discovery/*.oidc.json": ShapeNoKeys, "spiffe/*no_keys.json": ShapeNoKeys,
	} {
		files, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no files (%v)", pattern, err)
		}
		for _, f := range files {
			body, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if s := Parse(body); s.Shape != want {
				t.Errorf("%s: shape %s, want %s", filepath.Base(f), s.Shape, want)
			}
		}
	}
}

// Consecutive documents of a series, by what each series shows.
func TestRecordedSeries(t *testing.T) {
	t.Parallel()
	dir := realData(t)
	read := func(series, n string) *Set {
		body, err := os.ReadFile(filepath.Join(dir, "series", series, n+".json"))
		if err != nil {
			t.Fatal(err)
		}
		return Parse(body)
	}
	same := 0
	err := filepath.WalkDir(filepath.Join(dir, "series"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "reorder-only") {
			return err
		}
		if d.Name() == "01.json" {
			series := filepath.Base(filepath.Dir(path))
			if read(series, "00").Digest != read(series, "01").Digest {
				t.Errorf("%s: order changes the digest", series)
			}
			same++
		}
		return nil
	})
	if err != nil || same == 0 {
		t.Errorf("no series that only reorders (%v)", err)
	}
	reencoded, _ := filepath.Glob(filepath.Join(dir, "series", "*reencoding*"))
	for _, series := range reencoded {
		a, b := read(filepath.Base(series), "00"), read(filepath.Base(series), "01")
		ids := b.Identities()
		moved := 0
		for _, k := range a.Keys {
			if at := ids[k.ID]; len(at) > 0 && b.Keys[at[0]].Form != k.Form {
				moved++
			}
		}
		if moved == 0 {
			t.Errorf("%s: no key of the same identity and another form", filepath.Base(series))
		}
	}
	if len(reencoded) == 0 {
		t.Error("no series that reencodes")
	}
}
