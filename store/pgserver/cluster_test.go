package pgserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnotherMajorVersionIsRefused(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, Config{DataDir: dir})
	major := s.Version()
	stop(t, s)
	version := filepath.Join(dir, "postgres", "PG_VERSION")
	real, err := os.ReadFile(version)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(version, []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Config{DataDir: dir, Unsafe: true, BinDir: s.bin.dir})
	var wrong *VersionError
	if !errors.As(err, &wrong) || wrong.Cluster != 99 || wrong.Binaries != major {
		t.Fatalf("the start says %v", err)
	}
	if !strings.Contains(err.Error(), "postgresql-99") {
		t.Errorf("the message does not say what to do: %v", err)
	}
	if err := os.WriteFile(version, real, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, Config{DataDir: dir}) // nothing was lost
}

func TestAnUnfinishedClusterIsSweptAndMadeAnew(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	for _, name := range []string{unfinishedPrefix + "1", "postgres.old"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "base"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	start(t, Config{DataDir: dir})
	if _, err := os.Stat(filepath.Join(dir, unfinishedPrefix+"1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished cluster is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres.old", "base")); err != nil {
		t.Errorf("a folder that is not ours to touch: %v", err)
	}
}

func TestACancelledStartLeavesNoHalfCluster(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	cancelled, cancel := context.WithCancel(t.Context())
	acct, err := chooseAccount(filepath.Join(dir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	bin, err := findBinaries(t.Context(), Config{}, 0, acct)
	if err != nil {
		t.Fatal(err)
	}
	if err := makeDataDir(dir); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := initCluster(cancelled, Config{DataDir: dir, Unsafe: true}, bin, acct, filepath.Join(dir, "postgres")); err == nil {
		t.Fatal("no error")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestFoldersThatAreNotOursAreRefused(t *testing.T) {
	t.Parallel()
	t.Run("a cluster of its own", func(t *testing.T) {
		t.Parallel()
		dir := tempDir(t)
		if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(t.Context(), Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "itself a PostgreSQL cluster") {
			t.Errorf("%v", err)
		}
	})
	t.Run("postgres is no cluster", func(t *testing.T) {
		t.Parallel()
		dir := tempDir(t)
		if err := os.Mkdir(filepath.Join(dir, "postgres"), 0o700); err != nil {
			t.Fatal(err)
		}
		acct, err := chooseAccount(filepath.Join(dir, "none"))
		if err != nil {
			t.Fatal(err)
		}
		if err := acct.own(filepath.Join(dir, "postgres")); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(t.Context(), Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "holds no PostgreSQL cluster") {
			t.Errorf("%v", err)
		}
	})
	t.Run("out of the account's reach", func(t *testing.T) {
		t.Parallel()
		if os.Geteuid() != 0 {
			return // the gateway's own account runs the server: it reaches what the gateway reaches
		}
		dir := filepath.Join(t.TempDir(), "data") // its parent is closed to others
		if _, err := Start(t.Context(), Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "cannot reach") {
			t.Errorf("%v", err)
		}
	})
}
