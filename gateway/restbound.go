package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/nusku-messaging/nusku/protocol"
)

// restBounds counts the requests that are carried out, in all and of each address, and runs those that wait for the
// database in the gateway's pool: so many of an address at a time, the others in order.
type restBounds struct {
	gw *Gateway

	// running is requests, to look at without the mutex, bodies how many bodies are being read.
	running, bodies atomic.Int64
	// opened has a token for each request for the confirmation page that uses the database.
	opened chan struct{}

	mu       sync.Mutex
	requests int
	// parked are the requests that wait for messages: they are not among those that are carried out.
	parked int
	// pages are the requests for the confirmation page; they count by themselves.
	pages   int
	clients map[netip.Prefix]*restClient
	// stopped says that no more requests are taken; idle is told when none is left then.
	stopped bool
	idle    chan struct{}
	// cut is closed when requests are to end that have not.
	cut chan struct{}
	// largest is what recent replies to claims and reads took at most. Bytes.
	largest int
}

// restClient is what requests come from: an address. The mutex of restBounds guards it.
type restClient struct {
	address                    netip.Prefix
	requests, parked, blocking int
	blocked                    jobList
	pages                      int
}

func (c *restClient) gone() bool { return c.requests+c.parked+c.pages == 0 }

func newRESTBounds(g *Gateway) *restBounds {
	return &restBounds{
		gw: g, clients: make(map[netip.Prefix]*restClient), idle: make(chan struct{}), cut: make(chan struct{}),
		opened: make(chan struct{}, openedPages),
	}
}

// Why a request is refused, for the log.
var (
	errRequests        = errors.New("too many requests")
	errAddressRequests = errors.New("too many requests of one address")
)

// The bounds of requests for the confirmation page: how many there may be, how many of one address, and how many of them
// use the database at a time. One link can be opened by many at a time, and may take little of it from others.
const (
	maxPages           = 128
	maxPagesPerAddress = 16
	openedPages        = 2
)

// openPage waits for a request's turn to use the database for the confirmation page; closed gives it back. It returns nil
// if there are too many such requests, or ctx ended before.
func (b *restBounds) openPage(ctx context.Context, r *http.Request) (closed func()) {
	b.mu.Lock()
	address := clientAddress(r)
	if known := b.clients[address]; b.pages >= maxPages || known != nil && known.pages >= maxPagesPerAddress {
		b.mu.Unlock()
		return nil
	}
	client := b.client(address)
	b.pages++
	client.pages++
	b.mu.Unlock()
	leave := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pages--
		if client.pages--; client.gone() {
			delete(b.clients, client.address)
		}
	}
	select {
	case b.opened <- struct{}{}:
		return func() { <-b.opened; leave() }
	case <-ctx.Done():
		leave()
		return nil
	}
}

// client returns what counts an address, which is made if it is missing. Requires mu.
func (b *restBounds) client(address netip.Prefix) *restClient {
	client := b.clients[address]
	if client == nil {
		client = &restClient{address: address}
		b.clients[address] = client
	}
	return client
}

// enter takes a request, or says why not.
func (b *restBounds) enter(r *http.Request) (*restClient, *protocol.Error) {
	address := clientAddress(r)
	cfg := &b.gw.cfg.REST
	b.mu.Lock()
	defer b.mu.Unlock()
	client := b.clients[address]
	switch {
	case b.stopped:
		return nil, protocol.ErrorStopping(retryStopping)
	case b.requests >= cfg.MaxRequests:
		return nil, protocol.ErrorOverloaded(retryOverloaded, errRequests)
	case client != nil && client.requests >= cfg.MaxRequestsPerAddress:
		return nil, protocol.ErrorOverloaded(retryOverloaded, errAddressRequests)
	}
	client = b.client(address)
	b.requests++
	b.running.Add(1)
	client.requests++
	return client, nil
}

// leave gives a request's place back.
func (b *restBounds) leave(client *restClient) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests--
	b.running.Add(-1)
	client.requests--
	if client.gone() {
		delete(b.clients, client.address)
	}
	if b.stopped && b.requests+b.parked == 0 {
		close(b.idle)
	}
}

// park moves a request's place to those that wait for messages, or back for n = -1. Who comes back takes its place also
// when there are too many by then.
func (b *restBounds) park(client *restClient, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests -= n
	b.parked += n
	b.running.Add(int64(-n))
	client.requests -= n
	client.parked += n
}

// stop makes the gateway take no more requests.
func (b *restBounds) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return
	}
	b.stopped = true
	if b.requests+b.parked == 0 {
		close(b.idle)
	}
}

// await waits, after stop, until all requests are answered. It answers those that are not when ctx ends, and says how
// many these were.
func (b *restBounds) await(ctx context.Context) int {
	select {
	case <-b.idle:
		return 0
	case <-ctx.Done():
	}
	late := int(b.running.Load())
	close(b.cut)
	<-b.idle
	return late
}

// clientAddress is the address that a request's place is counted for. Whoever has an IPv6 address has a network of them.
func clientAddress(r *http.Request) netip.Prefix {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{} // no TCP: all such requests are one client's
	}
	address, bits := at.Addr().Unmap().WithZone(""), 64
	if address.Is4() {
		bits = 32
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// block implements peer.
func (x *exchange) block(c *call) {
	b, client := x.gw.rest, x.client
	b.mu.Lock()
	if client.blocking >= b.gw.cfg.REST.BlockingPerAddress {
		client.blocked.push(&c.job)
		b.mu.Unlock()
		return
	}
	client.blocking++
	b.mu.Unlock()
	x.gw.blockers.submit(c)
}

// carryOut implements peer.
func (x *exchange) carryOut(c *call) {
	b, client := x.gw.rest, x.client
	c.handle()
	b.unblock(client)
}

// unblock passes the place of a handler that has ended on to the client's next.
func (b *restBounds) unblock(client *restClient) {
	b.mu.Lock()
	if client.blocked.empty() {
		client.blocking--
		b.mu.Unlock()
		return
	}
	c := client.blocked.pop().call
	b.mu.Unlock()
	b.gw.blockers.submit(c)
}

// expects is what the next reply to a claim or a read is expected to take.
func (b *restBounds) expects() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(2*b.largest, leastReply)
}

// fetched notes the size of such a reply; those before it fade.
func (b *restBounds) fetched(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.largest = max(size, b.largest-b.largest/8)
}
