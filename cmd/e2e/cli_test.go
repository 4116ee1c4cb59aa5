package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nusku-messaging/nusku/protocol/client"
)

// person runs subcommands as somebody with a configuration folder of their own.
type person struct {
	t   *testing.T
	env []string
}

func newPerson(t *testing.T, url string) *person {
	home := t.TempDir()
	env := []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home, "NUSKU_URL=" + url, "NUSKU_PROJECT=" + t.Name(), "PATH=" + os.Getenv("PATH")}
	return &person{t, env}
}

func (p *person) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(within(p.t), program, args...)
	cmd.Env = p.env
	return cmd
}

// run runs a subcommand and returns what it printed and its exit code.
func (p *person) run(stdin string, args ...string) (stdout, stderr string, exit int) {
	p.t.Helper()
	cmd := p.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// do runs a subcommand that must succeed.
func (p *person) do(args ...string) string {
	p.t.Helper()
	stdout, stderr, exit := p.run("", args...)
	if exit != 0 {
		p.t.Fatalf("nusku %q: exit code %d: %s", args, exit, stderr)
	}
	return stdout
}

// objects runs a subcommand with --json and decodes its lines.
func (p *person) objects(args ...string) []map[string]any {
	p.t.Helper()
	var objects []map[string]any
	for line := range strings.Lines(p.do(append(args, "--json")...)) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			p.t.Fatalf("nusku %q printed %q: %v", args, line, err)
		}
		objects = append(objects, o)
	}
	return objects
}

// bodies are the bodies of messages.
func bodies(messages []map[string]any) []any {
	var b []any
	for _, m := range messages {
		b = append(b, m["body"])
	}
	return b
}

func TestQueueCommands(t *testing.T) {
	t.Parallel()
	p := newPerson(t, defaults(t).url)
	if out := p.do("queue", "create", "b", `{"colour": "red"}`); out != "Queue b created.\n" {
		t.Errorf("create printed %q", out)
	}
	if out := p.do("queue", "create", "b"); !strings.Contains(out, "already") {
		t.Errorf("create again printed %q", out)
	}
	p.do("queue", "create", "a")
	want := []map[string]any{{"name": "a", "metadata": map[string]any{}}, {"name": "b", "metadata": map[string]any{"colour": "red"}}}
	if diff := cmp.Diff(want, p.objects("queue", "list")); diff != "" {
		t.Error("list:", diff)
	}
	if out := p.do("queue", "get", "b"); out != `{"colour":"red"}`+"\n" {
		t.Errorf("get printed %q", out)
	}
	p.do("message", "post", "b", "1", "2")
	if s := p.objects("queue", "stats", "b")[0]; s["total"] != 2.0 || s["free"] != 2.0 {
		t.Errorf("statistics %v", s)
	}
	p.do("queue", "purge", "b", "--what", "messages")
	if s := p.objects("queue", "stats", "b")[0]; s["total"] != 0.0 {
		t.Errorf("statistics of a purged queue %v", s)
	}
	p.do("queue", "delete", "a", "b")
	if out := p.do("queue", "list"); out != "" {
		t.Errorf("list of nothing printed %q", out)
	}
	if _, stderr, exit := p.run("", "queue", "stats", "b"); exit != 1 || !strings.Contains(stderr, "does not exist") {
		t.Errorf("statistics of nothing: exit code %d, %q", exit, stderr)
	}
}

func TestMessageCommands(t *testing.T) {
	t.Parallel()
	p := newPerson(t, defaults(t).url)
	ids := strings.Fields(p.do("message", "post", "q", `{"n": 1}`, "two"))[1:]
	if out, _, exit := p.run("three\nfour\n", "message", "post", "q", "--lines", "--json"); exit != 0 || strings.Count(out, `"id"`) != 2 {
		t.Errorf("post of lines: exit code %d, %q", exit, out)
	}
	want := []any{map[string]any{"n": 1.0}, "two", "three", "four"}
	if diff := cmp.Diff(want, bodies(p.objects("message", "list", "q"))); diff != "" {
		t.Error("list:", diff)
	}
	if got := p.objects("message", "list", "q", "--others"); got != nil {
		t.Errorf("the Client-ID is not kept: %v are others' messages", got)
	}
	if diff := cmp.Diff(want[1:2], bodies(p.objects("message", "list", "q", "--marker", ids[0], "--limit", "1"))); diff != "" {
		t.Error("list from a marker:", diff)
	}
	if out := p.do("message", "get", "q", ids[1]); out != "\"two\"\n" {
		t.Errorf("get printed %q", out)
	}
	p.do("message", "delete", "q", ids[0])
	if diff := cmp.Diff([]any{"two", "three"}, bodies(p.objects("message", "pop", "q", "--limit", "2"))); diff != "" {
		t.Error("pop:", diff)
	}
	if _, stderr, exit := p.run("", "message", "get", "q", ids[0]); exit != 1 || !strings.Contains(stderr, "no message") {
		t.Errorf("get of nothing: exit code %d, %q", exit, stderr)
	}
}

