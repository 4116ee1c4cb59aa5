package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"
	"time"
	"unicode"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
)

// serveCmd is `nusku serve`.
type serveCmd struct {
	config.Flags
}

// Help is what --help says below the usage.
func (*serveCmd) Help() string {
	return "Without --database-url the gateway runs a PostgreSQL of its own in --data-dir.\n\n" +
		"Every setting below can also be given as NUSKU_… in the environment (--max-post is NUSKU_MAX_POST) and in a " +
		"file (--config). A flag outranks the environment, which outranks the file. Sizes are bytes or have a unit " +
		"(256KiB, 1MiB, 1GiB), times have one (500ms, 30s, 5m). `nusku check-config` shows what is in effect."
}

// Run serves until the first signal and then exits in order.
func (c *serveCmd) Run(g *globals) error {
	cfg, err := config.Load(&c.Flags, os.Environ())
	if err != nil {
		return usageError{err}
	}
	log := newLogger(cfg.Settings, g.stderr)
	log.Info().Str("version", version()).Msg("starting")
	limitMemory(cfg.Settings)
	n, err := startServing(g.ctx, cfg.Settings, log)
	if g.ctx.Err() != nil && err != nil {
		log.Info().Msg("stopped before it was ready")
		return nil
	}
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := announce(n, g.stdout); err != nil {
		return errors.Join(err, n.stopInTime(g.ctx))
	}
	return await(n, g)
}

// startServing is startNode once the database that was given answers.
func startServing(ctx context.Context, cfg *config.Settings, log zerolog.Logger) (*node, error) {
	if err := awaitDatabase(ctx, cfg, log); err != nil {
		return nil, err
	}
	return startNode(ctx, cfg, log)
}

// await returns when a signal, or a fault of the listener, has ended the gateway.
func await(n *node, g *globals) error {
	var fault error
	select {
	case <-g.ctx.Done():
		n.log.Info().Stringer("at_most", n.stopTimeout()).Msg("stopping; another signal cuts it short")
	case fault = <-n.served:
		fault = fmt.Errorf("serve: %w", fault)
	}
	fault = errors.Join(fault, n.stopInTime(g.ctx))
	if fault == nil {
		n.log.Info().Msg("stopped")
	}
	return fault
}

// stopTimeout is how long stopInTime waits for stop.
func (n *node) stopTimeout() time.Duration { return n.cfg.DrainTimeout + n.cfg.DatabaseStopTimeout }

// stopInTime is stop for a process that ends after it, whatever the database does: when the time is up an embedded
// PostgreSQL that does not get on (its disk hangs, say) is ended at once, and nobody waits for connections that it holds up.
func (n *node) stopInTime(ctx context.Context) error {
	// ctx has usually ended: that is why we stop.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.stopTimeout())
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop(ctx) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	late := fmt.Errorf("stop: not everything ended within %v", n.stopTimeout())
	if n.postgres != nil {
		late = errors.Join(late, n.postgres.Stop(ctx))
	}
	return late
}

// announce tells people and programs that the gateway is ready.
func announce(n *node, stdout io.Writer) error {
	if n.cfg.ReadyFile != "" {
		if err := writeWhole(n.cfg.ReadyFile, n.addr()+"\n"); err != nil {
			return fmt.Errorf("ready file: %w", err)
		}
	}
	if isTerminal(stdout) {
		n.log.Info().Str("addr", n.addr()).Msg("listening")
		return printBanner(n, stdout)
	}
	n.log.Info().Str("addr", n.addr()).Str("open", "http://"+n.addr()+"/").Msg("listening")
	return nil
}

// writeWhole writes a file that nobody sees half written.
func writeWhole(path, content string) error {
	part := path + ".part"
	if err := os.WriteFile(part, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}

var banner = template.Must(template.New("banner").Parse(`
  Nusku serves on {{.Addr}}

  open      http://{{.Addr}}/
  connect   ws://{{.Addr}}/
  data      {{.Data}}
  try       {{.Program}} message post demo '{"hello": "world"}'{{.Flag}}
  stop      Ctrl-C

`))

// printBanner greets a person at a terminal.
func printBanner(n *node, stdout io.Writer) error {
	data := "the database that was given"
	if n.cfg.Embedded() {
		data = n.cfg.Postgres.DataDir
	}
	flag := ""
	if n.addr() != config.DefaultSettings().Listen {
		flag = " --url ws://" + n.addr()
	}
	return banner.Execute(stdout, struct{ Addr, Data, Program, Flag string }{n.addr(), data, programName(os.Args[0]), flag})
}

// programName is the way in which the program was started, as a shell takes it.
func programName(arg0 string) string {
	if strings.ContainsFunc(arg0, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.N) && !strings.ContainsRune("/._-+:@", r) }) {
		return "'" + strings.ReplaceAll(arg0, "'", `'\''`) + "'"
	}
	return arg0
}

// newLogger returns the log of a gateway: for people on a terminal, one JSON object a line elsewhere.
func newLogger(s *config.Settings, stderr io.Writer) zerolog.Logger {
	console := s.LogFormat == config.LogConsole || s.LogFormat == config.LogAuto && isTerminal(stderr)
	if console {
		stderr = zerolog.ConsoleWriter{Out: stderr, NoColor: !isTerminal(stderr), PartsOrder: consoleParts()}
	}
	return zerolog.New(stderr).Level(s.LogLevel).With().Timestamp().Logger()
}

// consoleParts is zerolog's order without the caller.
func consoleParts() []string {
	return []string{zerolog.TimestampFieldName, zerolog.LevelFieldName, zerolog.MessageFieldName}
}
