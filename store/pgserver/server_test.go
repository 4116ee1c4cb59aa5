package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestDataOutliveAStop(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), "made", "by", "start")
	if err := os.Chmod(filepath.Dir(filepath.Dir(filepath.Dir(dir))), 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{DataDir: dir})
	query(t, s.URL(), "CREATE TABLE kept AS SELECT 'data'::text AS what")
	stop(t, s)
	select {
	case <-s.Done():
	default:
		t.Error("Done is open after Stop")
	}
	if up, _ := s.State(); up || s.PID() != 0 {
		t.Errorf("after Stop: up %v, pid %d", up, s.PID())
	}
	s = start(t, Config{DataDir: dir})
	if got := query(t, s.URL(), "SELECT what FROM kept"); got != "data" {
		t.Errorf("after a restart the table holds %q", got)
	}
}

func TestTheClusterIsPrivate(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, Config{DataDir: dir})
	if got := query(t, s.URL(), "SHOW listen_addresses"); got != "" {
		t.Errorf("it listens on %q", got)
	}
	if got := query(t, s.URL(), "SELECT count(*)::text FROM pg_hba_file_rules WHERE type <> 'local' OR auth_method <> 'peer'"); got != "0" {
		t.Errorf("%s ways in but the socket's", got)
	}
	for _, name := range []string{"postgres", "run"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o700 {
			t.Errorf("%s is open to others: %v", name, mode)
		}
		if owner, _, err := ownerOf(filepath.Join(dir, name)); err != nil || owner != s.acct.uid || owner == 0 {
			t.Errorf("%s belongs to %d, %v", name, owner, err)
		}
	}
}

// A gateway that is root may log in, and so may the account that runs the server; a third one may not, even if it gets
// to the socket.
func TestWhoMayLogIn(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // becoming somebody else takes root; every other test logs in as the account itself
	}
	s := start(t, Config{DataDir: tempDir(t)})
	if h := startHelper(t, "login", s.URL(), s.acct.credential()); h.first != "ready" {
		t.Errorf("%s: %s", s.acct.name, h.first)
	}
	stranger, name := ordinary(t)
	if err := os.Chmod(s.socketDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.socketDir, socketName), 0o777); err != nil {
		t.Fatal(err)
	}
	if h := startHelper(t, "login", s.URL(), stranger); !strings.Contains(h.first, "28000") {
		t.Errorf("%s was not refused as the wrong account: %s", name, h.first)
	}
}

func TestRunsForAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // then every test shows it
	}
	as, name := ordinary(t)
	dir := tempDir(t)
	if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
		t.Fatal(err)
	}
	h := startHelper(t, "serve", dir, as)
	url, ready := strings.CutPrefix(h.first, "ready ")
	if !ready {
		t.Fatal(h.first)
	}
	if owner, _, err := ownerOf(filepath.Join(dir, "postgres")); err != nil || owner != int(as.Uid) {
		t.Errorf("the cluster belongs to %d, %v", owner, err)
	}
	// The account's own gateway is let in, and not even root beside it.
	if h := startHelper(t, "login", url, as); h.first != "ready" {
		t.Errorf("%s: %s", name, h.first)
	}
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		_ = conn.Close(t.Context())
		t.Error("root was let in")
	}
	_ = h.stdin.Close()
	if err := h.cmd.Wait(); err != nil {
		t.Errorf("the helper ended with %v", err)
	}
	// Root that takes the folder over runs the server as its owner.
	if s := start(t, Config{DataDir: dir}); s.acct.name != name {
		t.Errorf("root runs it as %s", s.acct.name)
	}
}

func TestASecondGatewayIsRefused(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	first := start(t, Config{DataDir: dir})
	_, err := Start(t.Context(), Config{DataDir: dir, Unsafe: true})
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Fatalf("the second start says %v", err)
	}
	if !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("the message names neither holder nor folder: %v", err)
	}
	query(t, first.URL(), "SELECT 1::text") // the first is unharmed
	if h := startHelper(t, "serve", dir, nil); !strings.Contains(h.first, "in use") {
		t.Errorf("another process: %s", h.first)
	}
}

func TestAKilledPostmasterIsStartedAgain(t *testing.T) {
	t.Parallel()
	s := start(t, Config{DataDir: tempDir(t)})
	url := s.URL()
	query(t, url, "CREATE TABLE kept AS SELECT 'data'::text AS what")
	for round := range 3 {
		up, changed := s.State()
		if !up {
			t.Fatal("it is down")
		}
		killed := s.PID()
		if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-changed
		for up, changed = s.State(); !up; up, changed = s.State() {
			<-changed
		}
		if s.PID() == killed {
			t.Error("the same process is up again")
		}
		if s.URL() != url {
			t.Errorf("the address changed to %s", s.URL())
		}
		if got := query(t, url, "SELECT what FROM kept"); got != "data" {
			t.Errorf("round %d: the table holds %q", round, got)
		}
	}
}

// A busy session that does not notice its postmaster's death keeps the shared memory, and with it the cluster, until it
// is told to end.
func TestAnOrphanedSessionDoesNotBlockTheRestart(t *testing.T) {
	t.Parallel()
	s := start(t, Config{DataDir: tempDir(t)})
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = conn.Exec(context.Background(), "SELECT count(*) FROM generate_series(1, 1000000000000)") // cut in the middle
	}()
	for query(t, s.URL(), "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 1%' AND pid <> pg_backend_pid()") != "1" {
	}
	_, changed := s.State()
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-changed
	for up, changed := s.State(); !up; up, changed = s.State() {
		<-changed
	}
	<-ended
	query(t, s.URL(), "SELECT 1::text")
}

