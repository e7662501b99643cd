package configs

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maker writes documents out of the catalogue: mostly good ones, with a fault
// here and there. What a schema cannot know is left out: repeated names, other
// files, and what variables hold.
type maker struct {
	*rand.Rand
	names int
}

func (m *maker) one(list ...string) string { return list[m.IntN(len(list))] }

func (m *maker) chance(percent int) bool { return m.IntN(100) < percent }

func (m *maker) document() string {
	var parts []string
	for _, f := range new(Config).fields(&decoder{}) {
		if f.key == "include" || f.key != "endpoints" && m.chance(50) || !f.built() && m.chance(98) || m.chance(1) {
			continue
		}
		parts = append(parts, f.key+": "+m.value(&f))
	}
	if m.chance(2) {
		parts = append(parts, "unknown: 1")
	}
	return "{" + strings.Join(parts, ", ") + "}\n"
}

func (m *maker) value(f *field) string {
	// Whether a file is there is the loader's alone to say.
	if m.chance(1) && !strings.HasSuffix(f.key, "_file") {
		return m.one("null", "[]", "{}", "[a]", "{a: b}", "12", `""`, "true")
	}
	switch {
	case f.section != nil:
		return m.mapping(f.key, f.section)
	case f.list != nil && f.list.keyed:
		return "{" + m.one("iam", "a_b", "0") + ": " + m.mapping(f.key, f.list.element) + ", " + m.one("x1", "y-2") + ": " + m.mapping(f.key, f.list.element) + "}"
	case f.list != nil:
		return m.listOf(1+m.IntN(2), func() string { return m.mapping(f.key, f.list.element) })
	case f.table != nil:
		return m.table(f)
	case f.texts != nil:
		return m.listOf(1, func() string { return m.scalar(f) })
	case f.one != nil:
		return m.scalar(f)
	}
	return m.one("x", "{}", "each") // not built
}

