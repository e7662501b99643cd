package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// good parses a configuration that must be accepted.
func good(t *testing.T, src string) *Config {
	t.Helper()
	c, err := Parse("good.yaml", []byte(src), world())
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	return c
}

func TestGoodFilesHaveTheirEffect(t *testing.T) {
	t.Parallel()
	for file, golden := range corpora(t, "good", 6) {
		files := corpus(t, file)
		c, err := Parse(mainName(file), []byte(files["main.yaml"]), worldOf(files))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		got := bytes.NewBuffer(c.Effective())
		if err := c.PrintWarnings(got); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got.String(), "hunter2") {
			t.Errorf("%s: a secret is shown:\n%s", file, got)
		}
		compare(t, golden, got.Bytes())
	}
}

func TestMinimalIsFilledWithDefaults(t *testing.T) {
	t.Parallel()
	src, ok := Example("minimal")
	if !ok {
		t.Fatal("there is no minimal example")
	}
	got := good(t, string(src))
	if got.Digest == [32]byte{} {
		t.Error("no digest")
	}
	if got.Fingerprint == [32]byte{} || len(got.Files) != 1 || got.Files[0].Path != "conf/good.yaml" {
		t.Errorf("files: %+v", got.Files)
	}
	got.Digest, got.Fingerprint, got.Files, got.origins = [32]byte{}, [32]byte{}, nil, nil
	want := &Config{
		State: State{Path: "/var/lib/jwkswatch/jwkswatch.db", Retain: 400 * 24 * time.Hour, Backup: Backup{Every: 24 * time.Hour, Keep: 3}},
		Poll:  Poll{Interval: time.Minute, Timeout: 15 * time.Second, MaxBody: 4 << 20, MaxEvents: 60},
		Endpoints: []Endpoint{{
			Name: "corp-idp", JWKSURI: "https://login.corp.example/.well-known/jwks.json", Tier: "standard", Redirects: "none", Addresses: "any",
			Poll:  Poll{Interval: time.Minute, Timeout: 15 * time.Second, MaxBody: 4 << 20, MaxEvents: 60},
			Learn: "on",
		}},
		Sinks:    []Sink{{Name: "stdout", Type: TypeLog, From: FromNow, Format: "cloudevents", MinSeverity: "informational", MaxBacklog: 1_000_000}},
		Rules:    Rules{Builtin: true, Set: &custom.Set{}},
		Observer: Observer{Name: "jwkswatch", Heartbeat: time.Minute},
		Evidence: Evidence{Every: 5 * time.Minute},
		Drill:    Drill{Scenario: "key-mutated"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The full example shows every key that is built, and is accepted without a
// warning.
func TestFullExampleShowsEveryKey(t *testing.T) {
	t.Parallel()
	src, ok := Example("full")
	if !ok {
		t.Fatal("there is no full example")
	}
	c := good(t, string(src))
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %v", c.Warnings)
	}
	walk(c.fields(nil), "", func(path string, f *field) {
		if f.built() && !strings.Contains(string(src), f.key+":") && !strings.Contains(string(src), f.key+",") {
			t.Errorf("examples/full.yaml does not show %s", path)
		}
		if !f.built() && strings.Contains(string(src), "\n"+f.key+":") {
			t.Errorf("examples/full.yaml shows %s, which is not built", path)
		}
	})
	if _, ok := Example("nothing"); ok {
		t.Error("an example that does not exist was found")
	}
	siem := c.Sinks[1]
	if siem.From != FromBeginning || siem.NATS.Manage != "verify" || siem.NATS.CredentialsFile != "conf/nats.creds" || siem.NATS.TLS.CAFile != "conf/nats-ca.pem" {
		t.Errorf("siem: %+v %+v", siem, *siem.NATS)
	}
	if partner := c.Endpoints[1]; partner.Interval != 5*time.Minute || partner.MaxBody != 512<<10 || partner.Headers["Authorization"].Reveal() != "Bearer none" {
		t.Errorf("partner-keys: %+v", partner)
	}
}

func TestExpansionGivesTheTextItself(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("testdata/good/expansion.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := good(t, string(src))
	e := c.Endpoints[0]
	for name, want := range map[string]string{
		"Authorization": "Bearer " + canary,
		"X-Absolute":    canary,
		"X-Both":        canary + "-" + canary,
		"X-Full":        strings.Repeat("y", MaxExpansion),
	} {
		if got := e.Headers[name].Reveal(); got != want {
			t.Errorf("%s: %d octets, want %d", name, len(got), len(want))
		}
	}
	// YAML in a variable is text, and an expansion in it stays as it is.
	if e.Group != "x, tier: low" || e.Tier != "critical" || e.Labels["d"] != "${env:CANARY}" || e.Labels["b"] != "a:-b" {
		t.Errorf("%+v", e)
	}
	if c.Poll.Interval != 5*time.Minute || c.Poll.Timeout != 20*time.Second || !e.AllowPrivate {
		t.Errorf("%+v", c.Poll)
	}
	if want := "https://a.example/jwks?price=$5&x=$$"; e.JWKSURI != want {
		t.Errorf("jwks_uri is %s, want %s", e.JWKSURI, want)
	}
}

func TestLoadReadsFromDisk(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("token", canary+"\n")
	path := write("jwkswatch.yaml", "state: { path: data/x.db }\nendpoints:\n  - { name: a, jwks_uri: \"https://${env:JWKSWATCH_TEST_HOST}/\", headers: { Authorization: \"${file:token}\" } }\n")
	t.Setenv("JWKSWATCH_TEST_HOST", "a.example")
	t.Chdir(dir)
	for _, name := range []string{path, "jwkswatch.yaml", "./jwkswatch.yaml"} {
		c, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.State.Path != filepath.Join(dir, "data/x.db") || c.Endpoints[0].Headers["Authorization"].Reveal() != canary || c.Endpoints[0].JWKSURI != "https://a.example/" {
			t.Errorf("%s: %+v", name, c)
		}
	}

	if _, err := Load(filepath.Join(dir, "absent.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a directory was read")
	}
	large := write("large.yaml", strings.Repeat("#", MaxFile)+"\n")
	_, err := Load(large)
	if problems, ok := errors.AsType[Errors](err); !ok || !strings.Contains(problems[0].Message, "larger than 4MiB") {
		t.Errorf("a file over the cap: %v", err)
	}
	write("long", strings.Repeat("x", MaxExpansion+1))
	_, err = Load(write("long.yaml", "observer: { vantage: \"${file:long}\" }\n"))
	if err == nil || !strings.Contains(err.Error(), "longer than 64KiB") {
		t.Errorf("an expansion over the cap: %v", err)
	}
}

// What the digest covers, and what it does not depend on.
func TestDigest(t *testing.T) {
	t.Parallel()
	const base = "endpoints:\n  - { name: a, jwks_uri: \"https://a.example/\", headers: { A: one } }\n  - { name: b, jwks_uri: \"https://b.example/\" }\n"
	want := good(t, base).Digest
	for what, src := range map[string]string{
		"a comment":            "# x\n" + base,
		"a written default":    "poll: { interval: 60s }\n" + base,
		"the value of secrets": strings.Replace(base, "one", "two", 1),
		"the case of headers":  strings.Replace(base, "{ A:", "{ a:", 1),
		"order":                "endpoints:\n  - { jwks_uri: \"https://b.example/\", name: b }\n  - { name: a, jwks_uri: \"https://a.example/\", headers: { A: one } }\n",
	} {
		if good(t, src).Digest != want {
			t.Errorf("the digest depends on %s", what)
		}
	}
	for what, src := range map[string]string{
		"a URL":                 strings.Replace(base, "https://b", "https://c", 1),
		"a default of poll":     "poll: { interval: 61s }\n" + base,
		"which secrets are set": strings.Replace(base, "A: one", "A: one, B: one", 1),
		"a policy":              strings.Replace(base, "name: b,", "name: b, allow_private: true,", 1),
		"a sink":                base + "sinks: [{ name: out, type: log }]\n",
		"the observer":          base + "observer: { vantage: x }\n",
		"the heartbeat":         base + "observer: { heartbeat: off }\n",
		"the listener":          base + "web: {}\n",
		"a default proxy":       base + "poll: { proxy: \"http://p:80\" }\n",
		"discovery":             strings.Replace(base, "jwks_uri", "issuer", 1),
		"redirects":             strings.Replace(base, "name: b,", "name: b, redirects: same-host,", 1),
		"pins":                  strings.Replace(base, "name: b,", "name: b, tls: { pins: [\"${env:PIN}\"] },", 1),
		"authorities":           strings.Replace(base, "name: b,", "name: b, tls: { ca_file: ca.pem },", 1),
	} {
		if good(t, src).Digest == want {
			t.Errorf("the digest does not cover %s", what)
		}
	}
}

// A certificate counts by its content, not by the text around it; a key and a
// token count as being set.
func TestDigestOfFiles(t *testing.T) {
	t.Parallel()
	const src = "endpoints: [{ name: a, issuer: \"https://a.example\", tls: { ca_file: ca.pem } }]\nweb: { token_file: token }\n"
	digest := func(files map[string]string) [32]byte {
		c, err := Parse("x.yaml", []byte(src), worldOf(files))
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest
	}
	want := digest(nil)
	if digest(map[string]string{"token": "another-0123456789"}) != want || digest(map[string]string{"ca.pem": "a comment\n" + pems()["ca.pem"]}) != want {
		t.Error("the digest depends on a token, or on the text around a certificate")
	}
	if digest(map[string]string{"ca.pem": "@client.pem"}) == want {
		t.Error("the digest does not cover a certificate")
	}
}

// Each default is written as the file would write it, and accepted.
func TestDefaultsAreAccepted(t *testing.T) {
	t.Parallel()
	walk(new(Config).fields(&decoder{}), "", func(path string, f *field) {
		if f.def == "" {
			return
		}
		if r := f.one.set(f.def); r != nil {
			t.Errorf("%s: the default %s %s", path, f.def, r.what)
		}
		if shown := strings.Trim(f.one.show(), `"`); shown != f.def {
			t.Errorf("%s: the default %s is shown as %s", path, f.def, shown)
		}
	})
}

// Each key is described: a hint where there is no value to take, a sentence
// where there is one.
func TestCatalogueIsComplete(t *testing.T) {
	t.Parallel()
	walk(new(Config).fields(nil), "", func(path string, f *field) {
		switch {
		case !f.built() && f.hint == "":
			t.Errorf("%s is not built and has no hint", path)
		case f.built() && f.doc == "":
			t.Errorf("%s has no description", path)
		case f.required && (f.hint == "" || f.def != ""):
			t.Errorf("%s is required without a hint, or with a default", path)
		}
	})
}

func TestManyProblemsAreCapped(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 5 * maxProblems {
		fmt.Fprintf(&b, "key_%d: 1\n", i)
	}
	_, err := Parse("x", []byte(b.String()), world())
	problems, _ := errors.AsType[Errors](err)
	if len(problems) != maxProblems+1 {
		t.Fatalf("%d problems, want %d and the one that says so", len(problems), maxProblems)
	}
	if last := problems[maxProblems]; !strings.Contains(last.Message, "there may be more") {
		t.Errorf("the last problem is %q", last.Message)
	}
}

// Error is for one who has no source at hand: a line for each problem, the
// hint indented below it, nothing else.
func TestErrorText(t *testing.T) {
	t.Parallel()
	_, err := Parse("etc/x.yaml", []byte("pol: {}\nendpoints: []\n"), Options{})
	const want = "etc/x.yaml:1:1: error: unknown key \"pol\" in the configuration\n    hint: did you mean \"poll\"?\n" +
		"etc/x.yaml:2:12: error: endpoints is empty\n    hint: "
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("got\n%v\nwant\n%s…", err, want)
	}
}