// kill -9 of the gateway: every commit that it was told of is there, and no process is left.
func TestAKilledGatewayLeavesNoOrphan(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	h := startHelper(t, "serve", dir, nil)
	url, ready := strings.CutPrefix(h.first, "ready ")
	if !ready {
		t.Fatal(h.first)
	}
	query(t, url, "CREATE TABLE kept (n int)")
	committed := commitUntilCut(t, url, func(n int) {
		if n == 200 {
			_ = h.cmd.Process.Kill() // tested by what follows
		}
	})
	pgdata := filepath.Join(dir, "postgres")
	left, err := awaitEmpty(t.Context(), pgdata, readPID(filepath.Join(pgdata, "postmaster.pid")), 30*time.Second)
	if err != nil || len(left) > 0 {
		t.Fatalf("processes %v outlive the gateway, %v", left, err)
	}
	s := start(t, Config{DataDir: dir})
	if got := query(t, s.URL(), "SELECT count(*)::text FROM kept WHERE n <= $1", committed); got != fmt.Sprint(committed) {
		t.Errorf("%s of %d commits are there", got, committed)
	}
}

// commitUntilCut inserts 1, 2, 3 … until the connection breaks and returns the last number whose commit was told.
func commitUntilCut(t *testing.T, url string, after func(n int)) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for n := 1; ; n++ {
		if _, err := conn.Exec(t.Context(), "INSERT INTO kept VALUES ($1)", n); err != nil {
			return n - 1
		}
		after(n)
	}
}

// A server that outlived its gateway (no death signal on this system, or still at its checkpoint) is ended first.
func TestALeftoverServerIsEnded(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, Config{DataDir: dir})
	query(t, s.URL(), "CREATE TABLE kept AS SELECT 'data'::text AS what")
	stop(t, s)
	leftover := &Server{cfg: s.cfg, bin: s.bin, acct: s.acct, pgdata: s.pgdata, socketDir: s.socketDir}
	c, err := leftover.startChild()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leftover.running.Wait)
	if err := c.awaitReady(s.pgdata, nil); err != nil {
		t.Fatal(err)
	}
	s = start(t, Config{DataDir: dir})
	<-c.exited
	if c.err != nil {
		t.Errorf("the leftover server was not stopped cleanly: %v", c.err)
	}
	if got := query(t, s.URL(), "SELECT what FROM kept"); got != "data" {
		t.Errorf("the table holds %q", got)
	}
}

// The number in a stale pid file may meanwhile be another process of the same account, which PostgreSQL would take for
// a living postmaster.
func TestAReusedPIDDoesNotBlockTheStart(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, Config{DataDir: dir})
	stop(t, s)
	other := command(t.Context(), s.acct, "/", "sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait() // killed
	})
	text := fmt.Sprintf("%d\n%s\n1700000000\n5432\n%s\n\n  5432001     12345\nready   \n", other.Process.Pid, s.pgdata, s.socketDir)
	if err := os.WriteFile(filepath.Join(s.pgdata, "postmaster.pid"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, Config{DataDir: dir})
	if err := syscall.Kill(other.Process.Pid, 0); err != nil {
		t.Errorf("the innocent process was ended: %v", err)
	}
}

func TestStopWithoutTimeIsRecoveredFrom(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, Config{DataDir: dir})
	query(t, s.URL(), "CREATE TABLE kept AS SELECT 'data'::text AS what")
	none, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(none); err != nil {
		t.Errorf("stop: %v", err)
	}
	s = start(t, Config{DataDir: dir})
	if got := query(t, s.URL(), "SELECT what FROM kept"); got != "data" {
		t.Errorf("the table holds %q", got)
	}
}

func TestALongPathGetsAShortSocket(t *testing.T) {
	t.Parallel()
	top := tempDir(t)
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, strings.Repeat("long", 25), "with, comma and 'quote'")
	s := start(t, Config{DataDir: dir})
	short := s.socketDir
	if strings.HasPrefix(short, dir) {
		t.Fatalf("the socket is in %s", short)
	}
	if info, err := os.Stat(short); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: %v, %v", info.Mode(), err)
	}
	if got := query(t, s.URL(), "SELECT 'in'"); got != "in" {
		t.Errorf("got %q", got)
	}
	stop(t, s)
	if _, err := os.Stat(short); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's folder is left behind: %v", err)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	_, err := Start(t.Context(), Config{DataDir: dir, Unsafe: true, Settings: map[string]string{"work_mem": "plenty"}})
	if err == nil || !strings.Contains(err.Error(), "work_mem") {
		t.Fatalf("the error does not name the setting: %v", err)
	}
	start(t, Config{DataDir: dir}) // the lock was given back
}

func TestSettingsReachTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, Config{DataDir: tempDir(t), MaxConnections: 42, Settings: map[string]string{"search_path": "it's, set", "fsync": "on"}})
	for name, want := range map[string]string{
		"max_connections":    "42",
		"search_path":        "it's, set",
		"autovacuum_naptime": "5s",
		"jit":                "off",
		"fsync":              "off", // given by Unsafe, which Settings do not outrank
		"synchronous_commit": "on",
	} {
		if got := query(t, s.URL(), "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
