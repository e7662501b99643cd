package lab

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Pipe is a listener without a network, for testing/synctest bubbles: a
// goroutine that waits on net.Pipe is durably blocked, one that waits on a
// socket is not, and then the bubble's clock stands still. Make it within the
// bubble. Its Dial goes into http.Transport.DialContext.
//
// Addresses look like TCP: the client's has a new port for each connection, the
// server's is the one dialled, or 127.0.0.1:443 when that was a name.
type Pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	dialed atomic.Uint32
}

// NewPipe makes a listener that is open.
func NewPipe() *Pipe {
	return &Pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for a Dial. After Close it returns net.ErrClosed.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Dial waits for an Accept. It returns a *net.OpError around net.ErrClosed after
// Close, or around the cause of ctx's end.
func (p *Pipe) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	there := net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback(), 443))
	if a, err := netip.ParseAddrPort(address); err == nil {
		there = net.TCPAddrFromAddrPort(a)
	}
	port := uint16(1024 + p.dialed.Add(1)%60000)
	here := net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback(), port))

	client, server := net.Pipe()
	fail := func(err error) (net.Conn, error) {
		_, _ = client.Close(), server.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Addr: there, Err: err}
	}
	select {
	case <-p.closed: // a closed listener wins over an Accept that is about to end
		return fail(net.ErrClosed)
	default:
	}
	select {
	case p.conns <- &pipeConn{Conn: server, local: there, remote: here}:
		return &pipeConn{Conn: client, local: here, remote: there}, nil
	case <-p.closed:
		return fail(net.ErrClosed)
	case <-ctx.Done():
		return fail(context.Cause(ctx))
	}
}

// Close ends every Accept and Dial. Connections that were made stay open.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr is 127.0.0.1:443.
func (p *Pipe) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback(), 443))
}

func loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// pipeConn is half of a net.Pipe with addresses: those of net.Pipe are all
// "pipe", so that nobody could tell a fresh connection from a reused one.
type pipeConn struct {
	net.Conn
	local, remote net.Addr
}

func (c *pipeConn) LocalAddr() net.Addr  { return c.local }
func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }
