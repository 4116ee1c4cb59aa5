package pgserver

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
)

// Superuser and Database are the cluster's superuser and the database that URL names.
const (
	Superuser = "nusku"
	Database  = "nusku"
)

// MinMajor is the oldest major version of PostgreSQL that the gateway works with, embedded or given.
const MinMajor = 14

// Config says where the private cluster lives and how it is run. DataDir is required; every other field's zero value
// is its default.
type Config struct {
	// DataDir is the folder that holds the cluster. It is made when missing. See the package comment for what is in it.
	DataDir string

	// BinDir is the folder with the programs postgres and initdb. Default: the first of PATH, the folders where
	// distributions put them, and CacheDir whose major version fits the cluster.
	BinDir string

	// Log receives the server's own log, and what happens to it. Default: nothing is logged.
	Log zerolog.Logger

	// MaxConnections is PostgreSQL's max_connections. Range: 20 to 10000. Default: 100 (300 with Unsafe).
	MaxConnections int

	// SharedBuffers is PostgreSQL's shared_buffers in bytes. Range: 16 MiB or more. Default: an eighth of the memory
	// that the machine or the control group allows, from 64 MiB to 1 GiB (128 MiB with Unsafe).
	SharedBuffers int64

	// MaxWAL is PostgreSQL's max_wal_size in bytes: how much write-ahead log may gather between two checkpoints.
	// Range: 64 MiB or more. Default: a tenth of the file system, from 512 MiB to 4 GiB.
	MaxWAL int64

	// Settings are further settings of PostgreSQL, by name. They outrank the ones above, but not those that keep the
	// cluster private and durable.
	Settings map[string]string

	// RestartDelay is the pause before the second restart in a row; it doubles from there up to RestartDelayMax. The
	// first restart is made at once. Default: 100 ms and 5 s.
	RestartDelay, RestartDelayMax time.Duration

	// LeftoverTimeout bounds the wait for the server of a gateway that was killed. Past it that server is told to stop
	// without a checkpoint, which PostgreSQL recovers from. Default: 60 s.
	LeftoverTimeout time.Duration

	// Unsafe turns off fsync and full_page_writes. For tests: a power failure destroys the cluster. A commit still reaches
	// the operating system before it is told, so that killed processes lose nothing.
	Unsafe bool
}

// DefaultDataDir is where a gateway keeps its private cluster unless told otherwise: /var/lib/nusku for root, for others
// nusku in the user's data folder ($XDG_DATA_HOME or ~/.local/share). The account that runs PostgreSQL for root could not
// reach into root's home.
func DefaultDataDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/nusku", nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "nusku"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home folder to keep the data in: set --data-dir")
	}
	return filepath.Join(home, ".local", "share", "nusku"), nil
}

// DefaultConfig returns the defaults that depend on nothing: the zero values of SharedBuffers and MaxWAL stand for
// defaults that depend on the machine, and DataDir is for the caller to set (DefaultDataDir).
func DefaultConfig() Config {
	return Config{
		MaxConnections:  100,
		RestartDelay:    100 * time.Millisecond,
		RestartDelayMax: 5 * time.Second,
		LeftoverTimeout: time.Minute,
	}
}

// withDefaults fills in what the caller left zero and makes DataDir absolute.
func (c Config) withDefaults() (Config, error) {
	if c.DataDir == "" {
		return c, errors.New("no data folder is set")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return c, err
	}
	c.DataDir = dir
	def := DefaultConfig()
	if c.Unsafe {
		def.MaxConnections = 300
	}
	c.MaxConnections = cmp.Or(c.MaxConnections, def.MaxConnections)
	c.RestartDelay = cmp.Or(c.RestartDelay, def.RestartDelay)
	c.RestartDelayMax = cmp.Or(c.RestartDelayMax, def.RestartDelayMax)
	c.LeftoverTimeout = cmp.Or(c.LeftoverTimeout, def.LeftoverTimeout)
	return c, c.check()
}

func (c Config) check() error {
	switch {
	case c.MaxConnections < 20 || c.MaxConnections > 10000:
		return errors.New("MaxConnections must be 20 to 10000")
	case c.SharedBuffers != 0 && c.SharedBuffers < 16<<20:
		return errors.New("SharedBuffers must be at least 16 MiB")
	case c.MaxWAL != 0 && c.MaxWAL < 64<<20:
		return errors.New("MaxWAL must be at least 64 MiB")
	}
	return nil
}
