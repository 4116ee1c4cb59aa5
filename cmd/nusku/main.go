// Command nusku is the Nusku messaging gateway and its tools.
//
// Start reading here. `nusku serve` (serve.go) runs a gateway; what it is made of, in the order in which it is
// started, is in wiring.go. The other subcommands are clients of a running gateway, a benchmark, and help for
// operators. Each is a struct below, whose fields are its flags and whose Run method is called.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
)

// cli is the command line: one field per subcommand.
type cli struct {
	Serve        serveCmd        `cmd:"" help:"Run the gateway."`
	Queue        queueCmd        `cmd:"" help:"Make, list, look at, empty and delete queues."`
	Message      messageCmd      `cmd:"" help:"Post, list, take and delete messages."`
	Claim        claimCmd        `cmd:"" help:"Claim messages as a worker does, renew and release claims."`
	Subscribe    subscribeCmd    `cmd:"" help:"Print a queue's messages as they are pushed."`
	Subscription subscriptionCmd `cmd:"" help:"Have a queue's messages sent to webhooks and mail addresses."`
	Topic        topicCmd        `cmd:"" help:"Make, list, look at, empty and delete topics."`
	Pool         poolCmd         `cmd:"" help:"Spread queues over several databases."`
	Flavor       flavorCmd       `cmd:"" help:"Name the pools in which a queue may be placed."`
	Health       healthCmd       `cmd:"" help:"Try every pool of a gateway and show how it went."`
	Ping         pingCmd         `cmd:"" help:"See whether a gateway answers."`
	Bench        benchCmd        `cmd:"" help:"Measure a gateway, and check that it does what it promises."`
	Migrate      migrateCmd      `cmd:"" help:"Bring the database's schema up to date."`
	CheckConfig  checkConfigCmd  `cmd:"" help:"Show the settings in effect and where each comes from."`
	Version      versionCmd      `cmd:"" help:"Print the version."`
}

// newCLI returns the command line with the flags that come from the table of settings.
func newCLI() *cli {
	return &cli{
		Serve:       serveCmd{config.NewFlags()},
		Migrate:     migrateCmd{config.NewDatabaseFlags()},
		CheckConfig: checkConfigCmd{config.NewFlags()},
	}
}

// globals is what every subcommand's Run gets.
type globals struct {
	// ctx ends with the first SIGINT or SIGTERM.
	ctx context.Context
	// stdout is for results, stderr for everything else.
	stdout, stderr io.Writer
	// log writes to stderr, for people. serve has its own, by its settings.
	log zerolog.Logger
}

// The exit codes of nusku.
const (
	exitOK     = 0
	exitFailed = 1 // the work failed; the reason is on stderr
	exitUsage  = 2 // wrong flags or settings; nothing was started
)

func main() {
	// The root of all contexts: it ends with the first signal. After that signals have their default effect
	// again, so a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it parses args, runs the subcommand and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	g := &globals{
		ctx:    ctx,
		stdout: stdout,
		stderr: stderr,
		log:    zerolog.New(zerolog.ConsoleWriter{Out: stderr, NoColor: !isTerminal(stderr)}).With().Timestamp().Logger(),
	}
	exit := -1
	parser, err := kong.New(newCLI(),
		kong.Name("nusku"),
		kong.Description("Nusku is a messaging gateway: queues on WebSockets, kept in PostgreSQL.\n\n"+
			"Run `nusku serve` to start a gateway with its own database."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.UsageOnError(),
	)
	if err != nil {
		fmt.Fprintf(stderr, "nusku: %v\n", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help has printed what was asked for
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "nusku: %v (see nusku --help)\n", err)
		return exitUsage
	}
	return exitCode(command.Run(g), stderr)
}

// usageError marks an error that the caller of the program has to mend: a wrong flag or setting.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitCode reports err to a person and chooses the exit code for it.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "nusku: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
