package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// clientFlags are the flags of every subcommand that talks to a gateway.
type clientFlags struct {
	URL      string   `name:"url" env:"NUSKU_URL" default:"ws://127.0.0.1:8888" help:"The gateway."`
	Project  string   `env:"NUSKU_PROJECT" default:"default" help:"The project that the queue belongs to."`
	ClientID string   `name:"client-id" env:"NUSKU_CLIENT_ID" placeholder:"UUID" help:"Who you are to the gateway; by default a UUID that is kept in your configuration folder."`
	JSON     bool     `name:"json" help:"Print one JSON object a line, for scripts."`
	Timeout  timeSpan `default:"30s" placeholder:"TIME" help:"How long to wait for the gateway."`
}

// with connects, calls f and hangs up. f's context ends with the timeout.
func (f *clientFlags) with(g *globals, do func(ctx context.Context, c *client.Client, out *output) error) error {
	return f.withOptions(g, client.Options{}, do)
}

// withOptions is with for a client of its own kind.
func (f *clientFlags) withOptions(g *globals, options client.Options,
	do func(ctx context.Context, c *client.Client, out *output) error,
) error {
	ctx, cancel := context.WithTimeout(g.ctx, f.Timeout.duration())
	defer cancel()
	c, err := f.dial(ctx, options)
	if err != nil {
		return err
	}
	defer c.Close()
	return f.explain(do(ctx, c, f.output(g)))
}

// dial connects; its errors say what to do next.
func (f *clientFlags) dial(ctx context.Context, options client.Options) (*client.Client, error) {
	u, err := url.Parse(f.URL)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, usageError{fmt.Errorf("--url is %q; it must be like ws://127.0.0.1:8888", f.URL)}
	}
	options.Project = f.Project
	if options.ClientID, err = f.clientID(); err != nil {
		return nil, err
	}
	c, err := client.Dial(ctx, f.URL, options)
	return c, f.explain(err)
}

// clientID is the one that was given, else the user's own.
func (f *clientFlags) clientID() (uuid.UUID, error) {
	if f.ClientID == "" {
		return userClientID(), nil
	}
	id, err := uuid.Parse(f.ClientID)
	if err != nil {
		return id, usageError{fmt.Errorf("--client-id is %q; it must be a UUID, like %s", f.ClientID, uuid.New())}
	}
	return id, nil
}

// explain turns the errors that a person can do something about into advice.
func (f *clientFlags) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens on %s: start a gateway with `nusku serve`, or say with --url where it is", f.URL)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %v: see whether the gateway is well, or wait longer with --timeout", f.URL, f.Timeout.duration())
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("there is no host %q: see whether --url is right", unknown.Name)
	}
	if lost, ok := errors.AsType[*client.DisconnectedError](err); ok && lost.Sent {
		return fmt.Errorf("the gateway hung up before it answered, so the change may have been made or not: %w", lost.Err)
	}
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.RetryAfter > 0 {
		return fmt.Errorf("%w; try again in %v", err, refused.RetryAfter)
	}
	return err
}

// output is where results go.
func (f *clientFlags) output(g *globals) *output { return &output{w: g.stdout, json: f.JSON} }

// seconds is a duration for a column: whole seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }
