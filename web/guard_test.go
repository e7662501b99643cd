package web

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Every answer carries the headers, refusals too.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := healthy(io.Discard)
	s.Token = "canary-token"
	url := "http://" + serve(t, s)
	for _, r := range []*http.Request{
		request(t, "GET", url+"/"), request(t, "GET", url+"/livez"), request(t, "POST", url+"/"), request(t, "GET", url+"/metrics"),
	} {
		for i, host := range []string{r.Host, "rebound.example"} {
			r.Host = host
			a := do(t, client(t), r)
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'",
			} {
				if got := a.Header.Get(name); !strings.HasPrefix(got, want) {
					t.Errorf("%s %s as host %d: %s is %q, want %q", r.Method, r.URL.Path, i, name, got, want)
				}
			}
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	addr := serve(t, healthy(io.Discard))
	for _, m := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"} {
		r := do(t, client(t), request(t, m, "http://"+addr+"/livez"))
		if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s with Allow %q, want 405", m, r.Status, r.Header.Get("Allow"))
		}
	}
	if status := raw(t, addr, "OPTIONS * HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"); !strings.Contains(status, " 405 ") {
		t.Errorf("OPTIONS *: %q, want 405", status)
	}
}

// raw sends octets and returns the first line of the answer.
func raw(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return line
}

// A page that rebinds its own name to the loopback reads nothing.
func TestHost(t *testing.T) {
	t.Parallel()
	addr := serve(t, healthy(io.Discard))
	for host, want := range map[string]int{
		addr: 200, "localhost": 200, "LocalHost:1": 200, "127.0.0.1": 200, "127.0.0.1:80": 200, "[::1]:9797": 200, "[::1]": 200,
		"rebound.example": 421, "rebound.example:9797": 421, "localhost.rebound.example": 421, "0.0.0.0": 421, "192.0.2.1": 421, ":80": 421,
	} {
		r := request(t, "GET", "http://"+addr+"/metrics")
		r.Host = host
		if a := do(t, client(t), r); a.StatusCode != want {
			t.Errorf("Host %s: %s, want %d", host, a.Status, want)
		}
	}
	if line := raw(t, addr, "GET http://rebound.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); !strings.Contains(line, " 421 ") {
		t.Errorf("absolute form: %q, want 421", line)
	}
	if line := raw(t, addr, "GET /livez HTTP/1.0\r\n\r\n"); !strings.Contains(line, " 421 ") {
		t.Errorf("no host: %q, want 421", line)
	}
}

func TestHostOfAPublicListener(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "soc.example", "*.agents.example")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	n := names{listen: "metrics.example", certificate: pair.Leaf}
	at := &net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 9797}
	for host, want := range map[string]bool{
		"soc.example": true, "SOC.example:9797": true, "a.agents.example": true, "metrics.example": true, "192.0.2.7:9797": true,
		"localhost": false, "127.0.0.1": false, "192.0.2.8": false, "rebound.example": false, "": false, "[": false,
	} {
		if got := n.allow(host, at); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	const token = "canary-Token_1234"
	var log output
	s := healthy(&log)
	s.Token = token
	url := "http://" + serve(t, s)
	for header, want := range map[string]int{
		"": 401, "Bearer": 401, "Bearer ": 401, "Bearer wrong": 401, "Bearer " + token[:5]: 401, "Bearer " + token + "x": 401,
		"Basic " + token: 401, token: 401, "Bearer " + strings.ToLower(token): 401,
		"Bearer " + token: 200, "bearer " + token: 200,
	} {
		for _, path := range []string{"/", "/metrics", "/other"} {
			r := request(t, "GET", url+path)
			if header != "" {
				r.Header.Set("Authorization", header)
			}
			want := want
			if path == "/other" && want == 200 {
				want = 404
			}
			a := do(t, client(t), r)
			if a.StatusCode != want || (want == 401) != (a.Header.Get("WWW-Authenticate") != "") {
				t.Errorf("%s with %q: %s, want %d", path, header, a.Status, want)
			}
			if strings.Contains(a.body, token) {
				t.Errorf("%s tells the token", path)
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if a := get(t, url+path); a.StatusCode != 200 {
			t.Errorf("%s without a token: %s, want 200", path, a.Status)
		}
	}
	// What is nearly one of the two is neither.
	for _, path := range []string{"/livez/", "//livez", "/livez/../metrics", "/LIVEZ"} {
		if a := get(t, url+path); a.StatusCode != 401 {
			t.Errorf("%s without a token: %s, want 401", path, a.Status)
		}
	}
	if strings.Contains(log.String(), token) {
		t.Error("the log tells the token")
	}
}
