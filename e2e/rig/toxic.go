package rig

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Toxic is a way to a server, by TCP, that can be made bad.
type Toxic struct {
	t     testing.TB
	proxy *toxiproxy.Proxy
}

// Poison is what a way does: of a kind of toxiproxy (latency, bandwidth, timeout, reset_peer, limit_data), either for what goes to the
// server (Upstream) or for what comes from it, on a share of the connections.
type Poison struct {
	Kind       string
	Upstream   bool
	Share      float32 // 0 is all
	Attributes map[string]int64
}

// NewToxic opens a way to host:port. It is good until it is poisoned or cut.
func NewToxic(t testing.TB, server string) *Toxic {
	t.Helper()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	x := &Toxic{t: t, proxy: toxiproxy.NewProxy(api, "toxic", "127.0.0.1:0", server)}
	if err := x.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.proxy.Stop)
	return x
}

// Address is the near end, host:port. It stays the same.
func (x *Toxic) Address() string { return x.proxy.Listen }

// Poison adds a poison to connections that are there and to those to come.
func (x *Toxic) Poison(p Poison) {
	x.t.Helper()
	stream := "downstream"
	if p.Upstream {
		stream = "upstream"
	}
	share := p.Share
	if share == 0 {
		share = 1
	}
	doc, err := json.Marshal(map[string]any{
		"name": p.Kind + "-" + stream, "type": p.Kind, "stream": stream, "toxicity": share, "attributes": p.Attributes,
	})
	if err != nil {
		x.t.Fatal(err)
	}
	if _, err := x.proxy.Toxics.AddToxicJson(strings.NewReader(string(doc))); err != nil {
		x.t.Fatal(err)
	}
}

// Heal takes all poisons away. Connections that hung are closed.
func (x *Toxic) Heal() {
	x.proxy.Toxics.ResetToxics(context.Background())
}

// Cut ends all connections and lets nobody in.
func (x *Toxic) Cut() { x.proxy.Stop() }

// Mend undoes Cut.
func (x *Toxic) Mend() {
	x.t.Helper()
	if err := x.proxy.Start(); err != nil {
		x.t.Fatal(err)
	}
}

// Faulty stands before a server that speaks HTTP and answers in its place when it is told to.
type Faulty struct {
	server  *http.Server
	address string
	next    http.Handler

	mu     sync.Mutex
	judge  func(*http.Request) int
	faults int
}

// NewFaulty stands before host:port.
func NewFaulty(t testing.TB, server string) *Faulty {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: server})
			r.Out.Host = r.In.Host // it is signed
		},
	}
	f := &Faulty{address: listener.Addr().String(), next: proxy}
	f.server = &http.Server{Handler: f}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = f.server.Close()
		<-done
	})
	return f
}

// Address is the near end, host:port.
func (f *Faulty) Address() string { return f.address }

// Judge makes requests be answered with the status that the function gives; 0 lets them through. Nil lets all through.
func (f *Faulty) Judge(judge func(*http.Request) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.judge = judge
}

// Faults is how many requests were not let through.
func (f *Faulty) Faults() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults
}

// ServeHTTP implements http.Handler.
func (f *Faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	status := 0
	if f.judge != nil {
		status = f.judge(r)
	}
	if status != 0 {
		f.faults++
	}
	f.mu.Unlock()
	if status == 0 {
		f.next.ServeHTTP(w, r)
		return
	}
	code := "InternalError"
	if status == http.StatusServiceUnavailable {
		code = "SlowDown"
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("<Error><Code>" + code + "</Code><Message>Please reduce your request rate.</Message></Error>"))
}
