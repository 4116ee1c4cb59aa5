package notifier

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"github.com/nusku-messaging/nusku/protocol"
)

// Sink hears what other gateways did. Its methods are called one at a time, from the listener's goroutine, and
// must not block. All of them are hints: late, repeated, merged, sometimes lost.
type Sink interface {
	// Wake: the queue's messages up to number head are committed.
	Wake(queueID, head int64)
	// QueueChanged: the queue was made, purged or deleted, or its metadata changed.
	QueueChanged(key protocol.QueueKey, queueID int64)
	// Released: messages of the queue from number seq on may be free to be claimed again.
	Released(queueID, seq int64)
	// SubscriptionsChanged: durable subscriptions to the queue changed, or those of some other gateway's sockets ended.
	SubscriptionsChanged(key protocol.QueueKey)
	// Reconnected: anything may have changed, as hints may have been lost. It comes whenever LISTEN is in place
	// (again), and when another gateway says so.
	Reconnected()
}

// Notifier sends hints to the other gateways of a database and hands theirs to its Sink. Its methods are safe
// for concurrent use.
type Notifier struct {
	cfg    Config
	conn   *pgx.ConnConfig
	origin uuid.UUID
	sink   Sink
	log    zerolog.Logger

	pending *pending
	peers   *peers
	// badPayload keeps a stranger on the channel from filling the log.
	badPayload rate.Sometimes

	mu      sync.Mutex
	stopped bool
	cancel  context.CancelFunc // nil until Start
	running sync.WaitGroup     // run
	ended   chan struct{}      // closed when the goroutines have ended
}

// New returns a notifier that is not started. origin is this gateway's own id: hints that carry it are skipped.
// The error is about cfg and shows no password.
func New(cfg Config, origin uuid.UUID, sink Sink, log zerolog.Logger) (*Notifier, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	conn, err := pgx.ParseConfig(cfg.ListenURL)
	if err != nil {
		return nil, fmt.Errorf("notifier: %w", err)
	}
	conn.ConnectTimeout = cfg.Timeout
	conn.RuntimeParams["application_name"] = "nusku notifier"
	dialer := net.Dialer{Timeout: cfg.Timeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: cfg.Timeout, Interval: time.Second, Count: 5,
	}}
	conn.DialFunc = dialer.DialContext
	return &Notifier{
		cfg:        cfg,
		conn:       conn,
		origin:     origin,
		sink:       sink,
		log:        log,
		pending:    newPending(cfg.MaxPending),
		peers:      newPeers(cfg.HelloInterval),
		badPayload: rate.Sometimes{First: 1, Interval: time.Minute},
		ended:      make(chan struct{}),
	}, nil
}

// Start starts the sender and the listener and returns at once; they connect in the background and do so again
// whenever a connection is lost. Further calls, and calls after Stop, do nothing.
func (n *Notifier) Start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel != nil || n.stopped {
		return
	}
	// Background: the goroutines live until Stop, whatever becomes of the caller.
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.running.Go(func() { n.run(ctx) })
}

// run owns the sender and the listener.
func (n *Notifier) run(ctx context.Context) {
	defer close(n.ended)
	var both sync.WaitGroup
	both.Go(func() { n.send(ctx) })
	both.Go(func() { n.listen(ctx) })
	both.Wait()
}

// Stop tries once to send what is pending, closes the connections and waits for the goroutines. When ctx ends
// first it returns the reason, and the goroutines end on their own within the configured timeout. Further calls
// wait likewise. A stopped notifier cannot be started again.
func (n *Notifier) Stop(ctx context.Context) error {
	n.mu.Lock()
	n.stopped = true
	cancel := n.cancel
	n.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	select {
	case <-n.ended:
		n.running.Wait()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop notifier: %w", context.Cause(ctx))
	}
}

// Dirty says that the queue's messages up to number head are committed. It does not block.
func (n *Notifier) Dirty(queueID, head int64) {
	if !n.peers.alone() {
		n.pending.wake(queueID, head)
	}
}

// QueueChanged says that the queue was made, purged or deleted, or that its metadata changed. It does not block.
func (n *Notifier) QueueChanged(key protocol.QueueKey, queueID int64) {
	if !n.peers.alone() {
		n.pending.change(key, queueID)
	}
}

// Released says that messages of the queue from number seq on may be free again. It does not block.
func (n *Notifier) Released(queueID, seq int64) {
	if !n.peers.alone() {
		n.pending.release(queueID, seq)
	}
}

// SubscriptionsChanged says that durable subscriptions to the queue were made or changed, or that subscriptions that
// push to sockets of other gateways were deleted. It does not block.
func (n *Notifier) SubscriptionsChanged(key protocol.QueueKey) {
	if !n.peers.alone() {
		n.pending.end(key)
	}
}

// connect opens a connection.
func (n *Notifier) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, n.conn)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// disconnect closes conn, in an orderly way if the server lets it.
func (n *Notifier) disconnect(ctx context.Context, conn *pgx.Conn) {
	// The connection is closed also when ctx has ended: that is the usual reason to close it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := conn.Close(ctx); err != nil {
		n.log.Debug().Err(err).Msg("close notifier connection")
	}
}

// newBackOff returns the growing time between attempts to connect.
func (n *Notifier) newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = n.cfg.ReconnectMin, n.cfg.ReconnectMax
	b.Reset()
	return b
}

// pause waits and says false if ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
