package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/configs"
)

// TestWebhookThatHangs holds that a receiver which takes connections and never
// answers keeps none of them: one more for each attempt would in the end leave no
// file for the polls.
func TestWebhookThatHangs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const attempts = 5
	taken, ended := make(chan struct{}, attempts), make(chan error, attempts)
	go func() {
		for range attempts {
			c, err := l.Accept()
			if err != nil {
				return
			}
			taken <- struct{}{}
			go func() {
				defer c.Close()
				_, err := io.Copy(io.Discard, c)
				ended <- err
			}()
		}
	}()
	client, err := webhookClient(configs.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	client.Transport.(*http.Transport).TLSHandshakeTimeout = 100 * time.Millisecond // 15 s are long for a test
	for range attempts {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-taken; cancel() }() // the request ends in the middle of its handshake
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := client.Do(r); err == nil {
			_ = answer.Body.Close()
			t.Error("a receiver that hangs answers")
		}
	}
	late := time.After(patience)
	for i := range attempts {
		select {
		case <-ended:
		case <-late:
			t.Fatalf("%d of %d connections are still open", attempts-i, attempts)
		}
	}
}
