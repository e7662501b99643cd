package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// raw takes the connection over, for answers that net/http would not write. The
// context ends when the client leaves or the server stops, and the connection
// is closed with it; act need not close.
func raw(act func(ctx context.Context, conn net.Conn, current []byte)) Answer {
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil { // HTTP/2: there is no connection to take
			panic(http.ErrAbortHandler)
		}
		_ = conn.SetDeadline(time.Time{}) // those of the server still stand
		ctx, cancel := context.WithCancel(r.Context())
		unwatch := context.AfterFunc(ctx, func() { _ = conn.Close() })
		var reader sync.WaitGroup
		reader.Go(func() {
			// Nobody else reads, and only reading tells that the client has left.
			_, _ = io.Copy(io.Discard, conn)
			cancel()
		})
		act(ctx, conn, current)
		unwatch()
		cancel()
		_ = conn.Close()
		reader.Wait()
	}
}

// Raw sends exactly these octets in place of an HTTP response, and closes.
func Raw(octets string) Answer {
	return raw(func(_ context.Context, conn net.Conn, _ []byte) {
		_, _ = io.WriteString(conn, octets)
	})
}

// reset closes so that the client sees a reset and not an end. On a Pipe it sees
// an end.
func reset(conn net.Conn) {
	below := conn
	for {
		switch c := below.(type) {
		case *countedConn:
			below = c.Conn
		case *tls.Conn:
			below = c.NetConn()
		case *net.TCPConn:
			_ = c.SetLinger(0) // what is unsent is thrown away and RST sent
			_ = c.Close()
			return
		default:
			_ = below.Close()
			return
		}
	}
}

// Phase is a point of a response at which a connection may be lost.
type Phase string

// The phases of a response.
const (
	BeforeHeader Phase = "before the header"
	InHeader     Phase = "in the header"
	AfterHeader  Phase = "after the header"
	InBody       Phase = "in the body"
)

// Reset loses the connection at the phase, with RST on TCP.
func Reset(at Phase) Answer {
	return raw(func(ctx context.Context, conn net.Conn, current []byte) {
		head := head(len(current))
		switch at {
		case InHeader:
			head, current = head[:len(head)/2], nil
		case AfterHeader:
			current = nil
		case InBody:
			current = current[:len(current)/2]
		default:
			head, current = "", nil
		}
		_, _ = io.WriteString(conn, head)
		_, _ = conn.Write(current)
		if head != "" {
			// RST also throws away what the client has not read: give it the time.
			pause(ctx, 20*time.Millisecond)
		}
		reset(conn)
	})
}

// head is an honest header for a body of n octets.
func head(n int) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(n) + "\r\n\r\n"
}

// Hang accepts the request and never answers.
func Hang() Answer {
	return func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() }
}

// Truncated announces the whole body and sends half of it.
func Truncated() Answer {
	return func(w http.ResponseWriter, _ *http.Request, current []byte) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(current)))
		// The server closes the connection when the rest does not come.
		_, _ = w.Write(current[:len(current)/2])
	}
}

// TruncatedJSON sends half of the document as if it were all: HTTP is content,
// JSON is not.
func TruncatedJSON() Answer {
	return Edited(func(current []byte, _ uint64) []byte { return current[:len(current)/2] })
}

// NoLength sends the whole document without its length: it ends where the
// connection does (RFC 9112, 6.3), and only the JSON tells whether that was all.
func NoLength() Answer {
	return raw(func(_ context.Context, conn net.Conn, current []byte) {
		_, _ = fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n%s", current)
	})
}

// BrokenChunks sends the whole document in chunks and then, in place of the last
// chunk, a length that is no number.
func BrokenChunks() Answer {
	return raw(func(_ context.Context, conn net.Conn, current []byte) {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nzz\r\n\r\n",
			len(current), current)
	})
}

// UnendedChunks sends the whole document in one chunk and closes without the
// last chunk: the JSON is complete, the answer is not (RFC 9112, 8).
func UnendedChunks() Answer {
	return raw(func(_ context.Context, conn net.Conn, current []byte) {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n",
			len(current), current)
	})
}

// TwoLengths announces two different lengths (RFC 9112, 6.3: an error that
// cannot be recovered from).
func TwoLengths() Answer {
	return raw(func(_ context.Context, conn net.Conn, current []byte) {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nContent-Length: %d\r\n\r\n%s",
			len(current), len(current)/2, current)
	})
}

// ShortLength announces half of the length of what it sends: who believes it has
// half a document, and what follows is no answer to anything.
func ShortLength() Answer {
	return raw(func(_ context.Context, conn net.Conn, current []byte) {
		_, _ = fmt.Fprintf(conn, "%s%s", head(len(current)/2), current)
	})
}

// The types of HTTP/2 frames (RFC 9113, 6) that a server floods with.
const (
	frameSettings    = 0x4
	framePushPromise = 0x5
	framePing        = 0x6
	frameGoAway      = 0x7
)

// Frames speaks HTTP/2 to a client that did not ask for it: frames of one type,
// for as long as the client reads.
func Frames(kind byte) Answer {
	payload := make([]byte, 8)
	stream := byte(0)
	switch kind {
	case frameSettings:
		payload = []byte{0, 3, 0, 0, 0, 100} // SETTINGS_MAX_CONCURRENT_STREAMS
	case framePushPromise:
		stream = 1
	}
	frame := slices.Concat([]byte{0, 0, byte(len(payload)), kind, 0, 0, 0, 0, stream}, payload)
	frames := bytes.Repeat(frame, 256)
	return raw(func(_ context.Context, conn net.Conn, _ []byte) {
		for {
			if _, err := conn.Write(frames); err != nil {
				return
			}
		}
	})
}

// HugeHeader sends a header line of n octets before an honest body.
func HugeHeader(n int) Answer {
	return raw(func(_ context.Context, conn net.Conn, current []byte) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Huge: "+strings.Repeat("a", n)+"\r\n")
		_, _ = fmt.Fprintf(conn, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(current), current)
	})
}

// Informational sends 103 Early Hints for as long as the client reads.
func Informational() Answer {
	hints := strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </"+strings.Repeat("a", 900)+">\r\n\r\n", 16)
	return raw(func(_ context.Context, conn net.Conn, _ []byte) {
		for {
			if _, err := io.WriteString(conn, hints); err != nil {
				return
			}
		}
	})
}

// TrickleHeader sends a header an octet each interval, without end.
func TrickleHeader(interval time.Duration) Answer {
	return raw(func(ctx context.Context, conn net.Conn, _ []byte) {
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Slow: ")
		for err == nil && pause(ctx, interval) {
			_, err = io.WriteString(conn, "a")
		}
	})
}

// TrickleBody sends an honest header and then the body an octet each interval.
// It is whole in the end.
func TrickleBody(interval time.Duration) Answer {
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(current)))
		control := http.NewResponseController(w)
		for n := range current {
			if !pause(r.Context(), interval) {
				return
			}
			if _, err := w.Write(current[n : n+1]); err != nil || control.Flush() != nil {
				return
			}
		}
	}
}
