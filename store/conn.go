package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nusku-messaging/nusku/protocol"
)

// newPool makes the pool; it connects when it is first used.
func newPool(ctx context.Context, cfg *Config) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(cfg.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	pc.MaxConns = int32(cfg.MaxConns)
	pc.MinIdleConns = 1
	pc.PingTimeout = cfg.ConnectTimeout
	// After a restart of the server nobody gets one of its old connections.
	pc.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) { return alive(conn.PgConn()), nil }
	prepareConn(&pc.ConnConfig.Config, cfg, sessionSettings(cfg, cfg.LockTimeout))
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("make database pool: %w", err)
	}
	return pool, nil
}

// flushConnConfig returns how the flusher connects.
func flushConnConfig(cfg *Config) (*pgconn.Config, error) {
	cc, err := pgx.ParseConfig(cfg.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	prepareConn(&cc.Config, cfg, sessionSettings(cfg, cfg.FlushLockTimeout))
	return &cc.Config, nil
}

// prepareConn bounds the time that a lost connection goes unnoticed, and has the settings applied to each new one.
func prepareConn(cc *pgconn.Config, cfg *Config, settings string) {
	cc.ConnectTimeout = cfg.ConnectTimeout
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: cfg.TCPUserTimeout, Interval: max(time.Second, cfg.TCPUserTimeout/3), Count: 3,
		},
		Control: func(network, _ string, raw syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			var err error
			if e := raw.Control(func(fd uintptr) { err = setUserTimeout(fd, cfg.TCPUserTimeout) }); e != nil {
				return e
			}
			return err
		},
	}
	cc.DialFunc = dialer.DialContext
	if cc.ValidateConnect == nil {
		// A standby's answers are late, and nothing can be decided on them.
		cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	cc.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if err := conn.Exec(ctx, settings).Close(); err != nil {
			return fmt.Errorf("apply session settings: %w", err)
		}
		return nil
	}
}

// sessionSettings are statements, not start-up parameters, because poolers refuse unknown start-up parameters.
//
// The plans are pinned: statistics of a table that goes from nothing to millions of rows within a minute are always
// stale, and one flip from an index to a sequential scan or a hash join stops a gateway.
func sessionSettings(cfg *Config, lockTimeout time.Duration) string {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	sec := func(d time.Duration) string { return strconv.FormatInt(int64(max(time.Second, d)/time.Second), 10) }
	settings := [][2]string{
		{"plan_cache_mode", "force_generic_plan"},
		{"enable_seqscan", "off"}, {"enable_bitmapscan", "off"}, {"enable_hashjoin", "off"}, {"enable_mergejoin", "off"},
		{"jit", "off"},
		{"default_transaction_isolation", "'read committed'"}, {"default_transaction_read_only", "off"},
		{"lock_timeout", ms(lockTimeout)},
		{"statement_timeout", ms(cfg.StatementTimeout)},
		{"idle_in_transaction_session_timeout", ms(cfg.IdleInTransactionTimeout)},
		{"timezone", "'UTC'"}, {"client_encoding", "'UTF8'"}, {"bytea_output", "hex"},
		{"tcp_user_timeout", ms(cfg.TCPUserTimeout)}, {"tcp_keepalives_idle", sec(cfg.TCPUserTimeout)},
		{"tcp_keepalives_interval", sec(cfg.TCPUserTimeout / 3)}, {"tcp_keepalives_count", "3"},
	}
	var b strings.Builder
	for _, kv := range settings {
		b.WriteString("SET " + kv[0] + " = " + kv[1] + ";")
	}
	// An answer means committed: never less than a local flush, but a stricter setting of the server (replication)
	// stays. A test server runs with fsync off, where "off" costs nothing either.
	b.WriteString("SELECT set_config('synchronous_commit', 'on', false) " +
		"WHERE current_setting('synchronous_commit') IN ('off', 'local')")
	return b.String()
}

// SQLSTATE codes and classes (PostgreSQL manual, appendix A).
const (
	codeLockNotAvailable = "55P03"
	codeDeadlock         = "40P01"
	codeUniqueViolation  = "23505"
	codeForeignKey       = "23503"
	codeReadOnly         = "25006"
)

