package pgtest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy stands between clients and a server, and can be cut: from then on nothing gets through, connections are reset, and new ones
// are refused, until it is mended.
type Proxy struct {
	listener net.Listener
	server   string
	group    sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
	spy   func(fromClient []byte) Fate
	held  chan struct{} // closed when nothing more gets through
}

// Fate is what becomes of bytes that a client sent.
type Fate int

// The fates.
const (
	Pass     Fate = iota
	Lose          // the connection ends before the server sees them
	Unheeded      // the server gets them, and the connection ends before the client hears more
)

// Through starts a proxy before the server of a DSN, and returns it with the DSN that leads through it.
func Through(t testing.TB, dsn string) (*Proxy, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{server: u.Host, conns: map[net.Conn]bool{}, held: make(chan struct{})}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { //nolint:noctx // a tool of tests
		t.Fatal(err)
	}
	p.group.Go(p.accept)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.Cut()
		p.group.Wait()
	})
	u.Host = p.listener.Addr().String()
	return p, u.String()
}

// Cut resets all connections and refuses new ones.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// Hold swallows everything from now on, both ways, and keeps the connections: the other end seems to be there and says nothing.
func (p *Proxy) Hold() { close(p.held) }

// Mend lets connections through again.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

// Spy decides about what clients send, piece by piece; nil lets everything pass. It must not call the proxy.
func (p *Proxy) Spy(spy func(fromClient []byte) Fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spy = spy
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server) //nolint:noctx // a tool of tests
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			continue
		}
		p.group.Go(func() { p.carry(server, client, func(piece []byte) Fate { return p.judge(server, piece) }) })
		p.group.Go(func() { p.carry(client, server, func([]byte) Fate { return Pass }) })
	}
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if p.cut {
			_ = conn.Close()
			continue
		}
		p.conns[conn] = true
	}
	return !p.cut
}

func (p *Proxy) judge(to net.Conn, piece []byte) Fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spy == nil || p.cut {
		return Pass
	}
	fate := p.spy(piece)
	if fate == Unheeded {
		delete(p.conns, to) // so that a Cut at the same time does not keep it from the server
	}
	return fate
}

func (p *Proxy) carry(to, from net.Conn, judge func([]byte) Fate) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, to)
		delete(p.conns, from)
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-p.held:
			n = 0
		default:
		}
		if n > 0 {
			switch judge(buffer[:n]) {
			case Lose:
				return
			case Unheeded:
				_ = from.Close() // first, so that no answer gets through
				_, _ = to.Write(buffer[:n])
				_, _ = io.Copy(io.Discard, to) // until the server has done it and noticed
				return
			case Pass:
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
