package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/nusku-messaging/nusku/store/pgserver"
)

const (
	templateDatabase = "template_nusku"
	startTimeout     = time.Minute
	statementTimeout = time.Minute
)

// process is what the tests of this process share. Main fills it in; the cluster comes with the first URL.
var process struct {
	migrate   func(url string) error
	once      sync.Once
	cluster   *cluster
	err       error
	databases atomic.Int64
}

// cluster is the running server and a few connections for making and dropping databases.
type cluster struct {
	dir    string
	server *pgserver.Server
	admin  *pgxpool.Pool
	faults *logWatch
}

// Main is a package's TestMain: it runs the tests, stops the cluster if one was started, and exits. It fails the run
// when goroutines are left over or when PostgreSQL had to break a deadlock (SQLSTATE 40P01), which the store's lock order rules
// out. migrate brings an empty database to the current schema; nil leaves the tests' databases empty.
func Main(m *testing.M, migrate func(url string) error) {
	process.migrate = migrate
	code := m.Run()
	if err := finish(); err != nil {
		fmt.Fprintln(os.Stderr, "storetest:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "storetest: goroutines left over:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// URL makes a database with the current schema for this test alone and returns its address. It is dropped at the
// test's end, so close what uses it by then.
func URL(t testing.TB) string {
	t.Helper()
	process.once.Do(func() { process.cluster, process.err = startCluster(process.migrate) })
	if process.err != nil {
		t.Fatalf("storetest: %v", process.err)
	}
	c := process.cluster
	name := fmt.Sprintf("test_%d", process.databases.Add(1))
	if err := c.exec("CREATE DATABASE " + name + " TEMPLATE " + templateDatabase); err != nil {
		t.Fatalf("storetest: make the test's database: %v", err)
	}
	t.Cleanup(func() {
		if err := c.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("storetest: drop the test's database: %v", err)
		}
	})
	return c.server.DatabaseURL(name)
}

func startCluster(migrate func(url string) error) (*cluster, error) {
	removeAbandoned()
	// Not t.TempDir: its parent is closed to the account that runs the server when the tests run as root.
	dir, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, faults: newLogWatch()}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout) // shared by all tests, so bound to none of them
	defer cancel()
	c.server, err = pgserver.Start(ctx, pgserver.Config{
		DataDir: dir,
		BinDir:  os.Getenv("NUSKU_TEST_POSTGRES_BIN"),
		Log:     zerolog.New(c.faults),
		Unsafe:  true,
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.makeTemplate(ctx, migrate); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *cluster) makeTemplate(ctx context.Context, migrate func(url string) error) error {
	cfg, err := pgxpool.ParseConfig(c.server.URL())
	if err != nil {
		return err
	}
	cfg.MaxConns = 4
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // CREATE DATABASE takes no part in a pipeline
	if c.admin, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	if err := c.exec("CREATE DATABASE " + templateDatabase); err != nil {
		return fmt.Errorf("make the template database: %w", err)
	}
	if migrate == nil {
		return nil
	}
	if err := migrate(c.server.DatabaseURL(templateDatabase)); err != nil {
		return fmt.Errorf("migrate the template database: %w", err)
	}
	// Nobody may be connected to a template while it is copied, and a migration's sessions take a moment to end.
	return c.exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '" + templateDatabase + "'")
}

func (c *cluster) exec(sql string) error {
	// A test's own context is cancelled before its cleanups run, and these statements belong to cleanups, too.
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	_, err := c.admin.Exec(ctx, sql)
	return err
}

func (c *cluster) stop() error {
	if c.admin != nil {
		c.admin.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout) // after all tests
	defer cancel()
	return errors.Join(c.server.Stop(ctx), os.RemoveAll(c.dir))
}

// finish stops the cluster and says what its log holds against the tests.
func finish() error {
	if process.cluster == nil {
		return nil
	}
	err := process.cluster.stop()
	return errors.Join(err, process.cluster.faults.err()) // its log is complete only now
}
