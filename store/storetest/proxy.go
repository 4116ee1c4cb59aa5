package storetest

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Proxy stands between a gateway's connections and PostgreSQL and makes them fail on demand. It reads the protocol's
// message boundaries in both directions, so a fault strikes at an exact point of a commit:
//
//   - DropBeforeSync: the statements arrive, the Sync that would commit them does not. PostgreSQL rolls back.
//   - DropDuringSync: PostgreSQL commits; the client sees every statement's answer, then the connection breaks in the
//     middle of ReadyForQuery, which alone says that the commit happened.
//   - DropAfterSync: PostgreSQL commits; the client sees nothing of the answer.
//   - HoldSync: the statements arrive, and the Sync waits until it is let go: locks are held meanwhile.
//
// A Sync here is also a simple query (pgx's Begin, Commit and Ping), which PostgreSQL answers in the same way; of one that
// is dropped before or held, nothing arrives. All methods may be called at any time, concurrently, and count the Syncs of all
// connections together. The proxy ends with its test.
type Proxy struct {
	url     string
	network string // where PostgreSQL is
	address string

	listener net.Listener
	running  sync.WaitGroup
	closing  chan struct{}

	mu     sync.Mutex
	faults []*fault
	links  map[*link]struct{}
	delay  time.Duration
	refuse bool
	thawed chan struct{} // closed while traffic flows
	syncs  int
}

// Match picks the Sync at which a fault strikes. Its zero value is the next one.
type Match struct {
	// Nth counts the Syncs that match, from the moment the fault is armed: 1, like 0, is the next.
	Nth int
	// SQL, if set, leaves only Syncs of batches with a statement whose text contains it, letter for letter.
	SQL string
}

type faultKind uint8

const (
	dropBefore faultKind = iota + 1
	dropDuring
	dropAfter
	hold
)

// fault is an armed failure.
type fault struct {
	kind  faultKind
	match Match
	fired chan struct{} // closed when the client's connection is cut, or the Sync held
	let   chan struct{} // hold only: closed to let the Sync go
}

// NewProxy starts a proxy in front of the database at url, which must be reached without TLS. It is closed, and every
// connection through it cut, when the test ends.
func NewProxy(t testing.TB, url string) *Proxy {
	t.Helper()
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		t.Fatalf("storetest: proxy: %v", err)
	}
	// A Unix socket's path holds 107 bytes: a folder of t.TempDir could be too long.
	dir, err := os.MkdirTemp("", "nusku-proxy-")
	if err != nil {
		t.Fatalf("storetest: proxy: %v", err)
	}
	p := &Proxy{
		closing: make(chan struct{}),
		links:   make(map[*link]struct{}),
		thawed:  make(chan struct{}),
	}
	close(p.thawed)
	p.network, p.address = pgconn.NetworkAddress(cfg.Host, cfg.Port)
	if p.listener, err = net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432")); err != nil {
		t.Fatalf("storetest: proxy: %v", errors.Join(err, os.RemoveAll(dir)))
	}
	p.url = "postgres://" + cfg.User + "@/" + cfg.Database + "?host=" + dir + "&port=5432"
	if cfg.Password != "" {
		p.url += "&password=" + cfg.Password
	}
	p.running.Add(1)
	go p.accept()
	t.Cleanup(func() {
		p.close()
		_ = os.RemoveAll(dir) // a socket in the temporary files
	})
	return p
}

// URL is the database's address through the proxy.
func (p *Proxy) URL() string { return p.url }

// DropBeforeSync arms a cut ahead of a Sync; the channel is closed when it has happened.
func (p *Proxy) DropBeforeSync(m Match) (fired <-chan struct{}) { return p.arm(dropBefore, m).fired }

// DropDuringSync arms a cut in the middle of a Sync's ReadyForQuery; the channel is closed when it has happened.
func (p *Proxy) DropDuringSync(m Match) (fired <-chan struct{}) { return p.arm(dropDuring, m).fired }

// DropAfterSync arms the loss of all of a Sync's answer; the channel is closed when PostgreSQL has given it, so has
// committed, and the connection is cut.
func (p *Proxy) DropAfterSync(m Match) (fired <-chan struct{}) { return p.arm(dropAfter, m).fired }

// HoldSync arms a wait ahead of a Sync. held is closed when PostgreSQL was sent everything but the Sync; release, which
// may be called before and more than once, lets the Sync go.
func (p *Proxy) HoldSync(m Match) (held <-chan struct{}, release func()) {
	f := p.arm(hold, m)
	var once sync.Once
	return f.fired, func() { once.Do(func() { close(f.let) }) }
}

func (p *Proxy) arm(kind faultKind, m Match) *fault {
	f := &fault{kind: kind, match: m, fired: make(chan struct{}), let: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
	return f
}

// Delay holds every Sync back for d from now on; 0 ends it. A statement's round trip grows by d, whatever its size.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Freeze stops all traffic in both directions, with every connection left open, as a network without a route does. New
// connections are accepted and hang.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
		p.thawed = make(chan struct{})
	default: // frozen already
	}
}

// Thaw ends a Freeze: what was on its way goes on.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

// DropAll cuts every connection that is open.
func (p *Proxy) DropAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut()
	}
}

// Refuse cuts new connections at once, as a server that is down does, until it is called with false.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Syncs is how many Syncs and simple queries have come from clients so far: how often the code under test committed.
func (p *Proxy) Syncs() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.syncs
}

// Connections is how many connections are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// struck counts a Sync and returns the fault that strikes at it, if any.
func (p *Proxy) struck(sqls []string) (*fault, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.syncs++
	var hit *fault
	kept := p.faults[:0]
	for _, f := range p.faults {
		if f.match.picks(sqls) {
			if f.match.Nth--; f.match.Nth <= 0 && hit == nil {
				hit = f
				continue
			}
		}
		kept = append(kept, f)
	}
	p.faults = kept
	return hit, p.delay
}

// flowing is closed while traffic is not frozen.
func (p *Proxy) flowing() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.thawed
}

func (p *Proxy) accept() {
	defer p.running.Done()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed: nothing else ends a listener on a Unix socket
		}
		p.running.Go(func() { p.serve(client) })
	}
}

// serve joins one client to a connection of its own to PostgreSQL and returns when both are closed.
func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if !refuse {
		select {
		case <-p.flowing():
		case <-p.closing:
			refuse = true
		}
	}
	if refuse {
		_ = client.Close()
		return
	}
	// Ends with the test, by close, which cuts the link.
	server, err := (&net.Dialer{Timeout: startTimeout}).DialContext(context.Background(), p.network, p.address)
	if err != nil {
		_ = client.Close() // PostgreSQL is away, and so are we
		return
	}
	l := newLink(p, client, server)
	if !p.add(l) {
		l.cut()
		return
	}
	l.run()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closing:
		return false
	default:
		p.links[l] = struct{}{}
		return true
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	close(p.closing)
	p.mu.Unlock()
	_ = p.listener.Close()
	p.DropAll()
	p.running.Wait()
}
