package e2e

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// TestDocuments types the command lines of the documents into a shell, in their order: each must do what it should.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path string
		// atLeast is how many command lines there are, so that the test cannot run out of them unnoticed.
		atLeast int
	}{{"../../README.md", 5}, {"../../web/docs/guide.md", 60}} {
		t.Run(filepath.Base(test.path), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(test.path)
			if err != nil {
				t.Fatal(err)
			}
			lines := commandLines(string(text))
			if len(lines) < test.atLeast {
				t.Fatalf("only %d command lines: %q", len(lines), lines)
			}
			r := newReader(t)
			for _, line := range lines {
				r.run(line)
			}
			r.end()
		})
	}
}

// commands are how command lines begin that are typed.
var commands = []string{"nusku ", "bin/nusku ", "curl ", "printf "}

// commandLines are the lines of code blocks, fenced or indented, that begin with a command. A backslash at a line's end
// joins it to the next.
func commandLines(document string) []string {
	var lines []string
	fenced := false
	for line := range strings.Lines(regexp.MustCompile(`\\\n\s*`).ReplaceAllString(document, "")) {
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "```") {
			fenced = !fenced
			continue
		}
		code := fenced || strings.HasPrefix(line, "    ")
		if code && slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(text, c) }) {
			lines = append(lines, text)
		}
	}
	return lines
}

// reader is somebody who follows a document, in a folder with bin/nusku and with nusku on the PATH.
type reader struct {
	*person
	gateway *gateway
	dir     string
	// known are the values of the placeholders, as printed last.
	known    map[string]string
	watching []*watch
}

// watch is a command that runs until it is interrupted.
type watch struct {
	line   string
	cmd    *exec.Cmd
	stdout io.Reader
}

// newReader has a gateway of its own: pools, of which the guide makes one, are those of a whole gateway.
func newReader(t *testing.T) *reader {
	g := own(t)
	r := &reader{person: newPerson(t, g.url), gateway: g, dir: t.TempDir(), known: map[string]string{}}
	bin := filepath.Join(r.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	absolute, err := filepath.Abs(program)
	if err == nil {
		err = os.Symlink(absolute, filepath.Join(bin, "nusku"))
	}
	if err != nil {
		t.Fatal(err)
	}
	path := slices.IndexFunc(r.env, func(v string) bool { return strings.HasPrefix(v, "PATH=") })
	r.env[path] = "PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH")
	return r
}

// The placeholders of the documents, and what a command prints where their value stands: nusku or curl.
var placeholders = map[string]*regexp.Regexp{
	"CLAIM-ID":        regexp.MustCompile(`(?m)^Claim (\S+)$|[?]claim_id=([^"]+)"`),
	"MESSAGE-ID":      regexp.MustCompile(`(?m)^MESSAGE .*\n(\S+)|"/v2/queues/[^/]+/messages/([^"?]+)`),
	"LAST-ID":         regexp.MustCompile(`(?s)^MESSAGE .*\n(\S+)[^\n]*\n$`),
	"SUBSCRIPTION-ID": regexp.MustCompile(`(?m)^Subscription (\S+) created|"subscription_id": *"([^"]+)"`),
}

// inPlace is a line as it has to be typed here: the gateway is elsewhere, and curl is to say when it is refused.
func (r *reader) inPlace(line string) string {
	for name := range placeholders {
		if value, ok := r.known[name]; ok {
			line = strings.ReplaceAll(line, name, value)
		}
	}
	line = strings.ReplaceAll(line, "http://127.0.0.1:8888", r.gateway.http())
	if options, ok := strings.CutPrefix(line, "curl "); ok {
		line = "curl --no-progress-meter --fail-with-body " + options
	}
	return line
}

// run types one line.
func (r *reader) run(line string) {
	r.t.Helper()
	line = r.inPlace(line)
	if strings.Contains(line, "nusku subscribe ") {
		r.watch(line)
		return
	}
	var stdout, stderr bytes.Buffer
	cmd := r.shell(line)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("%s: %v\n%s%s", line, err, &stdout, &stderr)
	}
	for name, printed := range placeholders {
		if match := printed.FindStringSubmatch(stdout.String()); match != nil {
			r.known[name] = strings.Join(match[1:], "") // one of the forms
		}
	}
}

// shell has the shell replaced by the program, so that it can be interrupted.
func (r *reader) shell(line string) *exec.Cmd {
	if !strings.HasPrefix(line, "printf ") { // the shell's own
		line = "exec " + line
	}
	cmd := exec.CommandContext(within(r.t), "sh", "-c", line)
	cmd.Dir, cmd.Env = r.dir, r.env
	return cmd
}

// watch starts a subscription and returns once it is one.
func (r *reader) watch(line string) {
	r.t.Helper()
	cmd := r.shell(line)
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatalf("%s: %v", line, err)
	}
	r.watching = append(r.watching, &watch{line, cmd, stdout})
	queue := strings.Fields(line)[2]
	c := r.gateway.dial(r.t, client.Options{}) // the same project: the test's name
	for {
		subscriptions, err := c.Subscriptions(within(r.t), queue, "", 0)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(subscriptions) == 1 {
			return
		}
	}
}

// end interrupts what is watching; each must have been shown something.
func (r *reader) end() {
	r.t.Helper()
	for _, w := range r.watching {
		if line, err := bufio.NewReader(w.stdout).ReadString('\n'); err != nil {
			r.t.Errorf("%s printed %q, %v", w.line, line, err)
		}
		if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
			r.t.Error(err)
		}
		if err := w.cmd.Wait(); err != nil {
			r.t.Errorf("%s, interrupted: %v", w.line, err)
		}
	}
}

// What a terminal is told to try has the way in which the program was started; without a terminal the log says what to
// open.
func TestReadyLine(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	if want := `"open":"http` + strings.TrimPrefix(g.url, "ws") + `/"`; !strings.Contains(g.log.String(), want) {
		t.Errorf("the log lacks %s:\n%s", want, g.log.String())
	}
}
