package main

import (
	"context"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// adminRole is the role that manages the gateway itself.
const adminRole = "admin"

// adminFlags are the flags of the subcommands that manage the gateway itself. They speak as an administrator, which a
// gateway believes as long as it authenticates nobody.
type adminFlags struct{ clientFlags }

// with is clientFlags.with for an administrator.
func (f *adminFlags) with(g *globals, do func(ctx context.Context, c *client.Client, out *output) error) error {
	return f.withOptions(g, client.Options{Roles: []string{adminRole}}, do)
}
