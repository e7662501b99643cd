package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipeInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &Issuer{}
		i.Publish(NewEd25519("a"))
		pipe := NewPipe()
		stop := i.Serve(pipe)
		transport := &http.Transport{DialContext: pipe.Dial, IdleConnTimeout: time.Second}
		client := &http.Client{Transport: transport, Timeout: 15 * time.Second}
		begin := time.Now()
		for range 24 * 30 {
			answer, err := client.Get("http://issuer.invalid/jwks")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil || string(body) != string(i.Current()) {
				t.Fatalf("%s, %v", body, err)
			}
			_ = answer.Body.Close()
			time.Sleep(time.Hour)
		}
		if i.Count() != 720 || time.Since(begin) != 720*time.Hour {
			t.Errorf("%d requests in %v", i.Count(), time.Since(begin))
		}
		remotes := map[string]bool{}
		for _, s := range i.Served() {
			remotes[s.Remote] = true
		}
		if len(remotes) != 720 {
			t.Errorf("%d remotes of 720 connections", len(remotes))
		}
		transport.CloseIdleConnections()
		stop()
		stop()
		// The bubble fails if anything is left running.
	})
}

func TestPipeCloseUnblocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dialing := NewPipe()
		dialed := make(chan error, 1)
		go func() {
			_, err := dialing.Dial(t.Context(), "tcp", "192.0.2.1:443")
			dialed <- err
		}()
		accepting := NewPipe()
		accepted := make(chan error, 1)
		go func() {
			_, err := accepting.Accept()
			accepted <- err
		}()
		synctest.Wait()
		select {
		case err := <-dialed:
			t.Fatalf("Dial returned before Close: %v", err)
		case err := <-accepted:
			t.Fatalf("Accept returned before Close: %v", err)
		default:
		}
		for _, p := range []*Pipe{dialing, accepting} {
			if err := errors.Join(p.Close(), p.Close()); err != nil {
				t.Error(err)
			}
		}
		err := <-dialed
		if op, ok := errors.AsType[*net.OpError](err); !ok || !errors.Is(err, net.ErrClosed) || op.Addr.String() != "192.0.2.1:443" {
			t.Errorf("Dial after Close: %v", err)
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := NewPipe().Dial(ctx, "tcp", "a:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial that nobody accepts: %v", err)
		}
	})
}

func TestStopEndsEveryAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer Answer
		speaks bool // sends something before it is stopped
	}{
		"hang": {Hang(), false}, "trickled body": {TrickleBody(time.Hour), false},
		"trickled header": {TrickleHeader(time.Hour), true}, "endless": {Endless(), true}, "informational": {Informational(), true},
	} {
		i := &Issuer{}
		i.Publish(NewEd25519("a"))
		i.Answer(c.answer)
		l, err := listen()
		if err != nil {
			t.Fatal(err)
		}
		stop := i.Serve(l)
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// The client asks and then reads no more than it takes to know that the
		// answer has begun, and the connection been taken over.
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := i.Await(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if c.speaks {
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if list := i.Served(); !list[0].Ended.IsZero() {
			t.Errorf("%s: the answer ended by itself: %+v", name, list[0])
		}
		stop()
		if list := i.Served(); list[0].Ended.IsZero() {
			t.Errorf("%s: stop returned before the answer ended", name)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener is still open: %v", name, err)
		}
	}
}

func TestResetsAreResets(t *testing.T) {
	t.Parallel()
	i := &Issuer{}
	i.Publish(NewEd25519("a"))
	plain, stop, err := i.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	secure, roots, stopTLS, err := i.StartTLS()
	if err != nil {
		t.Fatal(err)
	}
	defer stopTLS()
	got := func(conn net.Conn, err error) (string, error) {
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(bufio.NewReader(conn))
		return string(text), err
	}
	document := string(i.Current())
	whole := head(len(document)) + document
	for phase, want := range map[Phase]string{
		BeforeHeader: "",
		InHeader:     whole[:len(head(len(document)))/2],
		AfterHeader:  head(len(document)),
		InBody:       head(len(document)) + document[:len(document)/2],
	} {
		i.Answer(Reset(phase))
		text, err := got(net.Dial("tcp", strings.TrimPrefix(plain, "http://")))
		if !errors.Is(err, syscall.ECONNRESET) || text != want {
			t.Errorf("%s: %q, %v", phase, text, err)
		}
		text, err = got(tls.Dial("tcp", strings.TrimPrefix(secure, "https://"), &tls.Config{RootCAs: roots}))
		if !errors.Is(err, syscall.ECONNRESET) || text != want {
			t.Errorf("%s over TLS: %q, %v", phase, text, err)
		}
	}
}

func TestTrickleBodyIsWholeInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &Issuer{}
		i.Publish(NewEd25519("a"))
		i.Answer(TrickleBody(time.Second))
		pipe := NewPipe()
		defer i.Serve(pipe)()
		transport := &http.Transport{DialContext: pipe.Dial}
		defer transport.CloseIdleConnections()
		begin := time.Now()
		outcome, body := look(t, &http.Client{Transport: transport}, "http://127.0.0.1:80/")
		if want := time.Duration(len(i.Current())) * time.Second; outcome != Whole || string(body) != string(i.Current()) || time.Since(begin) != want {
			t.Errorf("%s after %v, want %v: %s", outcome, time.Since(begin), want, body)
		}
	})
}

