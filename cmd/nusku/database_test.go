package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/cmd/internal/config"
	"github.com/nusku-messaging/nusku/store/pgserver"
)

// waiting returns settings for a database that was given, and a log whose lines come out of the channel.
func waiting(url string, wait time.Duration) (*config.Settings, zerolog.Logger, <-chan string) {
	cfg := config.DefaultSettings()
	cfg.DatabaseURL, cfg.DatabaseWait = url, wait
	cfg.UseDatabase(url)
	lines := make(lineChannel, 1000)
	return cfg, zerolog.New(lines), lines
}

type lineChannel chan string

func (c lineChannel) Write(line []byte) (int, error) {
	c <- string(line)
	return len(line), nil
}

func TestDatabaseIsAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes the port; nobody answers there
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	cfg, log, lines := waiting("postgres://x@"+addr+"/x?sslmode=disable", 300*time.Millisecond)
	start := time.Now()
	err = awaitDatabase(t.Context(), cfg, log)
	if err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("a database that is away: %v", err)
	}
	if took := time.Since(start); took > patience/2 {
		t.Errorf("waited for %v", took)
	}
	if len(lines) == 0 {
		t.Error("waited without a word")
	}
}

func TestDatabaseComesLate(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first, err := pgserver.Start(ctx, pgserver.Config{DataDir: dir, Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	url := first.URL()
	if err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	cfg, log, lines := waiting(url, patience)
	answers := make(chan error, 1)
	go func() { answers <- awaitDatabase(ctx, cfg, log) }()
	<-lines // it has tried
	second, err := pgserver.Start(ctx, pgserver.Config{DataDir: dir, Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	if second.URL() != url {
		t.Fatalf("the database has moved to %s", second.URL())
	}
	if err := <-answers; err != nil {
		t.Error(err)
	}
}

// What waiting does not mend is told at once.
func TestDatabaseRefuses(t *testing.T) {
	t.Parallel()
	n := testNode(t, func(*config.Settings) {})
	for _, url := range []string{n.postgres.DatabaseURL("missing"), "postgres://h:port/x"} {
		cfg, log, lines := waiting(url, time.Hour)
		if err := awaitDatabase(t.Context(), cfg, log); err == nil {
			t.Errorf("%s: reached", url)
		}
		if len(lines) != 0 {
			t.Errorf("%s: waited: %s", url, <-lines)
		}
	}
}
