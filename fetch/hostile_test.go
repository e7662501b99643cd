package fetch

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each answer is served on a connection that stays open until the client hangs
// up, unless it says otherwise.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	const ok200 = "HTTP/1.1 200 OK\r\n"
	header := func(n int) string { return "X: " + strings.Repeat("h", n) + "\r\n" }
	for _, test := range []struct {
		name  string
		serve func(net.Conn)
		want  Phase
		text  string
	}{
		{"closes without an answer", sayAndClose(""), PhaseRead, "closed without an answer"},
		{"resets", reset, PhaseRead, ""},
		{"closes in the status line", sayAndClose("HTTP/1.1 20"), PhaseRead, "malformed HTTP status code"},
		{"closes in the headers", sayAndClose(ok200 + "Content-Ty"), PhaseRead, "malformed header"},
		{"not HTTP", say("SSH-2.0-OpenSSH_9.9\r\n\r\n"), PhaseRead, "malformed HTTP"},
		{"HTTP/0.9", sayAndClose(keySet), PhaseRead, ""},
		{"status of two digits", say("HTTP/1.1 20 OK\r\n\r\n"), PhaseRead, "malformed HTTP status code"},
		{"negative length", say(ok200 + "Content-Length: -1\r\n\r\n"), PhaseRead, ""},
		{"two lengths", say(ok200 + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}"), PhaseRead, ""},
		{"length overflows", say(ok200 + "Content-Length: 99999999999999999999\r\n\r\n{}"), PhaseRead, ""},
		{"body shorter than its length", sayAndClose(ok200 + "Content-Length: 100\r\n\r\n" + keySet[:40]), PhaseRead, "before the end"},
		{"no body for its length", sayAndClose(ok200 + "Content-Length: 1\r\n\r\n"), PhaseRead, "before the end"},
		{"chunk without its end", sayAndClose(ok200 + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"), PhaseRead, "before the end"},
		{"chunk size is not hexadecimal", say(ok200 + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"), PhaseRead, "invalid byte in chunk length"},
		{"chunk longer than its size", say(ok200 + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n"), PhaseRead, "malformed chunked encoding"},
		{"unknown transfer coding", say(ok200 + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), PhaseRead, ""},
		{"header line without a colon", say(ok200 + "Nonsense\r\n\r\n"), PhaseRead, "malformed header"},
		{"header beyond the limit", say(ok200 + header(maxHeader) + "\r\n{}"), PhaseSize, "headers are larger than 65536 octets"},
		{"many headers", say(ok200 + strings.Repeat(header(100), 1000) + "\r\n{}"), PhaseSize, "headers are larger"},
		{"header without end", endless(ok200+"X: ", "h"), PhaseSize, "headers are larger"},
		{"1xx without end", endless("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), PhaseSize, "headers are larger"},
		{"trailers without end", endless(ok200+"Transfer-Encoding: chunked\r\n\r\n0\r\n", "T: x\r\n"), PhaseRead, ""},
		{"body without end", endless(ok200+"\r\n", strings.Repeat("k", 4096)), PhaseSize, "body is larger"},
		{"chunks without end", endless(ok200+"Transfer-Encoding: chunked\r\n\r\n", "1\r\nk\r\n"), PhaseSize, "body is larger"},
		{"length beyond the limit", say(ok200 + "Content-Length: 4294967296\r\n\r\n"), PhaseSize, "body is larger"},
		{"never answers", untilClosed, PhaseTimeout, "no complete answer"},
		{"trickles the headers", trickle(ok200 + header(1000)), PhaseTimeout, "no complete answer"},
		{"trickles the body", trickle(ok200 + "Content-Length: 1000\r\n\r\n" + strings.Repeat(" ", 1000)), PhaseTimeout, "no complete answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, test.serve)
			target := Target{URL: s.url(), Policy: local(), MaxBody: 1 << 20}
			if test.want == PhaseTimeout {
				target.Timeout = 100 * time.Millisecond
			}
			var c Client
			r, err := c.Get(t.Context(), target, nil)
			if err == nil {
				t.Fatalf("status %d, %d octets", r.Status, len(r.Body))
			}
			wantPhase(t, err, test.want)
			wantText(t, err, test.text)
			c.CloseIdle()
			s.drained(t)
		})
	}
}

// A set that is cut at any octet is never handed out as complete.
func TestBodyCutAnywhere(t *testing.T) {
	t.Parallel()
	whole := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"key\r\n6\r\ns\":[]}\r\n0\r\n\r\n"
	var c Client
	t.Cleanup(c.CloseIdle)
	for cut := range len(whole) + 1 {
		s := serveRaw(t, sayAndClose(whole[:cut]))
		r, err := c.Get(t.Context(), Target{URL: s.url(), Policy: local()}, nil)
		if cut < len(whole) {
			wantPhase(t, err, PhaseRead)
		} else if err != nil || string(r.Body) != `{"keys":[]}` {
			t.Errorf("whole: %q, %v", r.Body, err)
		}
	}
}

func TestEveryStatusIsAResponse(t *testing.T) {
	t.Parallel()
	for _, status := range []int{201, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 429, 500, 503, 599, 999} {
		length := "Content-Length: 2\r\n\r\n{}"
		if status == 204 || status == 304 {
			length = "\r\n"
		}
		s := serveRaw(t, say("HTTP/1.1 "+strconv.Itoa(status)+" x\r\n"+length))
		var c Client
		r := get(t, &c, Target{URL: s.url(), Policy: local()})
		if r.Status != status || r.Truncated {
			t.Errorf("status %d: got %d, truncated %v", status, r.Status, r.Truncated)
		}
		c.CloseIdle()
		s.drained(t)
	}
}

// Of an answer that is not 200 the status is the fact: nothing about its body
// may hide it.
func TestBodyOfAnotherStatusIsCut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		serve func(net.Conn)
		size  int
	}{
		"endless":  {endless("HTTP/1.1 503 x\r\n\r\n", strings.Repeat("k", 4096)), maxOtherBody},
		"short":    {sayAndClose("HTTP/1.1 503 x\r\nContent-Length: 10\r\n\r\n{}"), 2},
		"stalled":  {say("HTTP/1.1 503 x\r\nContent-Length: 10\r\n\r\n{}"), 2},
		"too long": {say("HTTP/1.1 503 x\r\nContent-Length: 4294967296\r\n\r\n" + strings.Repeat("k", maxOtherBody+1)), maxOtherBody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, test.serve)
			var c Client
			r := get(t, &c, Target{URL: s.url(), Policy: local(), Timeout: 300 * time.Millisecond})
			if r.Status != 503 || !r.Truncated || len(r.Body) != test.size {
				t.Errorf("status %d, truncated %v, %d octets", r.Status, r.Truncated, len(r.Body))
			}
			c.CloseIdle()
			s.drained(t)
		})
	}
}

// After 101 net/http hands out the bare connection, and no deadline closes it.
func TestSwitchingProtocolsDoesNotHoldTheReader(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
	var c Client
	r := get(t, &c, Target{URL: s.url(), Policy: local()})
	if r.Status != 101 || !r.Truncated || len(r.Body) != 0 {
		t.Errorf("%+v", r)
	}
	c.CloseIdle()
	s.drained(t)
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := serveConns(t, func(*rawServer, net.Conn) {})
	for _, location := range []string{
		"http://169.254.169.254/latest/meta-data/?token=secret",
		"http://" + elsewhere.addr + "/", "/other", "file:///etc/passwd", "//elsewhere.test/", "http://%zz/",
	} {
		s := serveRaw(t, say("HTTP/1.1 302 Found\r\nLocation: "+location+"\r\nContent-Length: 0\r\n\r\n"))
		var c Client
		r := get(t, &c, Target{URL: s.url(), Policy: local()})
		if r.Status != http.StatusFound || r.Location != MaskURL(location) || r.URL != s.url() {
			t.Errorf("status %d, location %q, URL %q", r.Status, r.Location, r.URL)
		}
		c.CloseIdle()
		s.drained(t)
		if len(s.requests) != 1 {
			t.Errorf("%d requests", len(s.requests))
		}
	}
	if n := elsewhere.accepts(); n != 0 {
		t.Errorf("a redirect was followed: %d connections", n)
	}
}

// Content-Encoding was not asked for. The octets pass as they are: what a bomb
// would become is never seen.
func TestBombPassesAsOctets(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(z, zeros{}, 8<<20); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s := serveRaw(t, say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: "+
		strconv.Itoa(bomb.Len())+"\r\n\r\n"+bomb.String()))
	var c Client
	t.Cleanup(c.CloseIdle)
	r := get(t, &c, Target{URL: s.url(), Policy: local(), MaxBody: 64 << 10})
	if !bytes.Equal(r.Body, bomb.Bytes()) || r.ContentEncoding != "gzip" {
		t.Errorf("%d octets of %d, encoding %q", len(r.Body), bomb.Len(), r.ContentEncoding)
	}
}

func TestHostileHeadersAreCleanedAndCapped(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("e", 5000)
	s := serveRaw(t, say("HTTP/1.1 200 OK\r\nETag: "+long+"\r\nContent-Type: text/\u202ehtml\xff\r\n"+
		"Cache-Control: no-transform\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\n{}"))
	var c Client
	t.Cleanup(c.CloseIdle)
	r := get(t, &c, Target{URL: s.url(), Policy: local()})
	if len(r.ETag) != 512 || r.ContentType != "text/\ufffdhtml\ufffd" || r.MaxAge != time.Minute {
		t.Errorf("etag of %d octets, content type %q, max age %v", len(r.ETag), r.ContentType, r.MaxAge)
	}
}

// A peer that sends back what it was sent must not get it into a log.
func TestSecretsAreNeverInErrors(t *testing.T) {
	t.Parallel()
	const header, query = "s3cr3t-header-value", "s3cr3t-query-value"
	reflect := func(before string) func(net.Conn) {
		// In capitals too: no search for the secret would find that.
		return sayAndClose(before + header + " " + query + strings.ToUpper(header+query) + "\r\n\r\n")
	}
	for name, serve := range map[string]func(net.Conn){
		"status line":   reflect(""),
		"status":        reflect("HTTP/1.1 "),
		"version":       reflect("HTTP/"),
		"header":        reflect("HTTP/1.1 200 OK\r\n"),
		"continuation":  reflect("HTTP/1.1 200 OK\r\n "),
		"length":        reflect("HTTP/1.1 200 OK\r\nContent-Length: "),
		"coding":        reflect("HTTP/1.1 200 OK\r\nTransfer-Encoding: "),
		"chunk":         reflect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
		"trailer":       reflect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
		"nothing":       sayAndClose(""),
		"never answers": untilClosed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, serve)
			var c Client
			_, err := c.Get(t.Context(), Target{
				URL: s.url() + "?sig=" + query, Policy: local(), Timeout: 200 * time.Millisecond,
				Header: http.Header{"Authorization": {"Bearer " + header}},
			}, nil)
			if err == nil {
				t.Fatal("no error")
			}
			e := err.(*Error)
			if text := strings.ToLower(e.Error() + e.Err.Error()); strings.Contains(text, header) || strings.Contains(text, query) {
				t.Errorf("secret in %q", text)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// endless writes the same for as long as anyone reads.
func endless(head, again string) func(net.Conn) {
	return func(c net.Conn) {
		block := []byte(strings.Repeat(again, 1+4096/len(again)))
		if _, err := io.WriteString(c, head); err != nil {
			return
		}
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}
}

// trickle writes an octet every few milliseconds.
func trickle(text string) func(net.Conn) {
	return func(c net.Conn) {
		for i := range len(text) {
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// reset closes with a TCP reset.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