func TestClaimCommands(t *testing.T) {
	t.Parallel()
	p := newPerson(t, defaults(t).url)
	p.do("message", "post", "q", "1", "2", "3")
	claimed := p.objects("claim", "create", "q", "--limit", "2", "--ttl", "5m")
	if diff := cmp.Diff([]any{1.0, 2.0}, bodies(claimed)); diff != "" {
		t.Fatal("claim:", diff)
	}
	claim, message := claimed[0]["claim_id"].(string), claimed[0]["id"].(string)
	if got := p.objects("claim", "get", "q", claim); len(got) != 2 {
		t.Errorf("the claim holds %v", got)
	}
	p.do("claim", "renew", "q", claim, "--ttl", "10m")
	if _, stderr, exit := p.run("", "message", "delete", "q", message); exit != 1 || !strings.Contains(stderr, "--claim") {
		t.Errorf("delete of a claimed message: exit code %d, %q", exit, stderr)
	}
	p.do("message", "delete", "q", message, "--claim", claim)
	p.do("claim", "release", "q", claim)
	if diff := cmp.Diff([]any{2.0, 3.0}, bodies(p.objects("claim", "create", "q"))); diff != "" {
		t.Error("claim after the release:", diff)
	}
	if out := p.do("claim", "create", "q"); out != "" {
		t.Errorf("claim of nothing printed %q", out)
	}
	if _, stderr, exit := p.run("", "claim", "get", "q", claim); exit != 1 || !strings.Contains(stderr, "no claim") {
		t.Errorf("get of a released claim: exit code %d, %q", exit, stderr)
	}
}

func TestSubscribeCommand(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	p := newPerson(t, g.url)
	watching := p.command("subscribe", "q")
	stdout, err := watching.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watching.Start(); err != nil {
		t.Fatal(err)
	}
	c := g.dial(t, client.Options{}) // the same project: the test's name
	for {
		subscriptions, err := c.Subscriptions(within(t), "q", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(subscriptions) == 1 {
			break
		}
	}
	p.do("message", "post", "q", `{"a": 1}`, "b")
	lines := bufio.NewScanner(stdout)
	var got []string
	for len(got) < 2 && lines.Scan() {
		got = append(got, lines.Text())
	}
	if want := []string{`{"a": 1}`, `"b"`}; !slices.Equal(got, want) && !slices.Equal(got, []string{`{"a":1}`, `"b"`}) {
		t.Errorf("printed %q, want %q", got, want)
	}
	if err := watching.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := watching.Wait(); err != nil {
		t.Errorf("interrupted, it ended with %v", err)
	}
}

// TestAdvice: when something is wrong, the message says what to do, and the exit code what kind it is.
func TestAdvice(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "ws://127.0.0.1:1") // nobody listens there
	for name, test := range map[string]struct {
		args []string
		exit int
		says string
	}{
		"nobody listens":  {[]string{"queue", "list"}, 1, "start a gateway with `nusku serve`"},
		"bad URL":         {[]string{"queue", "list", "--url", "localhost"}, 2, "--url"},
		"bad Client-ID":   {[]string{"queue", "list", "--client-id", "me"}, 2, "must be a UUID"},
		"bad metadata":    {[]string{"queue", "create", "q", "[]"}, 2, "JSON object"},
		"no such command": {[]string{"queue", "glorify"}, 2, "nusku --help"},
	} {
		if _, stderr, exit := p.run("", test.args...); exit != test.exit || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: exit code %d, %q; want %d and %q", name, exit, stderr, test.exit, test.says)
		}
	}
}

// TestBenchCommand runs each kind of bench for a moment; what it checks must hold.
func TestBenchCommand(t *testing.T) {
	t.Parallel()
	g := defaults(t)
	short := []string{"--url", g.url, "--warmup=200ms", "--duration=500ms", "--json"}
	for _, args := range [][]string{
		{"post", "--connections=8", "--depth=4", "--messages-per-post=3", "--queues=3"},
		{"post", "--connections=4", "--zaqar"},
		{"claim", "--connections=8", "--messages=2000", "--in-flight=100"},
		{"claim", "--connections=8", "--messages=200", "--limit=1", "--zaqar"},
		{"claim", "--connections=8", "--mixed"},
		{"fanout", "--subscribers=20"},
		{"latency", "--subscribers=5", "--rate=100"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			p := newPerson(t, g.url)
			stdout, stderr, exit := p.run("", slices.Concat([]string{"bench"}, args, short)...)
			var result struct {
				Count      int64
				Violations []string
				Checks     []string
			}
			if err := json.Unmarshal([]byte(stdout), &result); err != nil || exit != 0 || result.Count == 0 || len(result.Checks) == 0 {
				t.Errorf("exit code %d, %v, %s\n%s", exit, err, stdout, stderr)
			}
		})
	}
}
