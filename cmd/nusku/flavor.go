package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// flavorCmd is `nusku flavor`.
type flavorCmd struct {
	Create flavorCreateCmd `cmd:"" help:"Make a flavor of pools, or replace one."`
	List   flavorListCmd   `cmd:"" help:"List the flavors."`
	Get    flavorGetCmd    `cmd:"" help:"Print a flavor."`
	Update flavorUpdateCmd `cmd:"" help:"Give a flavor other pools."`
	Delete flavorDeleteCmd `cmd:"" help:"Remove flavors; their pools stay."`
}

// Help is what --help says below the usage.
func (*flavorCmd) Help() string {
	return "A flavor names pools. A queue whose metadata say \"_flavor\" when it is made is placed in one of them.\n\nFor example:\n\n" +
		"nusku flavor create fast east west\n\nnusku queue create jobs '{\"_flavor\": \"fast\"}'"
}

// printFlavors prints flavors in columns, or whole for scripts.
func printFlavors(out *output, flavors []client.Flavor) error {
	return rows(out, "FLAVOR POOLS CAPABILITIES", flavors, func(f client.Flavor) any { return f },
		func(f client.Flavor) []string {
			return []string{f.Name, orDash(strings.Join(f.Pools, ",")), orDash(clip(f.Capabilities, 60))}
		})
}

// explainFlavor says what to do about a refusal.
func explainFlavor(err error, name string) error {
	if client.Status(err) == 404 {
		return fmt.Errorf("there is no flavor %s; `nusku flavor list` shows those that there are", name)
	}
	return err
}

type flavorCreateCmd struct {
	adminFlags
	Flavor string   `arg:"" help:"The flavor's name."`
	Pools  []string `arg:"" name:"pool" help:"The names of its pools, which must exist."`
}

// Run makes the flavor.
func (k *flavorCreateCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		if err := c.CreateFlavor(ctx, k.Flavor, k.Pools...); err != nil {
			return explainFlavor(err, k.Flavor)
		}
		return out.say(map[string]any{"name": k.Flavor, "created": true}, "Flavor %s created.", k.Flavor)
	})
}

type flavorListCmd struct {
	adminFlags
	pageFlags
}

// Run lists the flavors.
func (k *flavorListCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		flavors, err := allPages(ctx, k.pageFlags, func(f client.Flavor) string { return f.Name }, c.Flavors)
		if err != nil {
			return err
		}
		return printFlavors(out, flavors)
	})
}

type flavorGetCmd struct {
	adminFlags
	Flavor string `arg:"" help:"The flavor's name."`
}

// Run prints the flavor.
func (k *flavorGetCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		flavor, err := c.Flavor(ctx, k.Flavor)
		if err != nil {
			return explainFlavor(err, k.Flavor)
		}
		return printFlavors(out, []client.Flavor{*flavor})
	})
}

type flavorUpdateCmd struct {
	adminFlags
	Flavor string   `arg:"" help:"The flavor's name."`
	Pools  []string `arg:"" name:"pool" help:"The names of all pools that it is to have."`
}

// Run gives the flavor other pools.
func (k *flavorUpdateCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		flavor, err := c.UpdateFlavor(ctx, k.Flavor, k.Pools...)
		if err != nil {
			return explainFlavor(err, k.Flavor)
		}
		return printFlavors(out, []client.Flavor{*flavor})
	})
}

type flavorDeleteCmd struct {
	adminFlags
	Flavors []string `arg:"" name:"flavor" help:"The flavors' names."`
}

// Run removes the flavors.
func (k *flavorDeleteCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		for _, name := range k.Flavors {
			err := c.DeleteFlavor(ctx, name)
			if client.Status(err) == 403 {
				return fmt.Errorf("%w (delete the queues first that ask for it)", err)
			}
			if err != nil {
				return err
			}
			if err := out.say(map[string]any{"name": name, "deleted": true}, "Flavor %s removed.", name); err != nil {
				return err
			}
		}
		return nil
	})
}