// sqlState returns the error's SQLSTATE, "" if the server did not send one.
func sqlState(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// violates says whether a statement failed because of the foreign key with that name.
func violates(err error, constraint string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == codeForeignKey && pgErr.ConstraintName == constraint
}

// transient says whether the server refused for a reason that lies with it and not with what was asked: a lock, its
// shutdown, a full disk, being a standby.
func transient(pgErr *pgconn.PgError) bool {
	switch pgErr.Code[:min(2, len(pgErr.Code))] {
	case "08", "40", "53", "55", "57", "58":
		return true
	}
	return pgErr.Code == codeReadOnly || fatal(pgErr)
}

// fatal says whether the server ended the session with this error.
func fatal(pgErr *pgconn.PgError) bool {
	return pgErr.SeverityUnlocalized == "FATAL" || pgErr.SeverityUnlocalized == "PANIC"
}

// classify turns an error of a reading statement into protocol.ErrUnavailable where that fits, keeping the cause.
// Errors of the protocol package and of the caller's own context pass unchanged, as does nil.
func (s *Store) classify(err error) error {
	var pgErr *pgconn.PgError
	switch {
	case err == nil, isProtocolError(err):
		return err
	case errors.As(err, &pgErr):
		if transient(pgErr) {
			return fmt.Errorf("%w: %w", protocol.ErrUnavailable, err)
		}
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, pgx.ErrNoRows):
		return err
	default: // not the server's words: the connection, its time-out or the pool
		return fmt.Errorf("%w: %w", protocol.ErrUnavailable, err)
	}
}

// classifyWrite is classify for a writing statement: a connection lost after the statement was sent leaves its
// outcome open, which is protocol.ErrOutcomeUnknown.
func (s *Store) classifyWrite(err error) error {
	var pgErr *pgconn.PgError
	var connectErr *pgconn.ConnectError
	switch {
	case err == nil, isProtocolError(err):
		return err
	case errors.As(err, &connectErr), pgconn.SafeToRetry(err), errors.Is(err, errNoConn):
		return fmt.Errorf("%w: %w", protocol.ErrUnavailable, err)
	case errors.As(err, &pgErr) && !fatal(pgErr), errors.Is(err, pgx.ErrNoRows):
		return s.classify(err)
	default:
		return fmt.Errorf("%w: %w", protocol.ErrOutcomeUnknown, err)
	}
}

// errNoConn marks errors that happened before a connection of the pool was had.
var errNoConn = errors.New("no database connection")

// begin starts a transaction of the pool.
func (s *Store) begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoConn, err)
	}
	return tx, nil
}

// inTx runs fn in a transaction of the pool. Its error is classified as a write's.
func (s *Store) inTx(ctx context.Context, fn func(pgx.Tx) error) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return s.classifyWrite(err)
	}
	if err := fn(tx); err != nil {
		// The rollback must reach the server although ctx may have ended; the pool destroys the connection otherwise.
		_ = tx.Rollback(context.WithoutCancel(ctx))
		return s.classify(err)
	}
	return s.classifyCommit(tx.Commit(ctx))
}

// classifyCommit is classifyWrite for the end of a transaction. A connection that is lost between a COMMIT and its answer
// is reported by pgx 5.12 as one that was closed before, so as safe to retry; the transaction may be committed.
func (s *Store) classifyCommit(err error) error {
	if errors.Is(err, pgconn.ErrConnClosed) {
		return fmt.Errorf("%w: %w", protocol.ErrOutcomeUnknown, err)
	}
	return s.classifyWrite(err)
}

func isProtocolError(err error) bool {
	for _, known := range []error{
		protocol.ErrNoQueue, protocol.ErrNoMessage, protocol.ErrNoClaim, protocol.ErrClaimed, protocol.ErrNotClaimedBy,
		protocol.ErrNotClaimed, protocol.ErrNoSubscription, protocol.ErrSubscriptionExists, protocol.ErrPostTooLarge,
		protocol.ErrUnavailable, protocol.ErrOutcomeUnknown, protocol.ErrOverloaded, protocol.ErrStopping, protocol.ErrLeaseLost,
		protocol.ErrNoPool, protocol.ErrPoolExists, protocol.ErrPoolUnreachable, protocol.ErrPoolUnfit, protocol.ErrPoolInUse,
		protocol.ErrNoFlavor, protocol.ErrFlavorInUse, protocol.ErrFlavorElsewhere, protocol.ErrNoRoom, protocol.ErrDeadLetterPool,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("ping: %w", s.classify(err))
	}
	return nil
}
