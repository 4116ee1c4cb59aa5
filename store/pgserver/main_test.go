package pgserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// With this in its environment the test binary is not a test but a program that a test starts: a gateway to kill, or
// somebody else who logs in.
const helperVariable = "NUSKU_PGSERVER_HELPER"

// program is a copy of the test binary that every account can run: go's own lies in a closed folder. It is made before any
// test starts a process, because a child forked while the copy is open for writing would keep it from being run.
var program string

func TestMain(m *testing.M) {
	if role := os.Getenv(helperVariable); role != "" {
		if err := runHelper(role, os.Args[1]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nusku-pgserver-program-")
	if err == nil {
		defer os.RemoveAll(dir)
		program, err = copyProgram(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func copyProgram(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	from, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer from.Close()
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	to, err := os.OpenFile(filepath.Join(dir, "helper"), os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return to.Name(), errors.Join(err, to.Close())
}

func runHelper(role, argument string) error {
	ctx := context.Background()
	switch role {
	case "serve": // a gateway on the data folder, until its stdin ends
		s, err := Start(ctx, Config{DataDir: argument, Unsafe: true})
		if err != nil {
			return err
		}
		fmt.Println("ready", s.URL())
		_, _ = io.Copy(io.Discard, os.Stdin)
		return s.Stop(ctx)
	case "login":
		conn, err := pgx.Connect(ctx, argument)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		return conn.Close(ctx)
	}
	return errors.New("unknown role")
}

// helper is a running program of runHelper.
type helper struct {
	cmd   *exec.Cmd
	stdin io.Closer
	first string // its first line
}

// startHelper runs program in a role and waits for its first line. as, if not nil, is who runs it.
func startHelper(t *testing.T, role, argument string, as *syscall.Credential) *helper {
	t.Helper()
	cmd := exec.Command(program, argument)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), helperVariable+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &helper{cmd: cmd, stdin: stdin}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait() // waited for already, or killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the helper said nothing: %v", err)
	}
	h.first = strings.TrimSpace(line)
	return h
}

// tempDir makes a folder for the test that other accounts can be given the way to: t.TempDir lies in a closed one.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nusku-pgserver-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// start starts a server that is stopped at the test's end.
func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Unsafe = true
	cfg.Log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel)
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// query connects, runs one statement and returns its first column, if it has one.
func query(t *testing.T, url, sql string, args ...any) (text string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text
}

// ordinary is an account that is neither root nor the one that root would choose.
func ordinary(t *testing.T) (*syscall.Credential, string) {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	acct, err := accountOf(u, true)
	if err != nil {
		t.Fatal(err)
	}
	return acct.credential(), u.Username
}
