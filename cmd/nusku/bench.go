package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/nusku-messaging/nusku/cmd/internal/bench"
)

// benchCmd is `nusku bench`.
type benchCmd struct {
	Post    benchPostCmd    `cmd:"" help:"Durable posts."`
	Claim   benchClaimCmd   `cmd:"" help:"Workers that claim and delete."`
	Fanout  benchFanoutCmd  `cmd:"" help:"Pushes to many subscribers."`
	Latency benchLatencyCmd `cmd:"" help:"From a post to its pushes under light load."`
	Idle    benchIdleCmd    `cmd:"" help:"Memory of subscribed sessions that do nothing."`
	Echo    benchEchoCmd    `cmd:"" hidden:"" help:"Serve the raw reference until interrupted."`
}

// Help is what --help says below the usage.
func (*benchCmd) Help() string {
	return "Without --url a gateway of its own is started, on a free port, with a database in a temporary folder that is " +
		"as durable as any other, and ended and removed afterwards. In each run what the gateway did is checked: that " +
		"every message is there, claimed once, pushed to everyone in order. A violation makes the exit code 1."
}

// benchFlags are the flags of every kind of bench.
type benchFlags struct {
	URL        string        `name:"url" placeholder:"URL" help:"Load this gateway (ws://…) instead of one of its own."`
	GatewayPID int           `name:"gateway-pid" placeholder:"PID" help:"The process of the gateway of --url, if it is on this machine: then its memory and CPU time are shown."`
	Serve      []string      `name:"serve-flag" sep:"none" placeholder:"FLAG" help:"A flag for the gateway that is started, like --serve-flag=--max-frame=2MiB. Can be repeated."`
	Project    string        `default:"bench" help:"The project of the queues."`
	Zaqar      bool          `help:"Speak Zaqar's dialect: no ids, replies echo their requests."`
	JSON       bool          `name:"json" help:"Print the result as one JSON object."`
	Reference  bool          `help:"Measure a raw reference right before and after, and print the ratio to it."`
	BodyBytes  int           `default:"256" placeholder:"BYTES" help:"Size of a message's body."`
	Warmup     time.Duration `default:"1s" help:"What comes before the measured part."`
	Duration   time.Duration `default:"5s" help:"The measured part."`
}

// config is the common part of a run's configuration.
func (f *benchFlags) config() bench.Config {
	cfg := bench.Default()
	cfg.URL, cfg.GatewayPID, cfg.Project, cfg.Zaqar, cfg.BodyBytes = f.URL, f.GatewayPID, f.Project, f.Zaqar, f.BodyBytes
	cfg.Warmup, cfg.Duration = f.Warmup, f.Duration
	return cfg
}

// mode is one of package bench's runs.
type mode func(context.Context, bench.Config) (*bench.Result, error)

// run runs a mode against the gateway that the flags say, and prints its result.
func (f *benchFlags) run(g *globals, cfg bench.Config, run mode, ref reference) (err error) {
	if f.URL == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		gateway, err := bench.StartGateway(g.ctx, self, f.Serve...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, gateway.Stop()) }()
		cfg.URL, cfg.GatewayPID = gateway.URL, gateway.PID
	} else if len(f.Serve) > 0 {
		return usageError{errors.New("--serve-flag is for a gateway that bench starts itself: leave --url out")}
	}
	progress := newProgress(g.stderr)
	cfg.Progress = progress.set
	result, err := f.measure(g, cfg, run, ref)
	progress.clear()
	if result != nil {
		if printErr := printResult(g.stdout, result, f.JSON); err == nil {
			err = printErr
		}
	}
	if err != nil {
		return (&clientFlags{URL: cfg.URL}).explain(err)
	}
	if result.ViolationCount > 0 {
		return fmt.Errorf("%d violations: the gateway did not do what it must", result.ViolationCount)
	}
	return nil
}

// measure runs the mode, beside the reference if it is asked for.
func (f *benchFlags) measure(g *globals, cfg bench.Config, run mode, ref reference) (*bench.Result, error) {
	do := func() (*bench.Result, error) { return run(g.ctx, cfg) }
	if !f.Reference {
		return do()
	}
	measure, stop, err := ref.start(g, cfg)
	if err != nil {
		return nil, err
	}
	result, err := bench.Beside(g.ctx, ref.what, ref.unit, measure, do, ref.figure)
	return result, errors.Join(err, stop())
}

type benchPostCmd struct {
	benchFlags
	Connections     int `default:"64" placeholder:"N" help:"Sessions that post."`
	Depth           int `default:"1" placeholder:"N" help:"Posts that a session has under way at once."`
	MessagesPerPost int `default:"1" placeholder:"N" help:"Messages of one post."`
	Queues          int `default:"1" placeholder:"N" help:"Queues over which the sessions are spread."`
}

// Run measures posts.
func (k *benchPostCmd) Run(g *globals) error {
	cfg := k.config()
	cfg.Connections, cfg.Depth, cfg.PerPost, cfg.Queues = k.Connections, k.Depth, k.MessagesPerPost, k.Queues
	return k.run(g, cfg, bench.Post, copyReference)
}

type benchClaimCmd struct {
	benchFlags
	Connections int  `default:"64" placeholder:"N" help:"Sessions that claim; with --mixed as many others post."`
	Limit       int  `default:"20" placeholder:"N" help:"Messages of one claim; with 1 they are deleted one by one, by claim."`
	Messages    int  `default:"200000" placeholder:"N" help:"The backlog that is posted first, without --mixed."`
	InFlight    int  `default:"0" placeholder:"N" help:"Messages at the queue's head that stay claimed meanwhile."`
	Mixed       bool `help:"Post, claim and delete together, for --duration."`
	Depth       int  `default:"1" placeholder:"N" help:"With --mixed: posts that a session has under way at once."`
	PerPost     int  `name:"messages-per-post" default:"1" placeholder:"N" help:"With --mixed: messages of one post."`
}

// Run measures claims.
func (k *benchClaimCmd) Run(g *globals) error {
	cfg := k.config()
	cfg.Connections, cfg.Limit, cfg.Messages, cfg.InFlight = k.Connections, k.Limit, k.Messages, k.InFlight
	cfg.Depth, cfg.PerPost = k.Depth, k.PerPost
	run := mode(bench.Claim)
	if k.Mixed {
		run = bench.Mixed
	}
	return k.run(g, cfg, run, copyReference)
}

type benchFanoutCmd struct {
	benchFlags
	Subscribers     int `default:"1000" placeholder:"N" help:"Sessions that are pushed to."`
	Depth           int `default:"16" placeholder:"N" help:"Posts that the publisher has under way at once."`
	MessagesPerPost int `default:"1" placeholder:"N" help:"Messages of one post."`
}

// Run measures pushes.
func (k *benchFanoutCmd) Run(g *globals) error {
	cfg := k.config()
	cfg.Subscribers, cfg.Depth, cfg.PerPost = k.Subscribers, k.Depth, k.MessagesPerPost
	return k.run(g, cfg, bench.Fanout, echoRateReference)
}

type benchLatencyCmd struct {
	benchFlags
	Subscribers int `default:"10" placeholder:"N" help:"Sessions that are pushed to."`
	Rate        int `default:"200" placeholder:"N" help:"Posts per second."`
}

// Run measures the way from a post to its pushes.
func (k *benchLatencyCmd) Run(g *globals) error {
	cfg := k.config()
	cfg.Subscribers, cfg.Rate = k.Subscribers, k.Rate
	return k.run(g, cfg, bench.Latency, echoLatencyReference)
}

type benchIdleCmd struct {
	benchFlags
	Connections int           `default:"9000" placeholder:"N" help:"Subscribed sessions."`
	Queues      int           `default:"1" placeholder:"N" help:"Queues over which they are spread."`
	Settle      time.Duration `default:"5s" help:"How long the gateway gets to give memory back."`
}

// Run measures memory.
func (k *benchIdleCmd) Run(g *globals) error {
	cfg := k.config()
	cfg.Connections, cfg.Queues, cfg.Settle = k.Connections, k.Queues, k.Settle
	if k.URL != "" && k.GatewayPID == 0 {
		return usageError{errors.New("with --url the gateway's process has to be given with --gateway-pid: its memory is what is measured")}
	}
	return k.run(g, cfg, bench.Idle, echoMemoryReference)
}

// benchEchoCmd is the process of the echo references.
type benchEchoCmd struct {
	ReadyFile string `required:"" help:"Write the address to this file."`
}

// Run serves echoes until it is interrupted.
func (k *benchEchoCmd) Run(g *globals) error {
	l, err := new(net.ListenConfig).Listen(g.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := writeWhole(k.ReadyFile, l.Addr().String()+"\n"); err != nil {
		return errors.Join(err, l.Close())
	}
	return bench.ServeEcho(g.ctx, l)
}
