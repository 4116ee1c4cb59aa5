package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// healthCmd is `nusku health`.
type healthCmd struct{ adminFlags }

// Help is what --help says below the usage.
func (*healthCmd) Help() string {
	return "The gateway makes a queue in every pool, posts, claims and deletes messages, and removes it again. The exit code is 1 if " +
		"anything failed."
}

// errUnhealthy makes the exit code tell what the table shows.
var errUnhealthy = errors.New("not all is well: what failed is named in the gateway's log under its reference")

// Run prints how the pools are.
func (k *healthCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		health, err := c.Health(ctx)
		if err != nil {
			return err
		}
		err = rows(out, "POOL STATE FREE CLAIMED TOTAL SLOWEST FAILED", health.Pools, func(p client.PoolHealth) any { return p }, poolRow)
		if err != nil {
			return err
		}
		sick := slices.ContainsFunc(health.Pools, func(p client.PoolHealth) bool { return !p.OK() })
		if sick || !health.CatalogReachable {
			return errUnhealthy
		}
		return nil
	})
}

// poolRow is a pool's health as columns.
func poolRow(p client.PoolHealth) []string {
	state := "ok"
	switch {
	case !p.Reachable:
		state = "unreachable"
	case !p.OK():
		state = "failing"
	}
	volume := []string{"-", "-", "-"}
	if v := p.Volume; v != nil {
		volume = []string{count(v.Free), count(v.Claimed), count(v.Total)}
	}
	slowest, failed := operationsRow(p.Operations)
	if p.Ref != "" {
		failed = "connect " + p.Ref
	}
	return slices.Concat([]string{p.Name, state}, volume, []string{slowest, failed})
}

// operationsRow names the slowest operation, and the first that failed with what to look for in the log.
func operationsRow(operations map[string]client.OperationHealth) (slowest, failed string) {
	slowest, failed = "-", "-"
	longest := -1.0
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		o := operations[name]
		if o.Seconds > longest {
			longest = o.Seconds
			took := time.Duration(o.Seconds * float64(time.Second)).Round(10 * time.Microsecond)
			slowest = fmt.Sprintf("%s %v", name, took)
		}
		if !o.Succeeded && failed == "-" {
			failed = name + " " + o.Ref
		}
	}
	return slowest, failed
}

// pingCmd is `nusku ping`.
type pingCmd struct{ clientFlags }

// Run asks the gateway for a sign of life.
func (k *pingCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		start := time.Now()
		if err := c.Ping(ctx); err != nil {
			return err
		}
		took := time.Since(start)
		return out.say(map[string]any{"url": k.URL, "seconds": took.Seconds()}, "%s answered in %v.", k.URL, took.Round(10*time.Microsecond))
	})
}
