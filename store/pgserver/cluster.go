package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// unfinishedPrefix names clusters that are being made. A real one never bears it.
const unfinishedPrefix = ".initdb-unfinished-"

// makeDataDir makes the data folder and lets the account pass through it.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if isFile(filepath.Join(dir, "PG_VERSION")) {
		return fmt.Errorf("%s is itself a PostgreSQL cluster: name a folder that the gateway can have to itself", dir)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	// The account that runs the server only passes through: what it may open lies in folders of its own.
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o011 != 0o011 {
		return os.Chmod(dir, mode|0o011)
	}
	return nil
}

// checkReachable runs a program of PostgreSQL inside the data folder as the account. Root reaches every folder, the
// account it runs the server as does not: root's home is closed to it.
func checkReachable(ctx context.Context, bin binaries, acct account, dataDir string) error {
	if err := command(ctx, acct, dataDir, bin.path("postgres"), "--version").Run(); err != nil {
		return fmt.Errorf("the account %s, which runs PostgreSQL, cannot reach the data folder %s (a folder above it is closed to others?): "+
			"choose another one with --data-dir, for instance /var/lib/nusku: %w", acct.name, dataDir, err)
	}
	return nil
}

// clusterMajor reads the major version that wrote the cluster, 0 when there is no cluster.
func clusterMajor(pgdata string) (int, error) {
	text, err := os.ReadFile(filepath.Join(pgdata, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(pgdata); err == nil {
			return 0, fmt.Errorf("%s exists but holds no PostgreSQL cluster: move it away", pgdata)
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	return major, nil
}

// removeUnfinished sweeps clusters whose making was cut short. The caller holds the data folder's lock, so none of them
// is still being made.
func removeUnfinished(dataDir string) error {
	entries, err := os.ReadDir(dataDir)
	if err != nil {
		return fmt.Errorf("read the data folder: %w", err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), unfinishedPrefix) {
			if err := os.RemoveAll(filepath.Join(dataDir, entry.Name())); err != nil {
				return fmt.Errorf("remove a cluster that was never finished: %w", err)
			}
		}
	}
	return nil
}

// initCluster makes a cluster under a temporary name and renames it when it is whole.
func initCluster(ctx context.Context, cfg Config, bin binaries, acct account, pgdata string) error {
	dir, err := os.MkdirTemp(cfg.DataDir, unfinishedPrefix) // 0700
	if err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	if err := acct.own(dir); err != nil {
		return fmt.Errorf("give the cluster's folder to %s: %w", acct.name, err)
	}
	if err := runInitdb(ctx, cfg, bin, acct, dir); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if err := os.Rename(dir, pgdata); err != nil {
		return fmt.Errorf("name the new cluster: %w", err)
	}
	return syncDir(cfg.DataDir)
}

func runInitdb(ctx context.Context, cfg Config, bin binaries, acct account, dir string) error {
	// The locale C sorts by bytes: fast, and the same after every upgrade of the system, so that no index goes stale.
	args := []string{"-D", dir, "--username=" + Superuser, "--auth=peer", "--encoding=UTF8", "--locale=C", "--no-instructions"}
	if cfg.Unsafe {
		args = append(args, "--no-sync")
	} else {
		args = append(args, "--data-checksums")
	}
	cmd := command(ctx, acct, dir, bin.path("initdb"), args...)
	// SIGTERM lets initdb end the servers that it runs and clear up.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	dieWithParent(cmd, syscall.SIGTERM)
	runtime.LockOSThread() // see dieWithParent
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the cluster: initdb: %w\n%s", err, out)
	}
	return nil
}

// syncDir makes a rename in the folder durable.
func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
