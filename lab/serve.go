package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Start serves on a free port of 127.0.0.1. The URL has no path and no slash at
// its end: append any. stop closes every connection, waits until each answer
// under way has ended, and may be called more than once.
func (i *Issuer) Start() (url string, stop func(), err error) {
	l, err := listen()
	if err != nil {
		return "", nil, err
	}
	return "http://" + l.Addr().String(), i.Serve(l), nil
}

// StartTLS is Start with HTTPS (HTTP/1.1) and a certificate for 127.0.0.1,
// localhost and ::1 from an Authority made for it, whose roots it returns. For
// an expired certificate, another name or client certificates, use an Authority
// of your own and Serve(tls.NewListener(…)).
func (i *Issuer) StartTLS() (url string, roots *x509.CertPool, stop func(), err error) {
	authority, err := NewAuthority()
	if err != nil {
		return "", nil, nil, err
	}
	leaf, err := authority.Issue(Leaf{})
	if err != nil {
		return "", nil, nil, err
	}
	l, err := listen()
	if err != nil {
		return "", nil, nil, err
	}
	stop = i.Serve(tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12,
	}))
	return "https://" + l.Addr().String(), authority.Roots(), stop, nil
}

func listen() (net.Listener, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	return l, nil
}

// Serve serves on l, which it owns from now on, until stop is called. It does
// not wait; an error of l that stop did not cause ends the service silently.
// One Issuer may serve on several listeners.
func (i *Issuer) Serve(l net.Listener) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	running := &inFlight{next: i}
	server := &http.Server{
		Handler:           running,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		// No WriteTimeout: it would end the trickles. Their end is the client's
		// patience, or stop.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	running.wg.Go(func() { _ = server.Serve(l) })
	return func() {
		running.refuse()
		cancel() // hijacked connections and waiting answers know the server by this alone
		_ = server.Close()
		running.wg.Wait()
	}
}

// inFlight waits for answers under way, of which http.Server.Close knows
// nothing: it closes connections and returns.
type inFlight struct {
	next http.Handler

	mu      sync.Mutex
	refused bool
	wg      sync.WaitGroup
}

func (f *inFlight) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.refused {
		f.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	f.wg.Add(1)
	f.mu.Unlock()
	defer f.wg.Done()
	f.next.ServeHTTP(w, r)
}

// refuse makes sure that no Add can race with the Wait that follows.
func (f *inFlight) refuse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = true
}
