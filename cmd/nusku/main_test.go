package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asProgram in the environment makes the test binary be nusku, so that tests can start the real program, signal it and
// see its exit code.
const asProgram = "NUSKU_TEST_AS_PROGRAM"

// patience is how long a test waits for an event before it fails.
const patience = time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			_, _ = io.WriteString(os.Stderr, "goroutines left over: "+err.Error()+"\n")
			code = 1
		}
	}
	os.Exit(code)
}

// program is a running nusku.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	logs chan map[string]any // the log, one JSON object a line

	mu     sync.Mutex
	output bytes.Buffer // all that it wrote to stderr
	read   sync.WaitGroup
}

// command returns nusku with args, and with a clean environment.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NUSKU_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, asProgram+"=1")
	return cmd
}

// execute runs nusku to its end.
func execute(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// serve starts `nusku serve` on a free port and waits until it listens.
func serve(t *testing.T, dataDir string, args ...string) (p *program, addr string) {
	t.Helper()
	args = append([]string{"serve", "--listen=127.0.0.1:0", "--data-dir=" + dataDir}, args...)
	p = &program{t: t, cmd: command(t, args...), logs: make(chan map[string]any, 10_000)}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.read.Go(func() { p.readLog(stderr) })
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			p.wait()
		}
		if t.Failed() {
			t.Logf("nusku %v wrote:\n%s", args, p.written())
		}
	})
	addr, _ = p.await("listening")["addr"].(string)
	return p, addr
}

func (p *program) readLog(stderr io.Reader) {
	defer close(p.logs)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.mu.Lock()
		p.output.Write(lines.Bytes())
		p.output.WriteByte('\n')
		p.mu.Unlock()
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) == nil {
			p.logs <- line
		}
	}
}

func (p *program) written() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// await returns the next line of the log with that message.
func (p *program) await(message string) map[string]any {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.logs:
			if !ok {
				p.t.Fatalf("the program ended without %q:\n%s", message, p.written())
			}
			if line["message"] == message {
				return line
			}
		case <-timeout:
			p.t.Fatalf("no %q:\n%s", message, p.written())
		}
	}
}

// wait waits for the program's end and returns its exit code, -1 if a signal ended it.
func (p *program) wait() int {
	p.t.Helper()
	timer := time.AfterFunc(patience, func() {
		p.t.Error("the program does not end")
		_ = p.cmd.Process.Kill()
	})
	defer timer.Stop()
	p.read.Wait()
	if err := p.cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		p.t.Error(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// dataDir returns a folder that the account of the embedded PostgreSQL can reach, as t.TempDir is not when the
// tests run as root.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nusku-serve-test-")
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

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":                {[]string{"--help"}, exitOK, "serve"},
		"help of serve":       {[]string{"serve", "--help"}, exitOK, "--max-post=SIZE"},
		"version":             {[]string{"version"}, exitOK, "nusku "},
		"nothing":             {nil, exitUsage, "expected one of"},
		"unknown command":     {[]string{"srve"}, exitUsage, "srve"},
		"unknown flag":        {[]string{"serve", "--lissten=x"}, exitUsage, "--lissten"},
		"bad setting":         {[]string{"serve", "--max-post=x"}, exitUsage, "is not a size"},
		"non-loopback":        {[]string{"serve", "--listen=0.0.0.0:0"}, exitUsage, "--insecure"},
		"check-config":        {[]string{"check-config", "--data-dir=/data"}, exitOK, "/data"},
		"check-config, wrong": {[]string{"check-config", "--listen=:1"}, exitUsage, "--insecure"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if code := run(context.Background(), c.args, &out, &out); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("output lacks %q:\n%s", c.want, out.String())
			}
		})
	}
}
