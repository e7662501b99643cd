package lab

import (
	"bufio"
	"crypto/sha256"
	"hash"
	"net"
	"net/http"
	"time"
)

// Served is the record of one answer.
type Served struct {
	Number int       // 1 for the first request of the issuer
	At     time.Time // the request arrived
	Ended  time.Time // the answer ended, whole or not; zero while under way
	Method string
	Target string      // of the request line: path and query
	Header http.Header // of the request, credentials included
	// Remote is the client's address and port. Two answers with one Remote came
	// over one connection.
	Remote string

	// Status is 0 when no answer was begun, and when an answer took the
	// connection over (Raw) and wrote its own bytes.
	Status int
	Raw    bool
	// Bytes counts what was handed to the connection: the body before any
	// transfer coding, or every octet if Raw. The client need not have got them.
	Bytes int64
	// SHA256 is the hash of those Bytes.
	SHA256 [32]byte
}

func newServed(number int, r *http.Request) Served {
	return Served{
		Number: number, At: time.Now(), Method: r.Method, Target: r.URL.RequestURI(),
		Header: r.Header.Clone(), Remote: r.RemoteAddr, SHA256: sha256.Sum256(nil),
	}
}

// recorder counts and hashes one answer. Only the goroutine of the request uses
// it.
type recorder struct {
	http.ResponseWriter
	status int
	raw    bool
	bytes  int64
	sum    hash.Hash
}

func (rec *recorder) into(s *Served) {
	s.Status, s.Raw, s.Bytes = rec.status, rec.raw, rec.bytes
	if rec.sum != nil {
		s.SHA256 = [32]byte(rec.sum.Sum(nil))
	}
}

func (rec *recorder) saw(p []byte) {
	if rec.sum == nil {
		rec.sum = sha256.New()
	}
	rec.sum.Write(p)
	rec.bytes += int64(len(p))
}

// WriteHeader notes the status; an informational one is not the answer.
func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 && status >= http.StatusOK {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

// Write notes what the connection took.
func (rec *recorder) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(p)
	rec.saw(p[:n])
	return n, err
}

// Unwrap lets http.ResponseController reach what lies below, to flush.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// Hijack hands the connection over and goes on counting.
func (rec *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(rec.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	rec.raw = true
	return &countedConn{Conn: conn, rec: rec}, buf, nil
}

// countedConn is a connection whose writes are recorded. One goroutine writes.
type countedConn struct {
	net.Conn
	rec *recorder
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.rec.saw(p[:n])
	return n, err
}