func TestTLSAuthority(t *testing.T) {
	t.Parallel()
	authority, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	try := func(leaf Leaf, config *tls.Config, roots *x509.CertPool, client ...tls.Certificate) error {
		t.Helper()
		certificate, err := authority.Issue(leaf)
		if err != nil {
			t.Fatal(err)
		}
		l, err := listen()
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{certificate}
		i := &Issuer{}
		stop := i.Serve(tls.NewListener(l, config))
		defer stop()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: client}}
		defer transport.CloseIdleConnections()
		answer, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://" + l.Addr().String())
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	if err := try(Leaf{}, &tls.Config{}, authority.Roots()); err != nil {
		t.Errorf("an honest certificate: %v", err)
	}
	err = try(Leaf{Hosts: []string{"other.invalid"}}, &tls.Config{}, authority.Roots())
	if _, ok := errors.AsType[x509.HostnameError](err); !ok {
		t.Errorf("another name: %v", err)
	}
	old := time.Now().AddDate(0, 0, -3)
	err = try(Leaf{NotBefore: old, NotAfter: old.AddDate(0, 0, 1)}, &tls.Config{}, authority.Roots())
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.Expired {
		t.Errorf("an expired certificate: %v", err)
	}
	err = try(Leaf{}, &tls.Config{}, x509.NewCertPool())
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("an unknown authority: %v", err)
	}
	mutual := func() *tls.Config {
		return &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Roots()}
	}
	client, err := authority.Issue(Leaf{Hosts: []string{"client"}, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := try(Leaf{}, mutual(), authority.Roots(), client); err != nil {
		t.Errorf("a client certificate: %v", err)
	}
	if err := try(Leaf{}, mutual(), authority.Roots()); err == nil {
		t.Error("no client certificate: no error")
	}
}

func TestStartTLS(t *testing.T) {
	t.Parallel()
	i := &Issuer{}
	i.Publish(NewEd25519("a"))
	i.Answer(Discovery("", "", nil))
	url, roots, stop, err := i.StartTLS()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	answer, err := client.Get(url + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || string(body) != `{"issuer":"`+url+`","jwks_uri":"`+url+`/jwks"}` {
		t.Errorf("metadata over TLS: %s, %v", body, err)
	}
	// Scenarios that take the connection over need HTTP/1.
	if answer.ProtoMajor != 1 {
		t.Errorf("served over %s", answer.Proto)
	}
}
