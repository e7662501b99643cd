package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	url := "http://" + serve(t, healthy(io.Discard))
	for path, want := range map[string]string{
		"/": "/metrics", "/livez": "ok\n", "/readyz": "ok\n", "/metrics": "# TYPE jwkswatch_polls_total counter\n",
	} {
		r := get(t, url+path)
		if r.StatusCode != http.StatusOK || !strings.Contains(r.body, want) {
			t.Errorf("%s: %s with %.200q, want 200 with %q", path, r.Status, r.body, want)
		}
		h := do(t, client(t), request(t, http.MethodHead, url+path))
		if h.StatusCode != http.StatusOK || h.body != "" {
			t.Errorf("HEAD %s: %s with %.200q", path, h.Status, h.body)
		}
	}
	if r := get(t, url+"/other"); r.StatusCode != http.StatusNotFound {
		t.Errorf("/other: %s, want 404", r.Status)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := healthy(io.Discard)
	s.CertPEM, s.KeyPEM = certificate(t, "soc.example", "127.0.0.1")
	addr := serve(t, s)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CertPEM)
	c := client(t)
	c.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	a := do(t, c, request(t, "GET", "https://"+addr+"/livez"))
	if a.StatusCode != 200 || a.ProtoMajor != 1 || a.TLS.Version < tls.VersionTLS12 {
		t.Errorf("%s over %s, TLS %x", a.Status, a.Proto, a.TLS.Version)
	}
	r := request(t, "GET", "https://"+addr+"/livez")
	r.Host = "soc.example"
	if a := do(t, c, r); a.StatusCode != 200 {
		t.Errorf("a name of the certificate: %s", a.Status)
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
}

// What others can reach needs TLS and a token, whatever a configuration says.
func TestPublicListenIsRefused(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "soc.example")
	for _, listen := range []string{"0.0.0.0:0", "[::]:0", ":0"} {
		for _, c := range []struct {
			tls, token, ok bool
		}{{false, false, false}, {true, false, false}, {false, true, false}, {true, true, true}} {
			s := healthy(io.Discard)
			s.Listen = listen
			if c.tls {
				s.CertPEM, s.KeyPEM = cert, key
			}
			if c.token {
				s.Token = "token"
			}
			if err := s.Open(); (err == nil) != c.ok {
				t.Errorf("%s with TLS %v, token %v: %v", listen, c.tls, c.token, err)
			}
			if s.listener != nil {
				s.listener.Close()
			}
			if (s.Addr() != "") != c.ok {
				t.Errorf("%s with TLS %v, token %v: listens on %q", listen, c.tls, c.token, s.Addr())
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "soc.example")
	_, other := certificate(t, "soc.example")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, spoil := range map[string]func(*Server){
		"no snapshot":         func(s *Server) { s.Snapshot = nil },
		"no alive":            func(s *Server) { s.Alive = nil },
		"no writable":         func(s *Server) { s.Writable = nil },
		"no key":              func(s *Server) { s.CertPEM = cert },
		"no certificate":      func(s *Server) { s.KeyPEM = key },
		"another key":         func(s *Server) { s.CertPEM, s.KeyPEM = cert, other },
		"no address":          func(s *Server) { s.Listen = "127.0.0.1" },
		"taken":               func(s *Server) { s.Listen = taken.Addr().String() },
		"a line in the token": func(s *Server) { s.Token = "secret-canary\n" },
		"an accent in it":     func(s *Server) { s.Token = "secret-canary-é" },
	} {
		s := healthy(io.Discard)
		spoil(s)
		err := s.Run(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "web: ") {
			t.Errorf("%s: %v, want an error of web", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: the error tells the token: %v", name, err)
		}
	}
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	addr := serve(t, healthy(io.Discard))
	for n, want := range map[int]string{7 << 10: " 200 ", 9 << 10: " 431 "} {
		text := "GET /livez HTTP/1.1\r\nHost: " + addr + "\r\nX: " + strings.Repeat("a", n) + "\r\n\r\n"
		if line := raw(t, addr, text); !strings.Contains(line, want) {
			t.Errorf("header of %d octets: %q, want%s", n, line, want)
		}
	}
}

// One connection more than the limit waits for a place.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	addr := serve(t, healthy(io.Discard))
	text := "GET /livez HTTP/1.1\r\nHost: " + addr + "\r\n\r\n"
	var held []net.Conn
	for range maxConns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, text)
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	c, err := net.Dial("tcp", addr) // the kernel accepts it, we do not
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, text)
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("the connection over the limit got %v, want silence", err)
	}
	held[0].Close()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Fatalf("when a place is free: %q, %v", line, err)
	}
}

// Run ends with the context, and the answer under way is finished.
func TestGraceful(t *testing.T) {
	t.Parallel()
	s := healthy(io.Discard)
	asked, release := make(chan struct{}), make(chan struct{})
	s.Snapshot = func(context.Context) Metrics {
		close(asked)
		<-release
		return Metrics{Parses: 42}
	}
	if s.Addr() != "" {
		t.Errorf("listens on %q before Open", s.Addr())
	}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var wg sync.WaitGroup
	wg.Go(func() {
		if a := get(t, "http://"+s.Addr()+"/metrics"); !strings.Contains(a.body, "jwkswatch_parses_total 42\n") {
			t.Errorf("the answer under way was cut: %.200q", a.body)
		}
	})
	<-asked
	stop()
	select {
	case err := <-ended:
		t.Fatalf("Run ended (%v) before the answer", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	wg.Wait()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

// What clients provoke is logged, but not without bound.
func TestComplaintsAreBounded(t *testing.T) {
	t.Parallel()
	var log output
	s := healthy(&log)
	s.CertPEM, s.KeyPEM = certificate(t, "127.0.0.1")
	addr := serve(t, s)
	for range 20 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "no TLS at all\r\n\r\n")
		_, _ = io.Copy(io.Discard, c) // until the server hangs up, after it logged
		c.Close()
	}
	if n := strings.Count(log.String(), "a request failed"); n < 1 || n > 5 {
		t.Errorf("%d lines for 20 bad handshakes, want 1 to 5: %s", n, log.String())
	}
}
