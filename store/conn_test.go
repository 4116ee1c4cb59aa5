package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nusku-messaging/nusku/protocol"
)

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	good := DefaultConfig()
	good.DatabaseURL = "postgres:///x"
	if err := good.Check(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for name, edit := range map[string]func(*Config){
		"no database":  func(c *Config) { c.DatabaseURL = "" },
		"no rows":      func(c *Config) { c.FlushRows = 0 },
		"short lease":  func(c *Config) { c.GatewayLease = time.Second },
		"late answers": func(c *Config) { c.PostTimeout = c.PostWait - 1 },
		"share":        func(c *Config) { c.SweepShare = 101 },
	} {
		bad := good
		edit(&bad)
		if bad.Check() == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := Open(t.Context(), bad, nopLog); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestSessionSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`)
	s := w.store("", nil)
	want := map[string]string{
		"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_bitmapscan": "off", "enable_hashjoin": "off",
		"enable_mergejoin": "off", "jit": "off", "synchronous_commit": "on", "default_transaction_isolation": "read committed",
		"statement_timeout": "10s", "idle_in_transaction_session_timeout": "10s", "TimeZone": "UTC", "lock_timeout": "2s",
	}
	for name, value := range want {
		var got string
		if err := s.pool.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != value {
			t.Errorf("pool: %s is %s, %v", name, got, err)
		}
	}
	config, err := flushConnConfig(&s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.connectFlusher(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	want["lock_timeout"] = "300ms"
	for name, value := range want {
		res := conn.pg.ExecParams(t.Context(), "SELECT current_setting($1)", [][]byte{[]byte(name)}, nil, nil, nil).Read()
		if res.Err != nil || string(res.Rows[0][0]) != value {
			t.Errorf("flusher: %s is %s, %v", name, res.Rows, res.Err)
		}
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	s := &Store{}
	server := func(code, severity string) error {
		return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code, Severity: severity, SeverityUnlocalized: severity})
	}
	own := errors.New("own")
	for _, c := range []struct {
		err         error
		read, write error // nil: unchanged
	}{
		{nil, nil, nil},
		{protocol.ErrNoQueue, nil, nil},
		{pgx.ErrNoRows, nil, nil},
		{server("23505", "ERROR"), nil, nil},
		{server("55P03", "ERROR"), protocol.ErrUnavailable, protocol.ErrUnavailable},
		{server("53100", "ERROR"), protocol.ErrUnavailable, protocol.ErrUnavailable},
		{server("25006", "ERROR"), protocol.ErrUnavailable, protocol.ErrUnavailable},
		{server("57P01", "FATAL"), protocol.ErrUnavailable, protocol.ErrOutcomeUnknown},
		{io.ErrUnexpectedEOF, protocol.ErrUnavailable, protocol.ErrOutcomeUnknown},
		{context.DeadlineExceeded, protocol.ErrUnavailable, protocol.ErrOutcomeUnknown},
		{fmt.Errorf("%w: %w", errNoConn, own), protocol.ErrUnavailable, protocol.ErrUnavailable},
	} {
		for name, f := range map[string]struct {
			classify func(error) error
			want     error
		}{"read": {s.classify, c.read}, "write": {s.classifyWrite, c.write}} {
			got := f.classify(c.err)
			if want := f.want; want == nil && got != c.err || want != nil && (!errors.Is(got, want) || !errors.Is(got, c.err)) {
				t.Errorf("%s: %v became %v, want %v", name, c.err, got, want)
			}
		}
	}
}