func (m *maker) listOf(n int, one func() string) string {
	var parts []string
	for range n {
		parts = append(parts, one())
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func (m *maker) mapping(key string, fields []field) string {
	want := map[string]bool{}
	for i := range fields {
		f := &fields[i]
		want[f.key] = f.built() && (f.required && m.chance(98) || m.chance(15)) || !f.built() && m.chance(1)
	}
	m.relate(key, want, fields)
	typ := m.one(sinkTypes()...)
	given := map[string]bool{}
	var parts []string
	for i := range fields {
		f := &fields[i]
		switch {
		case !want[f.key], given[f.key], f.only != "" && f.only != typ && key == "sinks" && m.chance(97):
			continue
		case key == "sinks" && f.key == "type" && m.chance(98):
			parts = append(parts, "type: "+typ)
		default:
			parts = append(parts, f.key+": "+m.value(f))
		}
		given[f.key] = true
	}
	if m.chance(1) {
		parts = append(parts, "x: y")
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// relate makes keys that belong together stand together, most of the time.
func (m *maker) relate(key string, want map[string]bool, fields []field) {
	if key == "expect" {
		want["windows"] = false // of names a schema knows nothing
	}
	if m.chance(5) {
		return
	}
	switch key {
	case "endpoints":
		want["issuer"] = m.chance(50)
		want["jwks_uri"] = !want["issuer"]
	case "sinks":
		for _, k := range []string{"credentials_file", "nkey_file", "token_file", "user"} {
			want[k] = false
		}
		want[m.one("credentials_file", "nkey_file", "token_file", "user", "x")] = true
		want["password_file"] = want["user"]
	case "tls":
		want["key_file"] = want["cert_file"]
	case "windows":
		want["weekly"] = m.chance(50)
		want["dated"] = !want["weekly"]
	case "web":
		if m.chance(50) {
			want["tls"], want["token_file"], want["listen"] = true, true, true
		}
	}
}

func (m *maker) table(f *field) string {
	keys := []string{"env", "region", "a.b-c_1", "kid"}
	if f.key == "headers" {
		keys = []string{"Authorization", "x-api-key", "Accept", "X_1"}
	}
	if m.chance(5) {
		keys = []string{"Env", "a b", "", "Host", "proxy-x", "If-match", "Te", "é", strings.Repeat("k", 64), strings.Repeat("k", 129)}
	}
	m.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	var parts []string
	for _, key := range keys[:1+m.IntN(2)] {
		parts = append(parts, strconv.Quote(key)+": "+m.quoted(m.text()))
	}
	if m.chance(1) {
		for i := range 32 {
			parts = append(parts, "k"+strconv.Itoa(i)+": x")
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (m *maker) text() string {
	if m.chance(94) {
		return m.one("iam", "a b", "Zürich", "12", "1.5", "-7", "true", "yes", "0123", "0x1F", "cost $5", "$$x", "${env:CANARY}", "a ${env:NOT_SET:-b} c", "${file:secret}")
	}
	return m.one("", "a\u200bb", "a\tb", "line\nbreak", "\u202e", "${HOME}", "${env:9}", "${", "$${env:CANARY}", "${env:NOT_SET:-${env:CANARY}}",
		strings.Repeat("x", 512), strings.Repeat("x", 513), "\u2028", "${file:}", "x$", "a\x7fb")
}

// scalar is a value for the key, from its good ones or from those that only
// look like it.
func (m *maker) scalar(f *field) string {
	good, bad := pool(f)
	switch {
	case f.key == "name" && f.required:
		m.names++
		good, bad = []string{"n" + strconv.Itoa(m.names), strconv.Itoa(m.names), "0" + strconv.Itoa(m.names)}, []string{"N", "-a", "a.b", "", strings.Repeat("a", 64), "1.5", "-3"}
	case good == nil:
		return m.quoted(m.text())
	}
	if m.chance(4) {
		return m.quoted(m.one(bad...))
	}
	return m.quoted(m.one(good...))
}

// pool are values for a key, by its name where its type is not enough. Files
// that are read exist.
func pool(f *field) (good, bad []string) {
	switch f.key {
	case "issuer", "jwks_uri":
		good, bad = urls()
		if f.key == "issuer" {
			good = slices.DeleteFunc(good, func(s string) bool { return strings.Contains(s, "?") })
			bad = append(bad, "https://a.example/?x=1", "https://a.example/.well-known/openid-configuration", "https://a.example?")
		}
		return good, bad
	case "url":
		if f.only == TypeWebhook {
			return []string{"https://a.example/hook", "https://a.example:8443", "http://127.0.0.1:1/x", "HTTPS://a.example/?x=1"},
				[]string{"ftp://a.example", "https://u@a.example/", "https://a.example/#x", "a.example", "", "https://", "http://a.example/"}
		}
		return []string{"tls://a.example:4222", "tls://a.example,nats://b.example:1", "nats://127.0.0.1:4222", "nats://localhost, nats://[::1]:4222/", "TLS://a", "nats://127.0.0.1, tls://b.example"},
			[]string{"nats://a.example:4222", "nats://127.0.0.1,nats://b.example", "http://a", "tls://", "tls://u:p@a", "tls://a:0", "tls://a/x", "tls://a,", "nats://x.localhost", "tls://a?b"}
	case "proxy":
		return []string{"none", "http://proxy.example:3128", "https://10.0.0.1:1/", "HTTP://p:80", "http://[fd00::1]:3128"},
			[]string{"off", "http://proxy.example", "socks5://p:1080", "http://u@p:80", "http://p:80/x", "http://p:080", "http://169.254.169.254:80", "p:80", ""}
	case "listen":
		return []string{"127.0.0.1:9797", "localhost:0", "[::1]:65535", "127.255.0.9:80"},
			[]string{"0.0.0.0:9797", "[::]:80", "192.0.2.1:1", ":9797", "9797", "localhost", "a.example:80", "127.0.0.1:080", "127.0.0.1:65536", "127.0.0.01:80", "::1:80", "[127.0.0.1]:80", "[::1]"}
	case "stream":
		return []string{"JWKSWATCH", "a-b", "12", "-5", "true", "ä"}, []string{"a.b", "a b", "", "x*", "1.5", `a\b`, strings.Repeat("x", 256)}
	case "subject":
		return []string{"jwkswatch.v1", "a", "12", "a-b.c_d"}, []string{"", ".", "a..b", "A", "a.", "1.5 ", "a*", strings.Repeat("x", 129)}
	case "user":
		return []string{"u", "12", "a b"}, []string{""}
	case "pins":
		return []string{"sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
			[]string{"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "sha256/47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=", "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", "sha256/", "12"}
	case "ca_file":
		return []string{"ca.pem", "./ca.pem"}, []string{""}
	case "cert_file":
		return []string{"client.pem"}, []string{""}
	case "key_file":
		return []string{"client.key"}, []string{"", "a\x01"}
	case "token_file":
		return []string{"webtoken", "${env:NOT_SET:-token}"}, []string{""}
	case "address":
		return []string{"tls://a.example:6514", "tcp://192.0.2.1:514", "udp://[::1]:514"}, []string{"a.example:514", "tls://a.example", "http://a:1", "tls://a b:1", "tls://a:123456", ""}
	case "secret_file":
		return []string{"hook.key", "/a/b"}, []string{"", "a\nb"}
	case "max_size":
		return []string{"64KiB", "100MiB", "64GiB"}, []string{"63KiB", "65GiB", "1", ""}
	case "keep":
		return []string{"1", "10", "1000"}, []string{"0", "1001", "many", ""}
	case "every": // of drills a minute would do: what both take, and neither
		if f.def == "off" {
			return []string{"off", "1m", "24h"}, []string{"on", "59s", "0s", ""}
		}
		return []string{"off", "1h", "24h", "90m"}, []string{"on", "false", "59m", "0s", "1"}
	case "heartbeat":
		return []string{"off", "1s", "1000ms"}, []string{"on", "false", "999ms", "0s", "0"}
	case "cadence", "max_key_age":
		return []string{"1h", "90d", "60m"}, []string{"59m", "1s", "90", ""}
	case "overlap":
		return []string{"1m", "24h", "60s"}, []string{"59s", "0s", "1"}
	case "keys":
		return []string{"1", "1..3", "4096", "2..2", "1..4096"}, []string{"0", "1..", "..3", "0..3", "1..4097", "01", "1...3", "1-3", "a..b", "1..3..5", ""}
	case "algs":
		return []string{"RS256", "EdDSA", "ML-DSA-44"}, []string{"none", "HS256", "rs256", "", "RS25"}
	case "thumbprints":
		return []string{"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}, []string{"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9X", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs=", "NzbLsXh8uDCcd+6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", ""}
	case "weekly":
		return []string{"Tue 09:00-11:00 Europe/Berlin", "Mon-Fri 22:00-02:00", "Sat,Sun 00:00-24:00 UTC", "Fri-Mon,Wed 01:00-02:00 America/Argentina/Ushuaia", "Sun 00:00-00:01 Etc/GMT+5"},
			[]string{"Tue", "tue 09:00-11:00", "Tue 9:00-11:00", "Tue 09:00-24:01", "Tue 24:00-01:00", "Tue 09:00-11:00 ", "Tue 09:00 - 11:00", "Tue-", "2026-12-01 09:00-11:00", "Tue 09:00-11:00 ../x", ""}
	case "dated":
		return []string{"2026-12-01 22:00-02:00 Europe/Berlin", "2026-02-28 00:00-24:00"}, []string{"2026-13-01 22:00-02:00", "Tue 22:00-02:00", "26-12-01 22:00-02:00", "2026-12-01", "2026-12-32 22:00-02:00", ""}
	case "blocklists":
		return []string{"blocklist.dat", "/var/lib/badkeys/blocklist.dat"}, []string{"", "a\nb"}
	case "files":
		return []string{"none.d/*.yaml", "none/?.yaml"}, []string{"", "a\nb", "a\x00b"}
	case "retain":
		return []string{"1d", "400d", "24h", "9999d23h", "1440m", "86400s"}, []string{"23h", "1439m", "0d", "1.5d", "10000d", "1w", "1d24h"}
	case "path":
		if f.only != "" {
			return []string{"events.jsonl", "/a/log"}, []string{"", "a\nb"} // another than that of the state, of which a schema knows nothing
		}
		return []string{"x.db", "/a/b", "12", "../x y"}, []string{"", "a\nb", "a\x00b"}
	case "credentials_file", "nkey_file", "password_file":
		return []string{"x.db", "/a/b", "12", "../x y"}, []string{"", "a\nb", "a\x00b"}
	}
	return byType(f)
}

func byType(f *field) (good, bad []string) {
	if f.one == nil {
		return nil, nil
	}
	switch s := f.one.shape(); {
	case s.enum != nil:
		return s.enum, []string{"", strings.ToUpper(s.enum[0]), s.enum[0] + " ", "file", "ocsf", "1"}
	case f.one.typ == "true/false":
		return []string{"true", "false"}, []string{"yes", "no", "on", "True", "1", "0", ""}
	case f.one.typ == "duration":
		return []string{"1s", "90s", "1h30m", "1000ms", "9999d", "1d0h0m1s"}, []string{"0s", "999ms", "60", "1m1h", "1h60m", "01s", "1.5s", "-1s", "1 s", "", "10000d"}
	case f.one.typ == "number":
		return []string{"10", "60", "100000", "100"}, []string{"9", "100001", "0", "-60", "60.5", "060", "1e3", "many", ""}
	case f.one.typ == "size":
		return []string{"1024", "1KiB", "64MiB", "65536KiB", "67108864"}, []string{"1023", "0", "65MiB", "1GiB", "01024", "1KB", "1.5MiB", "67108865", "", "-1024"}
	case f.one.typ == "name":
		return []string{"soc-1", "0", "true", "a_b"}, []string{"A", "", "-1", "a.b", "1.5"}
	}
	return nil, nil
}

func urls() (good, bad []string) {
	return []string{"https://a.example/jwks", "https://a.example:8443/", "HTTPS://A.example", "https://[2606:4700::1111]/x", "https://1.1.1.1/%20~", "https://a-b_c.example./", "https://a.example/x?y=$5"},
		[]string{
			"http://a.example/", "https://10.0.0.1/", "http://127.0.0.1:80/x", "https://sts.localhost/", "https://[::1]/", "https://172.16.9.9", "https://100.64.1.1/", "https://[fd00::1]/",
			"https://169.254.169.254/", "https://0.0.0.0/", "https://224.0.0.1/", "https://[::ffff:1.1.1.1]/", "https://[fe80::1]/", "https://192.0.2.1/",
			"https://u:p@a.example/", "https://a.example/#x", "https:///x", "https://a.example:0/", "https://a.example:65536/", "https://a.example:", "https://a.example:080/",
			"https://127.1/", "https://a..b/", "https://a.example/{t}", "https://a.example/%zz", "https://a.example/a b", "a.example", "", "ftp://a.example/", "https://ä.example/", "https://a,b.example/", "https://a.1/", "https://1.1.1.256/",
		}
}

var plainScalar = regexp.MustCompile(`^[A-Za-z0-9./_+-][A-Za-z0-9./_:+=-]*[A-Za-z0-9./_=-]$|^[A-Za-z0-9]$`)

// quoted writes a scalar, sometimes plain: then YAML may take it for a number.
func (m *maker) quoted(s string) string {
	if plainScalar.MatchString(s) && m.chance(60) {
		return s
	}
	return strconv.Quote(s)
}

// agree holds that schema and loader accept the same documents, and reports
// whether they accepted this one.
func agree(t testing.TB, seed uint64) bool {
	t.Helper()
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 1))}
	src := m.document()
	c, err := Parse("x.yaml", []byte(src), world())
	told := valid(t, []byte(src))
	if (err == nil) != (told == nil) {
		t.Errorf("seed %d:\n%s\nthe loader: %v\nthe schema: %v", seed, src, err, told)
	}
	if c != nil {
		if shown := string(c.Effective()); strings.Contains(shown, webToken) || strings.Contains(shown, "PRIVATE KEY") {
			t.Errorf("a secret is shown:\n%s", shown)
		}
	}
	return err == nil
}

func TestSchemaAndLoaderAgree(t *testing.T) {
	t.Parallel()
	const rounds = 1500
	accepted := 0
	for seed := range uint64(rounds) {
		if agree(t, seed) {
			accepted++
		}
	}
	// Otherwise only one half of the promise would be tested.
	if accepted < rounds/5 || accepted > rounds*4/5 {
		t.Errorf("%d of %d documents were accepted", accepted, rounds)
	}
}

// FuzzSchema holds: valid for the schema if and only if the loader accepts it.
func FuzzSchema(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { agree(t, seed) })
}
