package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
)

// Pauses between two attempts to reach the database.
const (
	databasePause    = 100 * time.Millisecond
	databasePauseMax = 2 * time.Second
)

// awaitDatabase waits until the database that was given answers, no longer than the setting says: after a power cut it
// may come up later than the gateway. An embedded one needs no waiting for.
func awaitDatabase(ctx context.Context, cfg *config.Settings, log zerolog.Logger) error {
	if cfg.Embedded() {
		return nil
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = databasePause, databasePauseMax
	var last error
	attempt := func() (struct{}, error) {
		err := reach(ctx, cfg)
		if err != nil {
			last = err
		}
		return struct{}{}, err
	}
	_, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(cfg.DatabaseWait),
		backoff.WithNotify(func(err error, next time.Duration) {
			log.Warn().Err(err).Stringer("at_most", cfg.DatabaseWait).Msg("the database does not answer; trying again")
		}))
	if err != nil {
		return fmt.Errorf("the database that was given: %w", last)
	}
	return nil
}

// reach connects once, to the direct address too if there is one. An error that waiting does not mend is permanent.
func reach(ctx context.Context, cfg *config.Settings) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Store.ConnectTimeout)
	defer cancel()
	for _, url := range []string{cfg.Store.DatabaseURL, cfg.Notifier.ListenURL} {
		conn, err := pgx.Connect(ctx, url)
		if err != nil && mayAnswerLater(err) {
			return err
		}
		if err != nil {
			return backoff.Permanent(err)
		}
		_ = conn.Close(ctx) // nothing was written
	}
	return nil
}

// mayAnswerLater tells a server that is away, starting or full from one that does not want us.
func mayAnswerLater(err error) bool {
	if _, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		return false
	}
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return true
	}
	const cannotConnectNow, tooManyConnections = "57P03", "53300"
	return refused.Code == cannotConnectNow || refused.Code == tooManyConnections
}
