package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// shareFlags say what the holder of a signed URL may do.
type shareFlags struct {
	Paths   []string `placeholder:"PATH" help:"messages, subscriptions or claims; by default messages."`
	Methods []string `placeholder:"METHOD" help:"GET, POST, PUT, PATCH or DELETE; by default GET."`
	Expires timeSpan `placeholder:"TIME" help:"How long it is good; by default as the gateway says."`
}

// share is what the client takes.
func (f *shareFlags) share() client.Share {
	share := client.Share{Paths: f.Paths, Methods: f.Methods}
	if f.Expires > 0 {
		share.Expires = time.Now().Add(f.Expires.duration())
	}
	return share
}

type queueShareCmd struct {
	clientFlags
	shareFlags
	Queue string `arg:"" help:"The queue's name."`
}

// Help is what --help says below the usage.
func (*queueShareCmd) Help() string {
	return "Prints headers with which anybody may do just that, without an account, until they expire. Whoever has them can use " +
		"them: hand them out with care.\n\nFor example:\n\nnusku queue share jobs --methods=GET,POST --expires=2h"
}

// Run makes a signed URL.
func (k *queueShareCmd) Run(g *globals) error {
	return k.with(g, func(ctx context.Context, c *client.Client, out *output) error {
		signed, err := c.ShareQueue(ctx, k.Queue, k.share())
		if err != nil {
			return err
		}
		if out.json {
			return out.object(signed)
		}
		_, err = fmt.Fprintf(out.w, "URL-Signature: %s\nURL-Expires: %s\nURL-Methods: %s\nURL-Paths: %s\nX-Project-ID: %s\n",
			signed.Signature, signed.Expires, strings.Join(signed.Methods, ","), strings.Join(signed.Paths, ","), signed.Project)
		return err
	})
}
