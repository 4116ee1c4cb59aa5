package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Server is a running private cluster. Its methods may be called concurrently.
type Server struct {
	cfg       Config
	bin       binaries
	acct      account
	pgdata    string
	socketDir string
	lock      *os.File

	running  sync.WaitGroup // the supervisor and the waits for its children
	stopping chan struct{}  // closed by the first Stop
	cut      chan struct{}  // closed when a Stop has no time left
	done     chan struct{}  // closed when the supervisor has returned and all is given back
	stopOnce sync.Once
	cutOnce  sync.Once

	mu      sync.Mutex
	up      bool
	changed chan struct{} // closed and made anew whenever up changes
	pid     int           // the postmaster's, 0 while there is none
	closed  error         // what giving back the lock and the socket's folder said
}

// Start makes the cluster if there is none, starts the server and returns once it takes connections. ctx bounds the
// start only; the server runs until Stop. It fails with an InUseError when another gateway runs on the data folder, with
// a VersionError when the programs do not fit the cluster, and with ErrNotInstalled when there are no programs.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("embedded PostgreSQL: %w", err)
	}
	s := &Server{
		cfg:      cfg,
		pgdata:   filepath.Join(cfg.DataDir, "postgres"),
		stopping: make(chan struct{}),
		cut:      make(chan struct{}),
		done:     make(chan struct{}),
		changed:  make(chan struct{}),
	}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("embedded PostgreSQL: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	if err := makeDataDir(s.cfg.DataDir); err != nil {
		return err
	}
	lock, err := lockDataDir(s.cfg.DataDir)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := s.prepare(ctx); err != nil {
		return errors.Join(err, s.release())
	}
	started := make(chan error, 1)
	s.running.Go(func() { s.supervise(started) })
	go s.finish() // Stop waits for it, by done
	select {
	case err = <-started:
	case <-ctx.Done():
		err = fmt.Errorf("start PostgreSQL: %w", context.Cause(ctx))
	}
	if err == nil {
		err = s.ensureDatabase(ctx)
	}
	if err != nil {
		return errors.Join(err, s.Stop(ctx))
	}
	return nil
}

// prepare brings the data folder to the state from which a postmaster can be started.
func (s *Server) prepare(ctx context.Context) error {
	var err error
	if s.acct, err = chooseAccount(s.pgdata); err != nil {
		return err
	}
	major, err := clusterMajor(s.pgdata)
	if err != nil {
		return err
	}
	if s.bin, err = findBinaries(ctx, s.cfg, major, s.acct); err != nil {
		return err
	}
	if err := checkReachable(ctx, s.bin, s.acct, s.cfg.DataDir); err != nil {
		return err
	}
	if err := removeUnfinished(s.cfg.DataDir); err != nil {
		return err
	}
	if major == 0 {
		s.cfg.Log.Info().Str("data_dir", s.cfg.DataDir).Int("postgresql", s.bin.major).Msg("making a new PostgreSQL cluster")
		if err := initCluster(ctx, s.cfg, s.bin, s.acct, s.pgdata); err != nil {
			return err
		}
	}
	if err := clearLeftovers(ctx, s.cfg, s.pgdata); err != nil {
		return err
	}
	if s.socketDir, err = socketDir(s.cfg.DataDir, s.acct); err != nil {
		return err
	}
	return writeConfig(s.cfg, s.acct, s.pgdata)
}

// supervise owns the postmaster: it starts it, waits, starts it again when it dies, and stops it in the end. The first
// start's outcome goes to started; when that is an error there is no second.
func (s *Server) supervise(started chan<- error) {
	// The parent-death signal is tied to this thread, which ends with this goroutine as it is never unlocked.
	runtime.LockOSThread()
	c, err := s.launch()
	started <- err
	if err != nil {
		return
	}
	backoff := restartBackoff{first: s.cfg.RestartDelay, max: s.cfg.RestartDelayMax}
	for {
		if c != nil {
			s.serve(c, &backoff)
		}
		if !s.pause(backoff.next()) {
			return
		}
		if c, err = s.relaunch(); err != nil && !errors.Is(err, errStopping) {
			s.cfg.Log.Error().Err(err).Msg("PostgreSQL could not be started again")
		}
	}
}

// serve waits until the running postmaster ends, by itself or because of Stop.
func (s *Server) serve(c *child, backoff *restartBackoff) {
	s.setUp(c.cmd.Process.Pid, true)
	since := time.Now()
	select {
	case <-s.stopping:
		s.setUp(c.cmd.Process.Pid, false)
		c.stop(s.cut)
		s.setUp(0, false)
	case <-c.exited:
		s.setUp(0, false)
		s.cfg.Log.Error().Err(c.exitError()).Str("last_lines", c.log.tail()).Msg("PostgreSQL died: starting it again")
		backoff.ran(time.Since(since))
	}
}

