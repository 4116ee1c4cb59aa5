package notifier

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// sender is the sending side: one connection, opened when there is something to send.
type sender struct {
	*Notifier
	conn *pgx.Conn // nil while there is none
}

// send is the sender's goroutine: while one round is on its way, the next one gathers.
func (n *Notifier) send(ctx context.Context) {
	s := &sender{Notifier: n}
	defer s.close(ctx)
	retry := n.newBackOff()
	hello := time.NewTicker(n.cfg.HelloInterval)
	defer hello.Stop()
	for {
		select {
		case <-ctx.Done():
			s.sendLast(ctx)
			return
		case now := <-hello.C:
			n.peers.tick(now)
			n.pending.greet()
		case <-n.pending.ready:
			if err := s.round(ctx); err == nil {
				retry.Reset()
			} else if ctx.Err() == nil {
				n.log.Warn().Err(err).Msg("cannot notify other gateways, will try again")
				pause(ctx, retry.NextBackOff())
			}
		}
	}
}

// round sends all that is pending. What it could not send, or of which it does not know, is pending again.
func (s *sender) round(ctx context.Context) error {
	unsent := s.pending.take()
	payloads := pack(s.origin, unsent.hints(), maxPayload)
	if len(payloads) == 0 {
		return nil
	}
	err := s.notify(ctx, payloads)
	if err != nil {
		s.close(ctx)
		s.pending.putBack(unsent)
	}
	return err
}

// notify sends the payloads in one transaction. It writes no data, so its commit does not wait for the disk.
func (s *sender) notify(ctx context.Context, payloads []string) error {
	if s.conn == nil {
		conn, err := s.connect(ctx)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	// A stop lets what is on its way arrive: it is worth the moment that it takes.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	defer cancel()
	if len(payloads) == 1 {
		if _, err := s.conn.Exec(ctx, "SELECT pg_notify($1, $2)", s.cfg.Channel, payloads[0]); err != nil {
			return fmt.Errorf("notify: %w", err)
		}
		return nil
	}
	var batch pgx.Batch
	for _, payload := range payloads {
		batch.Queue("SELECT pg_notify($1, $2)", s.cfg.Channel, payload)
	}
	if err := s.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// sendLast sends what a stopping gateway still has to say, so that others need not wait for their polls. Without
// a connection it does not try: the database may be away, and nothing is lost.
func (s *sender) sendLast(ctx context.Context) {
	if s.conn == nil {
		return
	}
	if err := s.round(ctx); err != nil {
		s.log.Debug().Err(err).Msg("last notification was not sent")
	}
}

// close closes the connection, if there is one.
func (s *sender) close(ctx context.Context) {
	if s.conn != nil {
		s.disconnect(ctx, s.conn)
		s.conn = nil
	}
}
