package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/query"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	all, newest, other := d.follow(t, query.Filter{}), d.follow(t, query.Filter{Limit: 2}), d.follow(t, query.Filter{Endpoint: "corp", MinSeverity: 5})
	eventually(t, "what is there", func() bool { return all.n.Load() == 10 && newest.n.Load() == 2 })
	d.more(t, 20)
	eventually(t, "what comes", func() bool { return all.n.Load() == 30 && newest.n.Load() == 22 })
	// What a follower leaves does not touch the others.
	newest.stop()
	if err := <-newest.end; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	d.more(t, 1)
	eventually(t, "one more", all.has(31))
	// The daemon stops: who follows is told, also who never heard anything.
	begin := time.Now()
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took >= stopTimeout { // that is for questions
		t.Errorf("stopping took %v", took)
	}
	for _, f := range []*follower{all, other} {
		if err := <-f.end; !errors.Is(err, ErrStopped) {
			t.Errorf("it ended with %v", err)
		}
	}
	if n := other.n.Load(); n != 0 {
		t.Errorf("%d events where none match", n)
	}
}

// TestFollowInOrder holds that through the socket, too, none is lost and none
// is repeated.
func TestFollowInOrder(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	const n = 100
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			i := 0
			for raw, err := range d.client().Follow(t.Context(), query.Filter{}) {
				if err != nil || !strings.Contains(string(raw), fmt.Sprintf(`"message":"m%d"`, i)) {
					t.Errorf("event %d is %s (%v)", i, raw, err)
					return
				}
				if i++; i == n {
					return
				}
			}
		})
	}
	d.more(t, n-10)
	all.Wait()
}

// TestTooManyFollow holds that those who follow leave room for those who ask,
// and that who goes away gives the place back.
func TestTooManyFollow(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	var followers []*follower
	for range maxFollowers {
		f := d.follow(t, query.Filter{})
		followers = append(followers, f)
		eventually(t, "a follower", f.has(10))
	}
	one := d.follow(t, query.Filter{})
	if err := <-one.end; err == nil || !strings.Contains(err.Error(), "too many follow") {
		t.Errorf("one too many ended with %v", err)
	}
	if _, err := d.client().Status(t.Context()); err != nil {
		t.Error(err)
	}
	for _, f := range followers {
		f.stop()
		<-f.end
	}
	eventually(t, "a place", func() bool {
		again := d.follow(t, query.Filter{Limit: 1})
		defer again.stop()
		for again.n.Load() == 0 {
			select {
			case err := <-again.end:
				if err == nil || !strings.Contains(err.Error(), "too many follow") {
					t.Errorf("it ended with %v", err)
				}
				return false
			default:
				runtime.Gosched()
			}
		}
		return true
	})
}

// TestSlowFollower holds that who does not read is let go, and holds up nobody.
func TestSlowFollower(t *testing.T) {
	t.Parallel()
	d := start(t, func(s *Server) { s.patience = 50 * time.Millisecond })
	quick := d.follow(t, query.Filter{})
	eventually(t, "what is there", quick.has(10))
	slow, err := net.Dial("unix", d.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := fmt.Fprint(slow, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReaderSize(slow, 16).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q (%v)", line, err)
	}
	const n = 400 // more than the buffers of a socket hold
	d.more(t, n)
	eventually(t, "the quick one", quick.has(10+n))
	// It is gone: what it did not read ends before all of it.
	eventually(t, "the slow one's end", func() bool { return len(d.slots()) == 1 })
	read := 0
	for b := make([]byte, 64<<10); ; {
		k, err := slow.Read(b)
		if read += k; err != nil {
			break
		}
	}
	if read > n*1000 {
		t.Errorf("it was sent %d octets", read)
	}
}

// slots are the connections that are open.
func (d *daemon) slots() []struct{} {
	return make([]struct{}, len(d.listener.(*gate).slots))
}

// TestNothingIsLeft holds that questions and followers leave no goroutine and
// no connection behind.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for range 20 {
		f := d.follow(t, query.Filter{})
		eventually(t, "a follower", f.has(10))
		f.stop()
		<-f.end
		for range d.client().Events(t.Context(), query.Filter{}) {
			break // in the middle of an answer
		}
		if _, err := d.client().Endpoints(t.Context()); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "no connection", func() bool { return len(d.slots()) == 0 })
}
