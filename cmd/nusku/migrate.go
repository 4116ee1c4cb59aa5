package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
	"github.com/nusku-messaging/nusku/store"
)

// migrateCmd is `nusku migrate`.
type migrateCmd struct {
	config.Flags
}

// Help is what --help says below the usage.
func (*migrateCmd) Help() string {
	return "`nusku serve` does this by itself when it starts. It is a command of its own for those who want to see it done " +
		"first. Several may run at once: one does the work while the others wait. It takes the configuration file of serve."
}

// Run brings the schema of the given or of the embedded database up to date.
func (c *migrateCmd) Run(g *globals) (err error) {
	cfg, err := config.Load(&c.Flags, os.Environ())
	if err != nil {
		return usageError{err}
	}
	n := &node{cfg: cfg.Settings, log: newLogger(cfg.Settings, g.stderr)}
	if err := n.startDatabase(g.ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop(g.ctx)) }()
	if err := n.migrate(g.ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(g.stdout, "The database is up to date.")
	return err
}

// migrate brings the schema up to date. The notifier's URL is the direct one: the lock that lets one gateway at a time
// migrate is useless behind a pooler.
func (n *node) migrate(ctx context.Context) error {
	return store.Migrate(ctx, n.cfg.Notifier.ListenURL, n.log.With().Str("part", "store").Logger())
}
