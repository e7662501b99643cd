package configs

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// disk writes files into a new directory and returns how to change one.
func disk(t *testing.T, files map[string]string) (dir string, write func(name, text string)) {
	t.Helper()
	dir = t.TempDir()
	write = func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		write(name, text)
	}
	return dir, write
}

// dependent is a configuration that depends on every kind of file.
func dependent() map[string]string {
	return map[string]string{
		"main.yaml":     "include: [one.yaml, 'more.d/*.yaml']\nweb: { token_file: token }\n",
		"one.yaml":      "endpoints:\n  - { name: a, issuer: 'https://a.example', headers: { A: \"${file:secret}\" }, tls: { ca_file: ca.pem, cert_file: client.pem, key_file: client.key } }\n",
		"more.d/b.yaml": "endpoints: [{ name: b, issuer: 'https://b.example' }]\n",
		"secret":        canary, "token": webToken, "ca.pem": pems()["ca.pem"], "client.pem": pems()["client.pem"], "client.key": pems()["client.key"],
		"beside.yaml": "not: included\n",
	}
}

func fingerprint(t *testing.T, path string) [32]byte {
	t.Helper()
	sum, err := Fingerprint(path)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestFilesListWhatTheResultDependsOn(t *testing.T) {
	t.Parallel()
	dir, _ := disk(t, dependent())
	c, err := Load(filepath.Join(dir, "main.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range c.Files {
		name, err := filepath.Rel(dir, f.Path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	want := []string{"main.yaml", "ca.pem", "client.key", "client.pem", "more.d/b.yaml", "one.yaml", "secret", "token"}
	if !slices.Equal(got, want) {
		t.Errorf("files: %v, want %v", got, want)
	}
	if c.Fingerprint != fingerprint(t, filepath.Join(dir, "main.yaml")) {
		t.Error("what was loaded has another fingerprint than what lies there")
	}
}

func TestFingerprintChangesWithEachFile(t *testing.T) {
	t.Parallel()
	dir, write := disk(t, dependent())
	main := filepath.Join(dir, "main.yaml")
	first := fingerprint(t, main)
	if fingerprint(t, main) != first {
		t.Fatal("it is not the same twice")
	}
	for name, text := range dependent() {
		write(name, text+"\n")
		if same := fingerprint(t, main) == first; same != (name == "beside.yaml") {
			t.Errorf("after a change of %s it is the same: %v", name, same)
		}
		write(name, text)
		if fingerprint(t, main) != first {
			t.Errorf("after %s was put back it is not the same", name)
		}
		if name == "main.yaml" {
			continue
		}
		// A configuration that does not load any more, and then does again.
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if same := fingerprint(t, main) == first; same != (name == "beside.yaml") {
			t.Errorf("without %s it is the same: %v", name, same)
		}
		write(name, text)
	}
	write("more.d/c.yaml", "")
	if fingerprint(t, main) == first {
		t.Error("a new file that matches a pattern changes nothing")
	}
}

func TestFingerprintOfABrokenFile(t *testing.T) {
	t.Parallel()
	files := dependent()
	files["main.yaml"] = "pol: {}\n" + files["main.yaml"]
	dir, write := disk(t, files)
	main := filepath.Join(dir, "main.yaml")
	first := fingerprint(t, main)
	write("secret", "another")
	if fingerprint(t, main) == first {
		t.Error("with an unknown key, the other files no longer count")
	}
	write("main.yaml", "a: [")
	broken := fingerprint(t, main)
	write("main.yaml", "a: {")
	if fingerprint(t, main) == broken {
		t.Error("what is no YAML has always the same fingerprint")
	}
	if _, err := Fingerprint(filepath.Join(dir, "absent.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}

// The sum of a short secret must not be one that anybody can compute.
func TestSumsAreKeyed(t *testing.T) {
	t.Parallel()
	c, err := Parse("x.yaml", []byte(before), world())
	if err != nil {
		t.Fatal(err)
	}
	plain := map[string]string{}
	maps.Copy(plain, dependent())
	plain["conf/secret"] = canary + "\r\n"
	for _, f := range c.Files {
		for _, text := range plain {
			if f.Sum == sha(text) {
				t.Errorf("the sum of %s is a plain SHA-256", f.Path)
			}
		}
	}
}

func TestOrderOfIncludesNeverMatters(t *testing.T) {
	t.Parallel()
	files := corpus(t, "testdata/good/include.txtar")
	first, err := Parse("main.yaml", []byte(files["main.yaml"]), worldOf(files))
	if err != nil {
		t.Fatal(err)
	}
	const list = `"*.yaml", endpoints.d/b.yaml, "endpoints.d/*.yaml", nothing.d/*.yaml, "/abs/[a-z].yaml"`
	words := strings.Split(list, ", ")
	slices.Reverse(words)
	turned := strings.Replace(files["main.yaml"], list, strings.Join(words, ", "), 1)
	if turned == files["main.yaml"] {
		t.Fatal("the list is not there")
	}
	next, err := Parse("main.yaml", []byte(turned), worldOf(files))
	if err != nil {
		t.Fatal(err)
	}
	var names [2][]string
	for i, c := range []*Config{first, next} {
		for _, e := range c.Endpoints {
			names[i] = append(names[i], e.Name)
		}
	}
	if first.Digest != next.Digest || !slices.Equal(names[0], names[1]) {
		t.Errorf("%v and %v", names[0], names[1])
	}
	if d := Changes(first, next); !d.Empty() {
		t.Errorf("%+v", d)
	}
}

func TestStatePath(t *testing.T) {
	t.Parallel()
	dir, write := disk(t, nil)
	main := filepath.Join(dir, "main.yaml")
	for src, want := range map[string]string{
		"state: { path: x.db }\nendpoints: [{ nmae: a }]\n": filepath.Join(dir, "x.db"),
		"pol: {}\n": "/var/lib/jwkswatch/jwkswatch.db",
		"state: { path: \"${env:JWKSWATCH_NOT}\" }\n": "",
		"state: { path: \"\" }\n":                     "",
		"a: [":                                        "",
	} {
		write("main.yaml", src)
		got, err := StatePath(main)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", src, got, err, want)
		}
	}
	if _, err := StatePath(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}

// The start file loads as it is, and so does all that it shows.
func TestInitLoads(t *testing.T) {
	t.Parallel()
	c := good(t, string(Init()))
	if len(c.Warnings) > 0 || len(c.Endpoints) != 1 || !strings.HasSuffix(c.Endpoints[0].Issuer, ".invalid") {
		t.Errorf("%+v", c)
	}
	if err := valid(t, Init()); err != nil {
		t.Error(err)
	}
	// Without what excludes another key.
	without := []string{"#jwks_uri:", "#nkey_file:", "#user:", "#password_file:", "#dated:"}
	var all bytes.Buffer
	inSinks := false
	for line := range strings.Lines(string(Init())) {
		text := strings.TrimSpace(line)
		inSinks = inSinks && !strings.HasPrefix(text, "#web:") || strings.HasPrefix(text, "#sinks:")
		excluded := slices.ContainsFunc(without, func(key string) bool { return strings.HasPrefix(text, key) })
		switch {
		case excluded, inSinks && strings.HasPrefix(text, "#token_file:"):
		case strings.HasPrefix(text, "#") && !strings.HasPrefix(text, "# ") && text != "#":
			all.WriteString(strings.Replace(line, "#", "", 1))
		default:
			all.WriteString(line)
		}
	}
	files := map[string]string{
		"example-ca.pem": "@ca.pem", "example-client.pem": "@client.pem", "example-client.key": "@client.key",
		"web.pem": "@client.pem", "web.key": "@client.key", "web.token": webToken,
		"rules.d/x.yaml": "version: 1\nrules: []\n", "approvals.d/x.yaml": "version: 1\napprovals: []\n", "endpoints.d/x.yaml": "endpoints: [{ name: other, issuer: https://b.example }]\n",
	}
	c, err := Parse("x.yaml", all.Bytes(), worldOf(files))
	if err != nil || len(c.Warnings) > 0 {
		t.Fatalf("%v\n%s", err, &all)
	}
	walk(c.fields(nil), "", func(path string, f *field) {
		if f.built() && (f.only == "" || f.only == TypeNATS) && !strings.Contains(string(Init()), f.key+":") {
			t.Errorf("the start file does not show %s", path)
		}
	})
	if got := slices.Sorted(maps.Keys(c.origins)); len(got) < 40 {
		t.Errorf("only %d keys were given: %v", len(got), got)
	}
	for line := range strings.Lines(string(Init())) {
		if len(line) > 100 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
}
