package pgserver

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// wanted is what the gateway hopes for in one setting of a server that it does not run itself.
type wanted struct {
	name   string
	ok     func(value string, n int64) bool // n is value as a number, in the setting's base unit, 0 if it is none
	advice string
}

// A page of shared_buffers is 8 KiB; max_wal_size counts MiB, autovacuum_naptime seconds.
var wantedSettings = []wanted{
	{"fsync", isOn, "a crash of that machine loses acknowledged messages and may destroy the database: set it to on"},
	{"full_page_writes", isOn, "a crash of that machine may destroy the database: set it to on"},
	{"synchronous_commit", isNot("off"), "the gateway sets it for its own sessions, but other writers of this database are not durable: set it to on"},
	{"autovacuum", isOn, "dead rows pile up until every claim crawls: set it to on"},
	{"autovacuum_naptime", atMost(15), "dead rows pile up in busy queues: set it to 5s"},
	{"shared_buffers", atLeast(128 * mib / 8192), "busy queues do not fit the cache: set it to an eighth of the memory, up to 1GB"},
	{"max_wal_size", atLeast(1024), "frequent checkpoints slow every post: set it to 4GB"},
	{"max_connections", atLeast(50), "a few gateways and a person with psql use them up: set it to 100"},
	{"server_encoding", is("UTF8"), "names outside of ASCII cannot be stored: make the database with ENCODING 'UTF8'"},
}

func isOn(value string, _ int64) bool { return value == "on" }

func is(want string) func(string, int64) bool {
	return func(value string, _ int64) bool { return value == want }
}

func isNot(bad string) func(string, int64) bool {
	return func(value string, _ int64) bool { return value != bad }
}

func atLeast(limit int64) func(string, int64) bool {
	return func(_ string, n int64) bool { return n >= limit }
}

func atMost(limit int64) func(string, int64) bool {
	return func(_ string, n int64) bool { return n <= limit }
}

// CheckSettings holds a given server against what the gateway asks of its own, and returns a warning, made for a person
// to read, for each setting that will hurt. conn is a plain connection: settings of its own would hide the server's. It is
// an error when the server is older than MinMajor or cannot be asked.
func CheckSettings(ctx context.Context, conn *pgx.Conn) (warnings []string, err error) {
	names := make([]string, len(wantedSettings))
	for i, w := range wantedSettings {
		names[i] = w.name
	}
	var version int
	var standby bool
	const about = "SELECT current_setting('server_version_num')::int, pg_is_in_recovery()"
	if err := conn.QueryRow(ctx, about).Scan(&version, &standby); err != nil {
		return nil, fmt.Errorf("ask PostgreSQL for its version: %w", err)
	}
	if err := checkVersion(version); err != nil {
		return nil, err
	}
	if standby {
		warnings = append(warnings, "this PostgreSQL is a standby and takes no writes: name its primary too, with target_session_attrs=primary")
	}
	values, err := settingsOf(ctx, conn, names)
	if err != nil {
		return nil, err
	}
	return append(warnings, advise(values)...), nil
}

// checkVersion refuses what is too old; version is server_version_num: 150003 is 15.3.
func checkVersion(version int) error {
	if version < MinMajor*10000 {
		return fmt.Errorf("PostgreSQL %d is too old: the gateway needs %d or newer", version/10000, MinMajor)
	}
	return nil
}

func advise(values map[string]settingValue) (warnings []string) {
	for _, w := range wantedSettings {
		value, ok := values[w.name]
		n, _ := strconv.ParseInt(value.raw, 10, 64) // not a number: 0, which such settings do not look at
		if ok && !w.ok(value.raw, n) {
			warnings = append(warnings, fmt.Sprintf("PostgreSQL's %s is %s: %s", w.name, value.shown, w.advice))
		}
	}
	return warnings
}

type settingValue struct{ raw, shown string }

// settingsOf reads settings as this session sees them.
func settingsOf(ctx context.Context, conn *pgx.Conn, names []string) (map[string]settingValue, error) {
	const query = "SELECT name, setting, current_setting(name) FROM pg_settings WHERE name = ANY($1)"
	rows, err := conn.Query(ctx, query, names)
	if err != nil {
		return nil, fmt.Errorf("ask PostgreSQL for its settings: %w", err)
	}
	values := make(map[string]settingValue, len(names))
	var name string
	var value settingValue
	_, err = pgx.ForEachRow(rows, []any{&name, &value.raw, &value.shown}, func() error {
		values[name] = value
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask PostgreSQL for its settings: %w", err)
	}
	return values, nil
}
