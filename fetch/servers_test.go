package fetch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// keySet is a body for tests that do not care.
const keySet = `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}`

// local is the policy under which a loopback server may be reached.
func local() Policy { return Policy{AllowPrivate: true} }

// rawServer speaks octets, not HTTP. Its handler is called for each connection
// after the head of the first request was read.
type rawServer struct {
	addr string

	mu       sync.Mutex
	requests []string
	conns    []net.Conn
	active   int
	ended    sync.Cond // one of the active ended, or a wait took too long
}

// serveRaw starts a server that hands each connection to handle once the head
// of a request has arrived, and closes it afterwards.
func serveRaw(t *testing.T, handle func(c net.Conn)) *rawServer {
	t.Helper()
	return serveConns(t, func(s *rawServer, c net.Conn) {
		if s.request(bufio.NewReader(c)) {
			handle(c)
		}
	})
}

// serveConns starts a server that hands over each connection at once.
func serveConns(t *testing.T, handle func(s *rawServer, c net.Conn)) *rawServer {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{addr: l.Addr().String()}
	s.ended.L = &s.mu
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.active++
			s.mu.Unlock()
			go func() {
				handle(s, c)
				_ = c.Close()
				s.mu.Lock()
				defer s.mu.Unlock()
				s.active--
				s.ended.Broadcast()
			}()
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
		for _, c := range s.conns {
			c.Close()
		}
		s.drained(t)
	})
	return s
}

func (s *rawServer) request(r *bufio.Reader) bool {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		head.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, head.String())
	return true
}

func (s *rawServer) url() string { return "http://" + s.addr + "/jwks.json" }

func (s *rawServer) accepts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// drained waits until every handler has returned. Handlers that wait for the
// end of their connection make it a proof that the client closed it.
func (s *rawServer) drained(t *testing.T) {
	t.Helper()
	late := false
	timer := time.AfterFunc(time.Minute, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.ended.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.active > 0 && !late {
		s.ended.Wait()
	}
	if s.active > 0 {
		t.Errorf("the client holds %d connections open", s.active)
	}
}

// untilClosed blocks until the peer closes.
func untilClosed(c net.Conn) {
	var b [1024]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
	}
}

// say writes and waits for the peer to hang up.
func say(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := c.Write([]byte(text)); err == nil {
			untilClosed(c)
		}
	}
}

// sayAndClose writes and hangs up.
func sayAndClose(text string) func(net.Conn) {
	return func(c net.Conn) { _, _ = c.Write([]byte(text)) }
}

func ok(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

// names is a resolver of names for tests: a DNS server on loopback that answers
// with what lookup says. count is how often the name was asked for before with
// that type.
type lookup func(name string, count int) (rcode uint8, addrs []netip.Addr)

func resolver(t *testing.T, find lookup) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { pc.Close(); wg.Wait() })
	wg.Go(func() {
		asked := map[string]int{}
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(answerDNS(buf[:n], asked, find), from)
		}
	})
	return &net.Resolver{PreferGo: true, Dial: dialTo(pc.LocalAddr().String())}
}

// answerDNS writes an answer by hand (RFC 1035, section 4).
func answerDNS(query []byte, asked map[string]int, find lookup) []byte {
	labels, end := []string{}, 12
	for query[end] != 0 {
		n := int(query[end])
		labels = append(labels, string(query[end+1:end+1+n]))
		end += 1 + n
	}
	end += 5 // the root label, type and class
	name := strings.Join(labels, ".")
	qtype := binary.BigEndian.Uint16(query[end-4:])
	id := name + string(rune(qtype))
	rcode, addrs := find(name, asked[id])
	asked[id]++
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return a.Is4() != (qtype == 1) })

	var b bytes.Buffer
	b.Write(query[:2])
	b.Write([]byte{0x81, 0x80 | rcode, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0})
	b.Write(query[12:end])
	for _, a := range addrs {
		raw := a.AsSlice()
		b.Write([]byte{0xc0, 12, byte(qtype >> 8), byte(qtype), 0, 1, 0, 0, 0, 0, 0, byte(len(raw))})
		b.Write(raw)
	}
	return b.Bytes()
}

// always resolves every name to the same addresses.
func always(addrs ...string) lookup {
	return func(string, int) (uint8, []netip.Addr) { return 0, parsed(addrs...) }
}

func parsed(addrs ...string) []netip.Addr {
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

func dialTo(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
}

// keepAlive answers every request on a connection with the same body.
func keepAlive(body string) func(*rawServer, net.Conn) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	return func(s *rawServer, c net.Conn) {
		r := bufio.NewReader(c)
		for s.request(r) {
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}
}
