package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/store/pgserver"
	"github.com/nusku-messaging/nusku/store/pools"
	"github.com/nusku-messaging/nusku/web"
)

// node is a whole gateway in this process. Its fields are in the order in which they are started; stop goes the other
// way round, so that each part finds what it needs for as long as it runs.
type node struct {
	cfg *config.Settings
	log zerolog.Logger

	listener net.Listener
	postgres *pgserver.Server // nil when a database was given
	pools    *pools.Router    // with what attach has attached to each
	delivery *delivery
	gateway  *gateway.Gateway
	attached atomic.Int64 // pools

	// served gets what ended the serving of clients and is then closed; nil before that began. serving waits for it.
	served  chan error
	serving sync.WaitGroup
}

// startNode starts a gateway by cfg and returns when it serves. ctx bounds the start only. After an error nothing is
// left running.
func startNode(ctx context.Context, cfg *config.Settings, log zerolog.Logger) (*node, error) {
	n := &node{cfg: cfg, log: log}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.stop(ctx))
	}
	return n, nil
}

func (n *node) start(ctx context.Context) error {
	// First, as a port that is taken is the likeliest fault. Clients that connect before the end wait in the
	// kernel's queue.
	var err error
	if n.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", n.cfg.Listen); err != nil {
		return fmt.Errorf("listen on %s: %w", n.cfg.Listen, err)
	}
	if err := n.startDatabase(ctx); err != nil {
		return err
	}
	if err := n.startStore(ctx); err != nil {
		return err
	}
	n.cfg.Gateway.Fallback = web.Handler()
	if host, _, err := net.SplitHostPort(n.cfg.Listen); err == nil {
		n.cfg.Gateway.ListenHost = host
	}
	n.cfg.Gateway.Links.MailRefused = n.cfg.MailRefused()
	if err := n.shareKey(ctx); err != nil {
		return err
	}
	if n.delivery, err = newDelivery(n.cfg, n.log.With().Str("part", "delivery").Logger()); err != nil {
		return err
	}
	n.gateway = gateway.New(n.cfg.Gateway, n.pools, n.log.With().Str("part", "gateway").Logger())
	if err := n.pools.Start(n.attach); err != nil {
		return err
	}
	n.gateway.Start()
	n.served = make(chan error, 1)
	n.serving.Go(n.serve)
	return nil
}

// serve takes clients until the gateway is stopped; stop waits for its end.
func (n *node) serve() {
	n.served <- n.gateway.Serve(n.listener)
	close(n.served)
}

// startDatabase runs the embedded PostgreSQL unless a database was given, which it looks at.
func (n *node) startDatabase(ctx context.Context) (err error) {
	if !n.cfg.Embedded() {
		return n.checkDatabase(ctx)
	}
	server := n.cfg.Postgres
	server.Log = n.log.With().Str("part", "postgres").Logger()
	if n.postgres, err = pgserver.Start(ctx, server); err != nil {
		return err
	}
	n.cfg.UseDatabase(n.postgres.URL())
	return nil
}

// checkDatabase warns of settings of a given PostgreSQL that will hurt.
func (n *node) checkDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, n.cfg.Notifier.ListenURL)
	if err != nil {
		return fmt.Errorf("the database that was given: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // nothing was written
	warnings, err := pgserver.CheckSettings(ctx, conn)
	for _, warning := range warnings {
		n.log.Warn().Str("part", "postgres").Msg(warning)
	}
	if err != nil {
		return fmt.Errorf("the database that was given: %w", err)
	}
	return nil
}

// startStore brings the schema up to date and opens the store. The other pools are opened later: they may be away.
func (n *node) startStore(ctx context.Context) (err error) {
	if err := n.migrate(ctx); err != nil {
		return err
	}
	parts := pools.Parts{Store: n.cfg.Store, ListenURL: n.cfg.Notifier.ListenURL}
	if n.postgres != nil {
		parts.Embedded = n.extraDatabase
	}
	n.pools, err = pools.Open(ctx, n.cfg.Pools, parts, n.log.With().Str("part", "store").Logger())
	return err
}

// extraDatabase is pgserver.Server.ExtraDatabase, whose refusal a client may see.
func (n *node) extraDatabase(ctx context.Context, name string, create bool) (url string, err error) {
	url, err = n.postgres.ExtraDatabase(ctx, name, create)
	switch {
	case errors.Is(err, pgserver.ErrReserved) && name == pgserver.Database:
		err = fmt.Errorf("%w: it is the default pool's", protocol.ErrPoolExists)
	case errors.Is(err, pgserver.ErrReserved):
		err = &protocol.FaultDetail{Fault: protocol.ErrPoolUnreachable, Detail: err.Error()}
	}
	return url, err
}

// signingKey names the secret that signs URLs where no setting does.
const signingKey = "signed-urls"

// shareKey has all gateways of the database sign URLs with the same key if none was set.
func (n *node) shareKey(ctx context.Context) error {
	if n.cfg.Gateway.Links.SigningKey != "" {
		return nil
	}
	key, err := n.pools.Secret(ctx, signingKey)
	n.cfg.Gateway.Links.SigningKey = string(key)
	return err
}

// stop ends the gateway in order: clients are told and drained, what they were promised is stored, other gateways hear
// of it, and the database ends last. It takes at most the configured time to drain, and as much again for the embedded
// PostgreSQL to stop.
func (n *node) stop(ctx context.Context) error {
	// ctx has usually ended: that is why we stop.
	ctx = context.WithoutCancel(ctx)
	drain, cancel := context.WithTimeout(ctx, n.cfg.DrainTimeout)
	defer cancel()
	var faults []error
	if n.gateway != nil {
		faults = append(faults, n.gateway.Stop(drain))
	}
	n.stopListening()
	if n.pools != nil {
		n.pools.Stop(drain)
	}
	if n.delivery != nil {
		n.delivery.close()
	}
	if n.postgres != nil {
		last, cancel := context.WithTimeout(ctx, max(n.cfg.DrainTimeout, time.Second))
		defer cancel()
		faults = append(faults, n.postgres.Stop(last))
	}
	return errors.Join(faults...)
}

// stopListening waits until nobody takes clients any more.
func (n *node) stopListening() {
	if n.listener != nil {
		_ = n.listener.Close() // the gateway has closed it already if it got as far as serving
	}
	if n.served != nil {
		n.serving.Wait() // served has room for the reason, which was told, or is no fault as the gateway was stopped
	}
}

// addr is the address that the gateway serves on.
func (n *node) addr() string { return n.listener.Addr().String() }
