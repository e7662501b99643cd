package configs

import (
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"1s": time.Second, "1500ms": 1500 * time.Millisecond, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "400d": 400 * day,
		"1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "9999d": 9999 * day, "1d0h0m1s": day + time.Second, "999999999999ms": 999999999999 * time.Millisecond,
		"9999d23h59m59s999ms": 10000*day - time.Millisecond, "999999h59m": 999999*time.Hour + 59*time.Minute, "1s500ms": 1500 * time.Millisecond,
	} {
		got, ok := parseDuration(text)
		if !ok || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, ok, want)
		}
		if again, ok := parseDuration(formatDuration(got)); !ok || again != got {
			t.Errorf("%v is written as %s", got, formatDuration(got))
		}
	}
	for _, text := range []string{
		"", "d", "1", "1 d", "-1d", "+1s", "1d-1h", "1h1d", "1dd", "1.5d", "1w", "1y", "1D", " 1s", "1s ", "10000d", "99999999999d",
		"1d24h", "1h60m", "1m60s", "1s1000ms", "1m1m", "0s", "0d1s", "010d", "1h01m", "1.5h", "1us", "1ns", "9e9h", "1d1", "∞", strings.Repeat("1", 100) + "s",
	} {
		if got, ok := parseDuration(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", day: "1d", 36 * time.Hour: "36h",
		time.Hour + time.Second: "1h1s", 20 * time.Minute: "20m", 0: "0s", time.Microsecond: "1µs",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%d is written as %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "1024": 1024, "1KiB": 1024, "4MiB": 4 << 20, "1GiB": 1 << 30, "4294967295GiB": 4294967295 << 30} {
		got, ok := parseSize(text)
		if !ok || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, ok, want)
		}
		if again, ok := parseSize(formatSize(want)); !ok || again != want {
			t.Errorf("%d is written as %s", want, formatSize(want))
		}
	}
	for _, text := range []string{"", "KiB", "1kib", "1KB", "1K", "1 KiB", "-1", "+1", "01", "04KiB", "1.5MiB", "0x10", "1_000", "4294967296", "1KiBKiB", "1TiB"} {
		if got, ok := parseSize(text); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "0", "corp-okta", "a_b", "0123", strings.Repeat("a", 63)} {
		if !isName(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{"", "-a", "_agent", "A", "a.b", "a b", "ä", "a/b", "a\n", "a*", strings.Repeat("a", 64)} {
		if isName(s) {
			t.Errorf("%q is accepted", s)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	keys := []string{"name", "jwks_uri", "interval", "allow_private", "password_file", "url"}
	for s, want := range map[string]string{
		"nmae": "name", "Name": "name", "jwks-uri": "jwks_uri", "jwks_url": "jwks_uri", "intervall": "interval", "password": "password_file",
		"alow_privat": "allow_private", "uri": "url", "colour": "", "": "", "x": "", strings.Repeat("name", 50): "",
	} {
		if got := nearest(s, keys); got != want {
			t.Errorf("nearest to %q is %q, want %q", s, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]reach{
		"localhost": loopback, "LOCALHOST.": loopback, "a.localhost": loopback, "127.9.9.9": loopback, "::1": loopback,
		"10.0.0.1": private, "172.31.0.1": private, "192.168.1.1": private, "fd00::1": private, "100.127.0.1": private,
		"169.254.169.254": nowhere, "fe80::1%eth0": nowhere, "0.0.0.0": nowhere, "0.1.2.3": nowhere, "::": nowhere, "224.0.0.1": nowhere,
		"255.255.255.255": nowhere, "::ffff:127.0.0.1": nowhere, "ff02::1": nowhere,
		"a.example": open, "localhost.example": open, "1.1.1.1": open, "172.32.0.1": open, "100.128.0.1": open, "2606:4700::1111": open,
	} {
		if got := reachOf(host); got != want {
			t.Errorf("%s: %d, want %d", host, got, want)
		}
	}
}
