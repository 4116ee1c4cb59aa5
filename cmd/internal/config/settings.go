package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/gateway/deliver"
	"github.com/nusku-messaging/nusku/notifier"
	"github.com/nusku-messaging/nusku/store"
	"github.com/nusku-messaging/nusku/store/pgserver"
	"github.com/nusku-messaging/nusku/store/pools"
)

// Settings are the values, ready to be handed to the packages.
type Settings struct {
	// Listen is the address to listen on, host:port. Port 0 takes a free one.
	Listen string
	// ReadyFile is a file to which the address is written once the gateway serves; "" for none.
	ReadyFile string
	// Auth is how clients prove who they are: "none".
	Auth string
	// Insecure allows Auth "none" on an address that other machines reach.
	Insecure bool

	// DatabaseURL is a PostgreSQL to use; "" runs an embedded one.
	DatabaseURL string
	// ListenDatabaseURL is a direct connection to the same database; "" uses DatabaseURL.
	ListenDatabaseURL string
	// DatabaseWait is how long a start waits for a database that was given and does not answer. 0 to 1 h, default 30 s.
	DatabaseWait time.Duration
	// Postgres is the embedded PostgreSQL.
	Postgres pgserver.Config

	// LogFormat is "auto" (console on a terminal, else json), "console" or "json".
	LogFormat string
	LogLevel  zerolog.Level

	// DrainTimeout is how long an ordered exit may take before what remains is cut. The database's own stop comes after.
	// 0 to 1 h, default 30 s.
	DrainTimeout time.Duration
	// DatabaseStopTimeout is how much longer than DrainTimeout an exit may take for the database's sake: for the embedded
	// PostgreSQL to end in order, before it is ended at once. 0 to 1 h, default 5 s.
	DatabaseStopTimeout time.Duration

	// Delivery is how webhooks and mailboxes are delivered to.
	Delivery deliver.Config
	// Mail is how subscribers are mailed.
	Mail deliver.MailConfig

	Gateway  gateway.Config
	Store    store.Config
	Pools    pools.Config
	Notifier notifier.Config
}

// DefaultSettings returns the settings that hold when nothing is set. Postgres.DataDir is empty for an account without a
// home folder.
func DefaultSettings() *Settings {
	dataDir, _ := pgserver.DefaultDataDir() // the fault matters, and is told, only if no other folder is set
	return &Settings{
		Listen:              "127.0.0.1:8888",
		Auth:                authNone,
		LogFormat:           LogAuto,
		LogLevel:            zerolog.InfoLevel,
		DatabaseWait:        30 * time.Second,
		DrainTimeout:        30 * time.Second,
		DatabaseStopTimeout: 5 * time.Second,
		Postgres: pgserver.Config{
			DataDir:         dataDir,
			MaxConnections:  100,
			RestartDelay:    100 * time.Millisecond,
			RestartDelayMax: 5 * time.Second,
			LeftoverTimeout: time.Minute,
		},
		Delivery: deliver.DefaultConfig(),
		Mail:     deliver.DefaultMailConfig(),
		Gateway:  gateway.DefaultConfig(),
		Store:    store.DefaultConfig(),
		Pools:    pools.DefaultConfig(),
		Notifier: notifier.DefaultConfig(),
	}
}

// The values of LogFormat.
const (
	LogAuto    = "auto"
	LogConsole = "console"
	LogJSON    = "json"
)

// The values of Auth. authJWT is known only so that it can be refused with its reason.
const (
	authNone = "none"
	authJWT  = "jwt"
)

// Embedded says whether the gateway runs its own PostgreSQL.
func (s *Settings) Embedded() bool { return s.DatabaseURL == "" }

// Check says what is wrong with the settings as a whole, beyond what each must be alone.
func (s *Settings) Check() error {
	faults := []error{s.checkListen(), s.checkParts()}
	if s.Embedded() && s.ListenDatabaseURL != "" {
		faults = append(faults, errors.New("listen-database-url is set, but database-url is not: the embedded PostgreSQL has a direct connection of its own"))
	}
	return errors.Join(faults...)
}

// checkListen refuses an address that others reach while everyone who reaches it may do everything.
func (s *Settings) checkListen() error {
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return fmt.Errorf("listen: %q is not host:port, like 127.0.0.1:8888: %w", s.Listen, err)
	}
	if s.Insecure || isLoopback(host) {
		return nil
	}
	return fmt.Errorf("listen: %s can be reached from other machines, and this gateway does not ask its clients who they are. "+
		"Listen on a loopback address (127.0.0.1, [::1] or localhost) and put a proxy in front that does, "+
		"or say --insecure if everyone who reaches the address may read and write every queue", s.Listen)
}

// isLoopback says whether only this machine reaches host. No host at all means every address of the machine.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
