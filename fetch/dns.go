package fetch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/jwkswatch/jwkswatch/event"
)

// confirmTimeout bounds a second look at a name.
const confirmTimeout = 5 * time.Second

// maxAncestors bounds the look-ups of ResolverAnswers.
const maxAncestors = 8

// missing says why a name was not found: the resolver of the standard library
// gives the same error for a name that does not exist and for one without an
// address. So the name is looked up once more, by a resolver that reads the
// RCODEs on the wire (RFC 1035, section 4.1.1). The code is "" when the second
// look-up ends in another way.
//
// The name is asked as it is, without the search list: only then does NXDOMAIN
// say that somebody else may register it. A name of one label is the matter of
// a search list alone and gets no code.
func (c *Client) missing(ctx context.Context, host string) (code Code, alias string) {
	host = strings.TrimSuffix(host, ".")
	if !strings.Contains(host, ".") {
		return "", ""
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	var seen rcodes
	_, err := c.witness(&seen).LookupNetIP(ctx, "ip", host+".")
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound || dns.IsTemporary || dns.IsTimeout {
		return "", ""
	}
	return seen.verdict()
}

// ResolverAnswers reports whether the resolver answers for a domain above the
// host: whether it names the servers of one of them, up to the top-level
// domain. A resolver that does not is cut off or lies, and its NXDOMAIN for the
// host says nothing.
func (c *Client) ResolverAnswers(ctx context.Context, host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for i := max(1, len(labels)-maxAncestors); i < len(labels); i++ {
		servers, _ := c.witness(new(rcodes)).LookupNS(ctx, strings.Join(labels[i:], ".")+".")
		if len(servers) > 0 {
			return true
		}
	}
	return false
}

// witness is the client's resolver with its answers read along.
func (c *Client) witness(seen *rcodes) *net.Resolver {
	dial := (&net.Dialer{}).DialContext
	if c.Resolver != nil && c.Resolver.Dial != nil {
		dial = c.Resolver.Dial
	}
	return &net.Resolver{
		PreferGo: true,
		// One family that cannot be looked up leaves the question open.
		StrictErrors: true,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			stream := &dnsConn{Conn: nc, seen: seen, prefix: 2}
			// By this the resolver tells datagrams from a stream.
			if packets, ok := nc.(net.PacketConn); ok {
				stream.prefix = 0
				return &dnsPackets{stream, packets}, nil
			}
			return stream, nil
		},
	}
}

// rcodes are the answers to the questions of one look-up.
type rcodes struct {
	mu                   sync.Mutex // A and AAAA are asked at the same time
	nameError, noAddress bool
	alias                string // that the name had, the last of a chain
}

func (r *rcodes) saw(code dnsmessage.RCode, alias string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch code {
	case dnsmessage.RCodeNameError:
		r.nameError = true
		if alias != "" {
			r.alias = alias
		}
	case dnsmessage.RCodeSuccess:
		r.noAddress = true // of this family, as the look-up fails
	}
}

// verdict is nxdomain only without contradiction: a server that knows the name
// for one question and denies it for the other is broken.
func (r *rcodes) verdict() (code Code, alias string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.noAddress:
		return CodeNoAddress, ""
	case r.nameError:
		return CodeNXDomain, r.alias
	}
	return "", ""
}

// dnsConn reads the messages of a connection along. The resolver uses one for
// one question.
type dnsConn struct {
	net.Conn
	seen   *rcodes
	prefix int // octets of length before each message on a stream
	id     uint16
	asked  dnsmessage.Question
	read   []byte
}

// dnsPackets is a dnsConn of datagrams.
type dnsPackets struct {
	*dnsConn
	packets net.PacketConn
}

func (c *dnsPackets) ReadFrom(b []byte) (int, net.Addr, error)   { return c.packets.ReadFrom(b) }
func (c *dnsPackets) WriteTo(b []byte, to net.Addr) (int, error) { return c.packets.WriteTo(b, to) }

func (c *dnsConn) Write(b []byte) (int, error) {
	if len(b) > c.prefix {
		c.id, _, c.asked = message(b[c.prefix:])
	}
	return c.Conn.Write(b)
}

func (c *dnsConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.prefix == 0 {
		c.reply(b[:n])
		return n, err
	}
	// A stream is read in pieces; a message is complete when its length is there.
	c.read = append(c.read, b[:n]...)
	for len(c.read) >= c.prefix {
		end := c.prefix + int(c.read[0])<<8 + int(c.read[1])
		if len(c.read) < end {
			break
		}
		c.reply(c.read[c.prefix:end])
		c.read = c.read[end:]
	}
	return n, err
}

// reply notes an answer to the question, as the resolver recognises it (RFC
// 5452, section 9.1): a datagram with another id or question is not from the
// server that was asked.
func (c *dnsConn) reply(b []byte) {
	id, h, q := message(b)
	// What was cut off is asked again over TCP (RFC 7766, section 5).
	if !h.Response || h.Truncated || id != c.id || q.Type != c.asked.Type || q.Class != c.asked.Class ||
		!strings.EqualFold(q.Name.String(), c.asked.Name.String()) {
		return
	}
	c.seen.saw(h.RCode, aliasIn(b))
}

// maxAliases is how long a chain of aliases is followed.
const maxAliases = 16

// aliasIn is the end of the chain of aliases in an answer, "" for none: "the RCODE
// … refers to the last name in the chain" (RFC 6604, section 3, shortened).
func aliasIn(b []byte) string {
	var p dnsmessage.Parser
	if _, err := p.Start(b); err != nil || p.SkipAllQuestions() != nil {
		return ""
	}
	alias := ""
	for range maxAliases {
		h, err := p.AnswerHeader()
		if err != nil {
			break
		}
		if h.Type != dnsmessage.TypeCNAME {
			if p.SkipAnswer() != nil {
				break
			}
			continue
		}
		r, err := p.CNAMEResource()
		if err != nil {
			break
		}
		alias = event.Text(strings.TrimSuffix(r.CNAME.String(), "."))
	}
	return alias
}

// message reads the head and the question of a message, zero values of what is
// none.
func message(b []byte) (uint16, dnsmessage.Header, dnsmessage.Question) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return 0, dnsmessage.Header{}, dnsmessage.Question{}
	}
	q, err := p.Question()
	if err != nil {
		return 0, dnsmessage.Header{}, dnsmessage.Question{}
	}
	return h.ID, h, q
}
