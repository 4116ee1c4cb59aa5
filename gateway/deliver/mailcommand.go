package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// mailCommand gives mails to a program like sendmail.
type mailCommand struct {
	path    string
	args    []string
	env     []string
	timeout time.Duration
}

func newMailCommand(cfg MailConfig) (*mailCommand, error) {
	words := strings.Fields(cfg.Command)
	if len(words) == 0 {
		return nil, errors.New("the command is empty")
	}
	path, err := exec.LookPath(words[0])
	if err != nil {
		return nil, fmt.Errorf("the command cannot be run: %w", err)
	}
	c := &mailCommand{path: path, args: words[1:], timeout: cfg.Timeout}
	// Nothing else of the environment: the gateway's secrets may be there.
	for _, name := range []string{"PATH", "HOME", "LANG"} {
		if value, ok := os.LookupEnv(name); ok {
			c.env = append(c.env, name+"="+value)
		}
	}
	return c, nil
}

func (c *mailCommand) name() string { return "command:" + filepath.Base(c.path) }

// What is kept of a command's output for the log, and how long it may keep its output open once it was killed.
const (
	maxCommandOutput = 2 << 10
	commandWait      = time.Second
)

// send runs the command with the mail as its input.
func (c *mailCommand) send(ctx context.Context, m *gomail.Msg) error {
	var text bytes.Buffer
	if _, err := m.WriteTo(&text); err != nil {
		return unsendable("the mail could not be written", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	output := &head{max: maxCommandOutput}
	cmd := exec.CommandContext(ctx, c.path, c.args...) //nolint:gosec // what the operator has set
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = c.env, &text, output, output, commandWait
	// The working folder: one that is always there and holds nothing of the gateway's.
	cmd.Dir = string(filepath.Separator)
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &Failure{Reason: "the mail command took too long", Down: true, Cause: errors.Join(ctx.Err(), err)}
	}
	return commandFailure(err, output.text.String())
}

// finalExits are the exit codes of sysexits.h that speak of the mail itself: bad data, an unknown user, an unknown host.
var finalExits = []int{65, 67, 68}

func commandFailure(err error, output string) *Failure {
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() < 0 {
		return &Failure{Reason: "the mail command could not be run", Down: true, Cause: err}
	}
	code := exit.ExitCode()
	final := slices.Contains(finalExits, code)
	return &Failure{
		Reason: fmt.Sprintf("the mail command failed with exit code %d", code), Final: final, Down: !final,
		Cause: fmt.Errorf("%w: %s", err, oneLine(output)),
	}
}

// head keeps the beginning of what is written to it and drops the rest.
type head struct {
	text bytes.Buffer
	max  int
}

func (h *head) Write(p []byte) (int, error) {
	if room := h.max - h.text.Len(); room > 0 {
		h.text.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
