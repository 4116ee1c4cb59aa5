package deliver

import (
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script writes a program for the shell and returns the command that runs it. The file itself is not executed: it may
// still be open in a process that is being forked meanwhile, and then that fails.
func script(t *testing.T, text string) (command, folder string) {
	t.Helper()
	folder = t.TempDir()
	path := filepath.Join(folder, "mailer")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "/bin/sh " + path, folder
}

func commandConfig(command string) MailConfig {
	c := DefaultMailConfig()
	c.Command, c.From = command, "nusku@example.com"
	return c
}

func TestMailCommand(t *testing.T) {
	t.Setenv("NUSKU_DATABASE_URL", "postgres://u:secret@h/d")
	command, folder := script(t, `cd "$1"; shift; cat > mail; env > env; printf '%s|' "$@" > args`)
	sink := newTestMail(t, commandConfig(command+" "+folder+"  -t $(id) ;"), nil)
	if err := sink.Deliver(t.Context(), mailbox("mailto:ada@example.com", `{"subject": "hi"}`), mailNotice(`"text"`)); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	m, err := mail.ReadMessage(strings.NewReader(read("mail")))
	if err != nil || m.Header.Get("To") != "<ada@example.com>" || m.Header.Get("Subject") != "hi" {
		t.Errorf("%v %v", m, err)
	}
	if args := read("args"); args != "-t|$(id)|;|" {
		t.Errorf("a shell was at work: %s", args)
	}
	if env := read("env"); strings.Contains(env, "secret") || !strings.Contains(env, "PATH=") {
		t.Errorf("environment %s", env)
	}
}

func TestMailCommandFailures(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Failure{
		"exit 67": {Reason: "the mail command failed with exit code 67", Final: true},
		"exit 75": {Reason: "the mail command failed with exit code 75", Down: true},
		"yes | head -c 1000000; yes | head -c 1000000 >&2; exit 1": {Reason: "the mail command failed with exit code 1", Down: true},
		"kill -9 $$":          {Reason: "the mail command could not be run", Down: true},
		"sleep 60 & sleep 60": {Reason: "the mail command took too long", Down: true},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			command, _ := script(t, text)
			cfg := commandConfig(command)
			if want.Reason == "the mail command took too long" {
				cfg.Timeout = 200 * time.Millisecond
			} else {
				cfg.Timeout = time.Minute
			}
			f := deliverFailure(t, cfg, "mailto:ada@example.com")
			if f.Reason != want.Reason || f.Final != want.Final || f.Down != want.Down {
				t.Errorf("%+v, want %+v", f, want)
			}
			if len(f.Cause.Error()) > 2*maxCommandOutput {
				t.Errorf("the log would get %d bytes", len(f.Cause.Error()))
			}
		})
	}
	if _, err := NewMail(commandConfig("/nonexistent/mailer"), nil); err == nil {
		t.Error("a command that is not there is taken")
	}
}
