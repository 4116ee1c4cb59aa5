package notifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// listen is the listener's goroutine: it holds a connection with LISTEN, again and again.
func (n *Notifier) listen(ctx context.Context) {
	retry := n.newBackOff()
	for {
		err := n.listenOnce(ctx, retry.Reset)
		n.peers.setListening(false, time.Now())
		if ctx.Err() != nil {
			return
		}
		n.log.Warn().Err(err).Msg("not hearing other gateways, will connect again")
		if !pause(ctx, retry.NextBackOff()) {
			return
		}
	}
}

// listenOnce holds one connection until it fails or ctx ends. It calls established once LISTEN is in place.
func (n *Notifier) listenOnce(ctx context.Context, established func()) error {
	conn, err := n.connect(ctx)
	if err != nil {
		return err
	}
	defer n.disconnect(ctx, conn)
	if err := n.exec(ctx, conn, "LISTEN "+pgx.Identifier{n.cfg.Channel}.Sanitize()); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	established()
	n.log.Debug().Msg("hearing other gateways")
	n.peers.setListening(true, time.Now())
	n.pending.greet()
	// Only now, as what was committed before LISTEN was in place is announced to nobody.
	n.sink.Reconnected()
	for {
		notification, err := n.next(ctx, conn)
		if err != nil {
			return err
		}
		n.receive(notification.Payload)
	}
}

// next waits for a notification. A connection that is silent is checked, as a dead one is silent too.
func (n *Notifier) next(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	for {
		wait, cancel := context.WithTimeout(ctx, n.cfg.CheckInterval)
		notification, err := conn.WaitForNotification(wait)
		silent := errors.Is(wait.Err(), context.DeadlineExceeded)
		cancel()
		if err == nil {
			return notification, nil
		}
		if ctx.Err() != nil || !silent || conn.IsClosed() {
			return nil, fmt.Errorf("wait for notification: %w", err)
		}
		if err := n.exec(ctx, conn, "SELECT 1"); err != nil {
			return nil, fmt.Errorf("check connection: %w", err)
		}
	}
}

// exec runs a statement within the configured time.
func (n *Notifier) exec(ctx context.Context, conn *pgx.Conn, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timeout)
	defer cancel()
	_, err := conn.Exec(ctx, sql)
	return err
}

// receive hands the hints of another gateway to the sink.
func (n *Notifier) receive(payload string) {
	origin, hints, err := parse(payload)
	if err != nil {
		n.badPayload.Do(func() {
			n.log.Warn().Err(err).Int("bytes", len(payload)).Str("channel", n.cfg.Channel).
				Msg("ignored a notification; another version of nusku or another program uses the channel")
		})
		return
	}
	if origin == n.origin {
		return
	}
	if n.peers.hear(origin, time.Now()) {
		n.pending.introduce()
	}
	for _, h := range hints {
		n.deliver(h)
	}
}

// deliver hands one hint to the sink.
func (n *Notifier) deliver(h hint) {
	switch h.kind {
	case kindWake:
		n.sink.Wake(h.queueID, h.n)
	case kindReleased:
		n.sink.Released(h.queueID, h.n)
	case kindChanged:
		n.sink.QueueChanged(h.key, h.queueID)
	case kindSubscriptions:
		n.sink.SubscriptionsChanged(h.key)
	case kindEverything:
		n.sink.Reconnected()
	}
}
