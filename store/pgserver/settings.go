package pgserver

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// settings are what the gateway asks of its own server. CheckSettings holds a given server against the same.
func settings(cfg Config) map[string]string {
	s := map[string]string{
		"max_connections": strconv.Itoa(cfg.MaxConnections),

		"shared_buffers":       kilobytes(sharedBuffers(cfg)),
		"effective_cache_size": kilobytes(max(memoryLimit()/2, 256*mib)),
		"huge_pages":           "try",

		// A checkpoint makes the next write of every page a full image: have few.
		"max_wal_size":       megabytes(maxWAL(cfg)),
		"min_wal_size":       megabytes(max(maxWAL(cfg)/4, 64*mib)),
		"checkpoint_timeout": "15min",

		// With the default of one minute, millions of dead rows pile up at the heads of busy queues.
		"autovacuum_naptime": "5s",

		// Statements are short and their plans are pinned: compiling them never pays.
		"jit":              "off",
		"random_page_cost": "1.1",

		// A forgotten transaction pins dead rows that every claim then has to step over.
		"idle_in_transaction_session_timeout": "5min",

		"timezone":                   "UTC",
		"log_timezone":               "UTC",
		"datestyle":                  "ISO, MDY",
		"lc_messages":                "C",
		"default_text_search_config": "pg_catalog.english",
	}
	maps.Copy(s, cfg.Settings)
	return s
}

// fixedSettings keep the cluster private and durable. They are given on the command line, which outranks every file
// and ALTER SYSTEM.
func fixedSettings(cfg Config, socketDir string) map[string]string {
	s := map[string]string{
		"listen_addresses":        "",
		"port":                    socketPort,
		"unix_socket_directories": socketDir,
		"unix_socket_permissions": "0700",
		"logging_collector":       "off",
		"log_destination":         "stderr",
		"log_line_prefix":         logPrefix,
		"fsync":                   "on",
		"full_page_writes":        "on",
		"synchronous_commit":      "on",
	}
	if cfg.Unsafe {
		s["fsync"], s["full_page_writes"] = "off", "off" // synchronous_commit costs nothing then
	}
	return s
}

func sharedBuffers(cfg Config) int64 {
	switch {
	case cfg.SharedBuffers != 0:
		return cfg.SharedBuffers
	case cfg.Unsafe:
		return 128 * mib
	}
	return min(max(memoryLimit()/8, 64*mib), gib)
}

func maxWAL(cfg Config) int64 {
	if cfg.MaxWAL != 0 {
		return cfg.MaxWAL
	}
	return min(max(fileSystemSize(cfg.DataDir)/10, 512*mib), 4*gib)
}

// memoryLimit is how much memory the machine has or the control group allows, in bytes.
func memoryLimit() int64 {
	limit := int64(2 * gib) // where nothing can be read
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kb int64
		if n, _ := fmt.Sscanf(string(text), "MemTotal: %d kB", &kb); n == 1 {
			limit = kb * 1024
		}
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 { // "max": no limit
			limit = min(limit, n)
		}
	}
	return limit
}

// fileSystemSize is the size of the file system that holds dir, in bytes.
func fileSystemSize(dir string) int64 {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0
	}
	return int64(min(stat.Blocks, math.MaxInt64/uint64(max(stat.Bsize, 1)))) * int64(stat.Bsize)
}

func kilobytes(n int64) string { return strconv.FormatInt(n/1024, 10) + "kB" }
func megabytes(n int64) string { return strconv.FormatInt(n/mib, 10) + "MB" }

// writeConfig writes the cluster's three files of settings anew.
func writeConfig(cfg Config, acct account, pgdata string) error {
	self, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		return fmt.Errorf("write the cluster's settings: %w", err)
	}
	// os.Root: the folder belongs to another account, and no link that it planted may lead root out of it.
	root, err := os.OpenRoot(pgdata)
	if err != nil {
		return fmt.Errorf("write the cluster's settings: %w", err)
	}
	defer func() { _ = root.Close() }() // a handle for reading
	files := map[string]string{
		"postgresql.conf": configText(settings(cfg)),
		"pg_hba.conf":     hbaText,
		"pg_ident.conf":   identText(acct.name, self.Username),
	}
	for name, text := range files {
		if err := replaceFile(root, name, text, acct); err != nil {
			return fmt.Errorf("write the cluster's settings: %w", err)
		}
	}
	return nil
}

const writtenBy = "# Written by the Nusku gateway at each start. Change settings with ALTER SYSTEM, which outranks this file.\n"

func configText(s map[string]string) string {
	var b strings.Builder
	b.WriteString(writtenBy)
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(s[name], "'", "''"))
	}
	return b.String()
}

const hbaText = writtenBy + `# Only the Unix socket, and only the accounts that pg_ident.conf names.
local all         all peer map=nusku
local replication all peer map=nusku
`

func identText(accounts ...string) string {
	var b strings.Builder
	b.WriteString(writtenBy)
	slices.Sort(accounts)
	for _, name := range slices.Compact(accounts) {
		fmt.Fprintf(&b, "nusku \"%s\" %s\n", name, Superuser)
	}
	return b.String()
}

// replaceFile puts a file in place whole: a crash leaves the old one or the new one.
func replaceFile(root *os.Root, name, text string, acct account) error {
	temp := name + ".new"
	if err := root.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err == nil && acct.drop {
		err = file.Chown(acct.uid, acct.gid)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return root.Rename(temp, filepath.Base(name))
}
