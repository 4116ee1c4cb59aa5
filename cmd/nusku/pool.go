package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// poolCmd is `nusku pool`.
type poolCmd struct {
	Create poolCreateCmd `cmd:"" help:"Make a pool of a database, or replace a pool."`
	List   poolListCmd   `cmd:"" help:"List the pools."`
	Get    poolGetCmd    `cmd:"" help:"Print a pool."`
	Update poolUpdateCmd `cmd:"" help:"Change a pool."`
	Delete poolDeleteCmd `cmd:"" help:"Remove pools, not their databases."`
}

// Help is what --help says below the usage.
func (*poolCmd) Help() string {
	return "A pool is a PostgreSQL database that holds queues. Each new queue is placed in one, by weight or as its flavor says, and " +
		"stays there. The gateway's own database always is one, the default pool, which is not listed. With the embedded PostgreSQL " +
		"embedded://local/NAME is a database beside it.\n\nFor example:\n\n" +
		"nusku pool create spare embedded://local/spare --weight=100\n\n" +
		"nusku pool create east postgres://nusku:secret@db-east/nusku --weight=50\n\nnusku pool update east --weight=0"
}

// printPools prints pools in columns, or whole for scripts.
func printPools(out *output, pools []client.Pool) error {
	return rows(out, "POOL WEIGHT FLAVOR URI OPTIONS", pools, func(p client.Pool) any { return p },
		func(p client.Pool) []string {
			return []string{p.Name, count(p.Weight), orDash(p.Flavor), orDash(p.URI), orDash(clip(p.Options, 60))}
		})
}

// orDash is text for a column, which must not be empty.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// explainPool says what to do about a refusal.
func explainPool(err error, name string) error {
	switch client.Status(err) {
	case 404:
		return fmt.Errorf("there is no pool %s; `nusku pool list` shows those that there are", name)
	case 409:
		return fmt.Errorf("%w (give another URI, or use the pool that has it: `nusku pool list` shows them)", err)
	}
	return err
}

type poolCreateCmd struct {
	adminFlags
	Pool    string `arg:"" help:"The pool's name."`
	URI     string `arg:"" name:"uri" help:"The database, like postgres://user:password@host/name."`
	Weight  int64  `default:"100" placeholder:"N" help:"Its share of the new queues, relative to the other pools'; 0 gets none. Default: ${default}."`
	Flavor  string `placeholder:"NAME" help:"The flavor that it belongs to, which must exist."`
	Listen  string `placeholder:"URI" help:"A direct connection to the database, for notifications and migrations, where the URI goes through a connection pooler; the option listen."`
	Options string `placeholder:"JSON" help:"A JSON object."`
}

// Run makes the pool.
func (k *poolCreateCmd) Run(g *globals) error {
	options, err := k.options()
	if err != nil {
		return err
	}
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		err := c.CreatePool(ctx, k.Pool, client.NewPool{URI: k.URI, Weight: k.Weight, Flavor: k.Flavor, Options: options})
		if err != nil {
			return explainPool(err, k.Pool)
		}
		return out.say(map[string]any{"name": k.Pool, "created": true}, "Pool %s created.", k.Pool)
	})
}

// options are --options with --listen, nil without either.
func (k *poolCreateCmd) options() (any, error) {
	options, err := jsonObject("--options", k.Options)
	if err != nil || k.Listen == "" {
		return options, err
	}
	fields := map[string]any{}
	if raw, ok := options.(json.RawMessage); ok {
		if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
			return nil, usageError{errors.New("--options must be a JSON object")}
		}
	}
	fields["listen"] = k.Listen
	return fields, nil
}

type poolListCmd struct {
	adminFlags
	pageFlags
}

// Run lists the pools.
func (k *poolListCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		pools, err := allPages(ctx, k.pageFlags, func(p client.Pool) string { return p.Name }, c.Pools)
		if err != nil {
			return err
		}
		return printPools(out, pools)
	})
}

type poolGetCmd struct {
	adminFlags
	Pool string `arg:"" help:"The pool's name."`
}

// Run prints the pool.
func (k *poolGetCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		pool, err := c.Pool(ctx, k.Pool)
		if err != nil {
			return explainPool(err, k.Pool)
		}
		return printPools(out, []client.Pool{*pool})
	})
}

type poolUpdateCmd struct {
	adminFlags
	Pool    string  `arg:"" help:"The pool's name."`
	URI     *string `name:"uri" placeholder:"URI" help:"Where the same database is now."`
	Weight  *int64  `placeholder:"N" help:"Its share of the new queues; 0 gets none."`
	Flavor  *string `placeholder:"NAME" help:"The flavor that it belongs to; an empty one takes it out of its flavor."`
	Options string  `placeholder:"JSON" help:"A JSON object in place of the old options."`
}

// Run changes the pool.
func (k *poolUpdateCmd) Run(g *globals) error {
	options, err := jsonObject("--options", k.Options)
	if err != nil {
		return err
	}
	if k.URI == nil && k.Weight == nil && k.Flavor == nil && options == nil {
		return usageError{errors.New("nothing to change: say what with --uri, --weight, --flavor or --options")}
	}
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		_, err := c.UpdatePool(ctx, k.Pool, client.PoolChange{URI: k.URI, Weight: k.Weight, Flavor: k.Flavor, Options: options})
		if err != nil {
			return explainPool(err, k.Pool)
		}
		pool, err := c.Pool(ctx, k.Pool) // the answer to the change leaves out the options
		if err != nil {
			return explainPool(err, k.Pool)
		}
		return printPools(out, []client.Pool{*pool})
	})
}

type poolDeleteCmd struct {
	adminFlags
	Pools []string `arg:"" name:"pool" help:"The pools' names."`
}

// Help is what --help says below the usage.
func (*poolDeleteCmd) Help() string {
	return "A pool that holds queues, or that a flavor names, is not removed: delete its queues first, and take it out of the flavor with " +
		"nusku pool update NAME --flavor=."
}

// Run removes the pools.
func (k *poolDeleteCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		for _, name := range k.Pools {
			err := c.DeletePool(ctx, name)
			if client.Status(err) == 403 {
				return fmt.Errorf("%w (delete its queues first, and take it out of its flavor: `nusku pool update %s --flavor=`)", err, name)
			}
			if err != nil {
				return err
			}
			if err := out.say(map[string]any{"name": name, "deleted": true}, "Pool %s removed.", name); err != nil {
				return err
			}
		}
		return nil
	})
}