// launch starts a postmaster and waits until it takes connections. After an error none is left running.
func (s *Server) launch() (*child, error) {
	c, err := s.startChild()
	if err != nil {
		return nil, err
	}
	if err := c.awaitReady(s.pgdata, s.stopping); err != nil {
		c.stop(s.cut)
		return nil, err
	}
	return c, nil
}

// relaunch is launch after a death: it first sees to what the dead postmaster left.
func (s *Server) relaunch() (*child, error) {
	// The server's own life, not a request's, bounds this wait; Stop interrupts it.
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	s.running.Go(func() {
		select {
		case <-s.stopping:
			cancel(errStopping)
		case <-stop:
		}
	})
	if err := clearLeftovers(ctx, s.cfg, s.pgdata); err != nil {
		return nil, err
	}
	if s.socketDir == filepath.Join(s.cfg.DataDir, "run") {
		if err := makeSocketDir(s.socketDir, s.acct); err != nil {
			return nil, err
		}
	}
	return s.launch()
}

// pause waits before a restart; false means that the server is being stopped.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.stopping:
		return false
	case <-timer.C:
		select {
		case <-s.stopping:
			return false
		default:
			return true
		}
	}
}

func (s *Server) setUp(pid int, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pid = pid
	if s.up != up {
		s.up = up
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// ensureDatabase logs in, which proves that the gateway can, and makes the database if this is a new cluster.
func (s *Server) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err == nil {
		return conn.Close(ctx)
	}
	if !hasCode(err, invalidCatalogName) {
		return fmt.Errorf("log in: %w", err)
	}
	return s.makeDatabase(ctx, Database)
}

// SQLSTATE codes (PostgreSQL manual, appendix A).
const (
	invalidCatalogName = "3D000" // there is no such database
	duplicateDatabase  = "42P04"
	uniqueViolation    = "23505" // two made it at a time
)

func hasCode(err error, codes ...string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, pgErr.Code)
}

// makeDatabase makes a database unless it is there.
func (s *Server) makeDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, s.DatabaseURL("postgres"))
	if err != nil {
		return fmt.Errorf("log in to make the database: %w", err)
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	if hasCode(err, duplicateDatabase, uniqueViolation) {
		err = nil
	}
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	return nil
}

// reserved are the databases that are nobody else's to have.
var reserved = []string{Database, "postgres", "template0", "template1"}

// ErrReserved refuses a database that the cluster cannot be without.
var ErrReserved = errors.New("the database is the gateway's own")

// ExtraDatabase returns the address of one more database of the cluster. With create, it is made if it is missing. Its
// owner and settings are those of the cluster's own. It returns ErrReserved.
func (s *Server) ExtraDatabase(ctx context.Context, name string, create bool) (url string, err error) {
	if slices.Contains(reserved, name) {
		return "", fmt.Errorf("%w: %s", ErrReserved, name)
	}
	if create {
		if err := s.makeDatabase(ctx, name); err != nil {
			return "", err
		}
	}
	return s.DatabaseURL(name), nil
}

// URL is the address of the cluster's database on its Unix socket, for pgx and psql. It stays the same through restarts
// of the server, and is good for the gateway's account and the one that runs the server.
func (s *Server) URL() string { return s.DatabaseURL(Database) }

// DatabaseURL is the address of any of the cluster's databases.
func (s *Server) DatabaseURL(name string) string { return socketURL(s.socketDir, name) }

// Version is the major version of PostgreSQL that runs.
func (s *Server) Version() int { return s.bin.major }

// PID is the postmaster's process id, 0 while there is none.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

// State says whether the server takes connections, and gives a channel that is closed when that next changes.
func (s *Server) State() (up bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up, s.changed
}

// Done is closed when the server has ended for good, which only Stop brings about: a server that dies is started again.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server with a fast shutdown (sessions are cut, a checkpoint is made) and waits. When ctx ends first, the
// server is told to end at once, without the checkpoint, and recovers at its next start: nothing committed is lost either
// way. Further calls wait for the same end.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stopping) })
	select {
	case <-s.done:
	case <-ctx.Done():
		s.cutOnce.Do(func() { close(s.cut) })
		<-s.done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// finish gives everything back once the supervisor has returned.
func (s *Server) finish() {
	s.running.Wait()
	err := s.release()
	s.mu.Lock()
	s.closed = err
	s.mu.Unlock()
	close(s.done)
}

// release gives back the socket's temporary folder and the lock.
func (s *Server) release() error {
	return errors.Join(removeOldSocketDir(s.cfg.DataDir), unlockDataDir(s.lock))
}

// restartBackoff is the pause before each restart: none, then first, doubling up to max, and none again after the server
// has run well for a while.
type restartBackoff struct {
	first, max time.Duration
	delay      time.Duration
}

func (b *restartBackoff) next() time.Duration {
	d := b.delay
	b.delay = min(max(2*d, b.first), b.max)
	return d
}

func (b *restartBackoff) ran(d time.Duration) {
	if d > 2*b.max {
		b.delay = 0
	}
}
