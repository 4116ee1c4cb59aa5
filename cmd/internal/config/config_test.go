package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"github.com/nusku-messaging/nusku/protocol"
)

// load parses args as kong would for a command and loads the settings.
func load(t *testing.T, env map[string]string, args ...string) (*Effective, error) {
	t.Helper()
	flags := NewFlags()
	parser, err := kong.New(&flags, kong.Exit(func(int) { t.Fatal("kong exits") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	environ := []string{"PATH=/bin"}
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	return Load(&flags, environ)
}

// file writes a configuration file and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	e, err := load(t, nil, "--data-dir=/data")
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultSettings()
	want.Postgres.DataDir = "/data"
	if diff := cmp.Diff(want, e.Settings, cmpopts.IgnoreUnexported(zerolog.Logger{})); diff != "" {
		t.Error(diff)
	}
}

func TestOrderOfSources(t *testing.T) {
	t.Parallel()
	path := file(t, "nusku.toml", `
listen = "127.0.0.1:1"
max-post = "1MiB"
max-metadata = 4096
ping-interval = "3s"
subscriber-schemes = ["http", "https"]
message-delete-with-claim-id = true
`)
	env := map[string]string{"NUSKU_LISTEN": "127.0.0.1:2", "NUSKU_MAX_POST": "512 KiB"}
	e, err := load(t, env, "--config", path, "--listen=127.0.0.1:3", "--data-dir=/data", "--no-message-delete-with-claim-id")
	if err != nil {
		t.Fatal(err)
	}
	limits := &e.Gateway.Limits
	for what, ok := range map[string]bool{
		"flag":     e.Listen == "127.0.0.1:3",
		"env":      limits.MaxPostBytes == 512<<10,
		"file":     limits.MaxMetadataBytes == 4096,
		"duration": e.Gateway.PingInterval == 3*time.Second,
		"list":     slices.Equal(limits.SubscriberSchemes, []string{"http", "https"}),
		"negated":  !limits.MessageDeleteWithClaimID,
		"default":  limits.MaxDepth == protocol.DefaultLimits().MaxDepth,
	} {
		if !ok {
			t.Errorf("%s is not what was set", what)
		}
	}
	var b bytes.Buffer
	if err := e.Print(&b); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][]string{
		"listen":       {"127.0.0.1:3", "--listen"},
		"max-post":     {"512KiB", "NUSKU_MAX_POST"},
		"max-metadata": {"4KiB", path},
		"max-depth":    {"128", "default"},
		"data-dir":     {"/data", "--data-dir"},
	} {
		if !slices.ContainsFunc(strings.Split(b.String(), "\n"), func(line string) bool {
			return slices.Equal(strings.Fields(line), append([]string{key}, want...))
		}) {
			t.Errorf("check-config does not say %s %v:\n%s", key, want, b.String())
		}
	}
}

func TestYAML(t *testing.T) {
	t.Parallel()
	path := file(t, "nusku.yaml", "listen: localhost:99\nmax-depth: 64\ninsecure: yes\nsubscriber-schemes: [http]\n")
	e, err := load(t, nil, "--config", path, "--data-dir=/data")
	if err != nil {
		t.Fatal(err)
	}
	if e.Listen != "localhost:99" || e.Gateway.Limits.MaxDepth != 64 || !e.Insecure || !slices.Equal(e.Gateway.Limits.SubscriberSchemes, []string{"http"}) {
		t.Errorf("got %+v", e.Settings)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, content string
		env           map[string]string
		args          []string
		want          []string // all of these are in the error
	}{
		"unknown key":          {file: "a.toml", content: `max-pots = 1`, want: []string{`"max-pots"`, `did you mean "max-post"?`}},
		"underscores":          {file: "a.yml", content: `log_level: info`, want: []string{`"log_level"`, `did you mean "log-level"?`}},
		"unlike any key":       {file: "a.toml", content: `zzzzzzzzzzzz = 1`, want: []string{`there is no setting "zzzzzzzzzzzz"`}},
		"all faults at once":   {file: "a.toml", content: "lisen = 1\nmax-depth = 1", want: []string{`"listen"`, "8 to 1000", "a.toml: max-depth"}},
		"group":                {file: "a.toml", content: "[limits]\nmax-post = 1", want: []string{"limits: settings are not grouped"}},
		"syntax, TOML":         {file: "a.toml", content: "listen = \"x\"\nmax-post = = 1", want: []string{"a.toml", "line 2"}},
		"syntax, YAML":         {file: "a.yaml", content: "listen: [", want: []string{"a.yaml", "line 1"}},
		"no value":             {file: "a.yaml", content: "listen:", want: []string{"listen: has no value"}},
		"other format":         {file: "a.json", content: "{}", want: []string{".toml or .yaml"}},
		"missing file":         {args: []string{"--config=/does/not/exist.toml"}, want: []string{"/does/not/exist.toml"}},
		"size":                 {args: []string{"--max-post=12 KB"}, want: []string{"--max-post", "is not a size"}},
		"size out of range":    {args: []string{"--max-post=1GiB"}, want: []string{"1GiB is out of range: 64B to 256MiB"}},
		"size overflows":       {args: []string{"--max-post=99999999999GiB"}, want: []string{"is not a size"}},
		"number overflows":     {env: map[string]string{"NUSKU_MESSAGE_TTL": "4294967356"}, want: []string{"NUSKU_MESSAGE_TTL", "not a whole number"}},
		"time without a unit":  {args: []string{"--ping-interval=30"}, want: []string{"is not a time", "30s"}},
		"neither true":         {env: map[string]string{"NUSKU_INSECURE": "maybe"}, want: []string{"NUSKU_INSECURE", "neither true nor false"}},
		"word":                 {args: []string{"--log-format=xml"}, want: []string{"auto, console, json"}},
		"level":                {args: []string{"--log-level=loud"}, want: []string{"trace, debug, info, warn, error"}},
		"tokens":               {args: []string{"--auth=jwt"}, want: []string{"--auth", "jwt is not there yet"}},
		"other authentication": {args: []string{"--auth=ldap"}, want: []string{"auth", "none"}},
		"unknown variable":     {env: map[string]string{"NUSKU_MAX_POTS": "1"}, want: []string{"NUSKU_MAX_POTS", "did you mean NUSKU_MAX_POST?"}},
		"variable unlike any":  {env: map[string]string{"NUSKU_ZZZZZZZZZZZZ": "1"}, want: []string{"there is no setting NUSKU_ZZZZZZZZZZZZ"}},
		"contradiction":        {args: []string{"--min-message-ttl=7200"}, want: []string{"DefaultMessageTTL"}},
		"listen database":      {args: []string{"--listen-database-url=postgres://x/y"}, want: []string{"listen-database-url is set"}},
		"other machines":       {args: []string{"--listen=0.0.0.0:8888"}, want: []string{"other machines", "--insecure"}},
		"every address":        {args: []string{"--listen=:8888"}, want: []string{"other machines"}},
		"name":                 {args: []string{"--listen=example.com:8888"}, want: []string{"other machines"}},
		"no port":              {args: []string{"--listen=127.0.0.1"}, want: []string{"host:port"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			if c.file != "" {
				args = append(args, "--config="+file(t, c.file, c.content))
			}
			_, err := load(t, c.env, append(args, "--data-dir=/data")...)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
		})
	}
}

func TestVariablesOfOthers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"NUSKU_CONFIG", "NUSKU_URL", "NUSKU_PROJECT", "NUSKU_CLIENT_ID", "NUSKU_TEST_X", "NUSKU_E2E_BINARY"} {
		if _, err := load(t, map[string]string{name: "x"}, "--data-dir=/data"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestListenIsAllowed(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--listen=127.0.0.1:0"}, {"--listen=127.1.2.3:80"}, {"--listen=[::1]:80"}, {"--listen=localhost:80"},
		{"--listen=0.0.0.0:80", "--insecure"}, {"--listen=:80", "--insecure"},
	} {
		if _, err := load(t, nil, append(args, "--data-dir=/data")...); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestNoPasswordIsShown(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://user:hunter2@host/db",
		"postgres://user:hunter2@h1:5432,h2:5433/db?target_session_attrs=primary",
		"postgresql://user:p@ss/hunter2:x@host/db",
		"postgres://user@host/db?password=hunter2&sslmode=disable",
		"postgres://user@host/db?sslmode=disable&sslpassword=hunter2",
		"host=h user=u password=hunter2 dbname=d",
		"host=h password = 'hun\\'ter2 hunter2' user=u",
		"host=h PASSWORD=hunter2",
		"postgres://user:hunter2@host:bad port/db",
	} {
		e, err := load(t, map[string]string{"NUSKU_DATABASE_URL": url, "NUSKU_LISTEN_DATABASE_URL": url})
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error shows the password: %v", url, err)
		}
		if err != nil {
			continue
		}
		var b bytes.Buffer
		if err := e.Print(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "hunter2") || !strings.Contains(b.String(), "xxxxx") {
			t.Errorf("%s is shown as %s, %s", url, maskPassword(url), "not masked")
		}
	}
	if url := "postgres://user@host:5432/db?sslmode=disable"; maskPassword(url) != url {
		t.Errorf("nothing to hide in %s, and yet it is shown as %s", url, maskPassword(url))
	}
}

func TestDatabaseURLs(t *testing.T) {
	t.Parallel()
	e, err := load(t, nil, "--database-url=postgres://pooler/db", "--listen-database-url=postgres://direct/db", "--message-ttl=100")
	if err != nil {
		t.Fatal(err)
	}
	if e.Embedded() || e.Store.DatabaseURL != "postgres://pooler/db" || e.Notifier.ListenURL != "postgres://direct/db" {
		t.Errorf("store uses %s, notifier %s", e.Store.DatabaseURL, e.Notifier.ListenURL)
	}
	if e.Store.DefaultMessageTTL != 100 {
		t.Errorf("the store's message TTL is %d", e.Store.DefaultMessageTTL)
	}
}

// Every field of every package's Config is a setting, but for those that something else fills in.
func TestEverythingIsASetting(t *testing.T) {
	t.Parallel()
	s := DefaultSettings()
	reachable := make(map[uintptr]bool)
	for _, row := range probe(s) {
		reachable[row] = true
	}
	filledIn := []string{
		"Postgres.Log", "Postgres.Settings", "Postgres.Unsafe", "Gateway.Fallback", "Gateway.ListenHost", "Gateway.Links.MailRefused",
		"Store.DatabaseURL", "Store.PoolID", "Store.DefaultMessageTTL", "Notifier.ListenURL",
	}
	walk(reflect.ValueOf(s).Elem(), "", func(path string, field reflect.Value) {
		if set := reachable[field.Addr().Pointer()]; !set && !slices.Contains(filledIn, path) {
			t.Errorf("%s has no setting", path)
		}
	})
}

// walk calls visit for each field that is no struct of settings itself.
func walk(v reflect.Value, path string, visit func(string, reflect.Value)) {
	for i := range v.NumField() {
		name := strings.TrimPrefix(path+"."+v.Type().Field(i).Name, ".")
		field := v.Field(i)
		if field.Kind() == reflect.Struct && strings.Contains(field.Type().PkgPath(), "nusku") {
			walk(field, name, visit)
			continue
		}
		visit(name, field)
	}
}

// probe sets every setting to another value and returns the addresses of the fields of s that changed.
func probe(s *Settings) []uintptr {
	before := make(map[uintptr]any)
	walk(reflect.ValueOf(s).Elem(), "", func(_ string, field reflect.Value) {
		before[field.Addr().Pointer()] = field.Interface()
	})
	for _, row := range table(s) {
		for _, other := range []string{"false", "true", "7s", "77", "4097", "99KiB", "debug", "none", "json", "8ms", "61s", "9", "33", "200", "2MiB", "words"} {
			if was := row.get(); row.set(other) == nil && row.get() != was {
				break
			}
		}
	}
	var changed []uintptr
	walk(reflect.ValueOf(s).Elem(), "", func(path string, field reflect.Value) {
		at := field.Addr().Pointer()
		if path == "Auth" || !reflect.DeepEqual(before[at], field.Interface()) {
			changed = append(changed, at)
		}
	})
	return changed
}

// What a setting shows can be said to it again, its default is in its range, and its texts are complete.
func TestTable(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, s := range table(DefaultSettings()) {
		if seen[s.key] {
			t.Errorf("%s is there twice", s.key)
		}
		seen[s.key] = true
		value := s.get()
		if err := s.set(value); err != nil {
			t.Errorf("%s: its default %q is refused: %v", s.key, value, err)
		}
		if again := s.get(); again != value {
			t.Errorf("%s: %q became %q", s.key, value, again)
		}
		if s.group == "" || !strings.HasSuffix(s.help, ".") {
			t.Errorf("%s: group %q, help %q", s.key, s.group, s.help)
		}
		if s.key != strings.ToLower(s.key) || strings.ContainsAny(s.key, "_ .") {
			t.Errorf("%s is not in lower case with dashes", s.key)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "1": 1, "17B": 17, "4KiB": 4096, "4 KiB": 4096, "3MiB": 3 << 20, "2GiB": 2 << 30} {
		if n, err := parseSize(text); err != nil || n != want {
			t.Errorf("parseSize(%q) = %d, %v", text, n, err)
		}
		if n, err := parseSize(formatSize(want)); err != nil || n != want {
			t.Errorf("%d becomes %s becomes %d, %v", want, formatSize(want), n, err)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1.5MiB", "1KB", "1kib", "9223372036854775807KiB", "1 2"} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d", text, n)
		}
	}
}

func TestDurationsAreShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Hour: "1h", 90 * time.Minute: "1h30m", time.Minute: "1m", 10 * time.Second: "10s",
		4500 * time.Millisecond: "4.5s", time.Hour + time.Second: "1h0m1s", 20 * time.Minute: "20m",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v is shown as %s, want %s", d, got, want)
		}
	}
}
