package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
)

func TestCheckSettings(t *testing.T) {
	t.Parallel()
	s := start(t, Config{DataDir: tempDir(t), Settings: map[string]string{"autovacuum_naptime": "2min", "max_wal_size": "512MB"}})
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	warnings, err := CheckSettings(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	var about []string
	for _, w := range warnings {
		name, value, _ := strings.Cut(strings.TrimPrefix(w, "PostgreSQL's "), " is ")
		value, _, _ = strings.Cut(value, ":")
		about = append(about, name+"="+value)
	}
	want := []string{"fsync=off", "full_page_writes=off", "autovacuum_naptime=2min", "max_wal_size=512MB"}
	if diff := cmp.Diff(want, about); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// What the gateway sets for its own server must satisfy what it asks of others.
func TestOwnSettingsNeedNoWarning(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s, err := Start(t.Context(), Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, s)
	conn, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if warnings, err := CheckSettings(t.Context(), conn); err != nil || len(warnings) > 0 && memoryLimit() >= gib {
		t.Errorf("%q, %v", warnings, err)
	}
	var checksums string
	if err := conn.QueryRow(t.Context(), "SHOW data_checksums").Scan(&checksums); err != nil || checksums != "on" {
		t.Errorf("data_checksums is %s, %v", checksums, err)
	}
}

func TestCheckVersion(t *testing.T) {
	t.Parallel()
	for version, ok := range map[int]bool{90624: false, 130021: false, 140000: true, 150018: true, 180004: true} {
		if err := checkVersion(version); (err == nil) != ok {
			t.Errorf("%d: %v", version, err)
		}
	}
}

func TestBinariesFit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		major, cluster int
		ok             bool
	}{{15, 0, true}, {14, 14, true}, {13, 0, false}, {13, 13, false}, {17, 15, false}, {15, 17, false}}
	for _, tt := range tests {
		err := binaries{dir: "/bin", major: tt.major}.fits(tt.cluster, "/data")
		var wrong *VersionError
		if (err == nil) != tt.ok || err != nil && !errors.As(err, &wrong) {
			t.Errorf("programs %d, cluster %d: %v", tt.major, tt.cluster, err)
		}
	}
}

func TestTheNewestProgramsComeFirst(t *testing.T) {
	t.Parallel()
	top := tempDir(t)
	for _, name := range []string{"9.6/bin", "15/bin", "17/bin", "18/bin", "none/bin"} {
		dir := filepath.Join(top, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"postgres", "initdb"} {
			if name == "18/bin" && program == "initdb" || name == "none/bin" {
				continue // only a part of the package is installed
			}
			if err := os.WriteFile(filepath.Join(dir, program), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := func(version string) string { return filepath.Join(top, version, "bin") }
	got := withPrograms([]string{at("15"), "/nowhere"}, []string{filepath.Join(top, "*", "bin")})
	slices.SortStableFunc(got[1:], newestFirst) // the temporary folder's own name may hold a number
	if diff := cmp.Diff([]string{at("15"), at("17"), at("9.6")}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNotInstalledSaysWhatToType(t *testing.T) {
	t.Parallel()
	_, err := findBinaries(t.Context(), Config{BinDir: tempDir(t)}, 0, account{name: "me"})
	if err == nil || !strings.Contains(err.Error(), "initdb is not there") {
		t.Errorf("%v", err)
	}
	for _, words := range []string{"make postgres", "apt-get install postgresql", "--database-url"} {
		if !strings.Contains(ErrNotInstalled.Error(), words) {
			t.Errorf("ErrNotInstalled does not say %q", words)
		}
	}
}

func TestTheServerGetsNoSecrets(t *testing.T) {
	t.Parallel()
	got := environment([]string{"PATH=/bin", "NUSKU_JWT_SECRET=x", "PGDATA=/y", "NOTIFY_SOCKET=/z", "LANG=de_DE", "HOME=/home/me"})
	if diff := cmp.Diff([]string{"LC_ALL=C", "TZ=UTC", "PATH=/bin", "HOME=/home/me"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFitsSocket(t *testing.T) {
	t.Parallel()
	longest := "/" + strings.Repeat("x", maxSocketPath-len("/"+"/"+socketName))
	for dir, want := range map[string]bool{longest: true, longest + "x": false, "/a,b": false, "/it's": false, "/plain": true} {
		if got := fitsSocket(dir); got != want {
			t.Errorf("%s: %v, want %v", dir, got, want)
		}
	}
}

// A note in the data folder that names something else must not have it removed.
func TestOnlyAnEmptySocketFolderIsRemoved(t *testing.T) {
	t.Parallel()
	dataDir, top := tempDir(t), tempDir(t)
	for _, name := range []string{"nusku-full", "other"} {
		if err := os.MkdirAll(filepath.Join(top, name, "kept"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dataDir, "socket"), []byte(filepath.Join(top, name)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := removeOldSocketDir(dataDir); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(top, name, "kept")); err != nil {
			t.Error(err)
		}
	}
}

func TestServerLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &serverLog{log: zerolog.New(&out)}
	for _, piece := range []string{
		"00000|7||LOG:  start", "ing\n40P01|8|nusku|ERROR:  deadlock detected\n\tmore\n57P01|9|nusku|FATAL:  stopped\n",
		"XX000|9||PANIC:  broken\n01000|9|a|WARNING:  w\n", strings.Repeat("x", 3*maxLogLine) + "\nend\n",
	} {
		if n, err := l.Write([]byte(piece)); err != nil || n != len(piece) {
			t.Fatal(n, err)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		`{"level":"debug","sqlstate":"00000","server_pid":"7","severity":"LOG","message":"starting"}`,
		`{"level":"debug","sqlstate":"40P01","server_pid":"8","database":"nusku","severity":"ERROR","message":"deadlock detected"}`,
		`{"level":"debug","message":"more"}`,
		`{"level":"debug","sqlstate":"57P01","server_pid":"9","database":"nusku","severity":"FATAL","message":"stopped"}`,
		`{"level":"error","sqlstate":"XX000","server_pid":"9","severity":"PANIC","message":"broken"}`,
		`{"level":"warn","sqlstate":"01000","server_pid":"9","database":"a","severity":"WARNING","message":"w"}`,
		fmt.Sprintf(`{"level":"debug","message":"%s"}`, strings.Repeat("x", maxLogLine)),
		`{"level":"debug","message":"end"}`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for range 3 * maxLogLines {
		if _, err := l.Write([]byte("again\n")); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(l.tail(), "\n") + 1; n != maxLogLines {
		t.Errorf("%d lines are kept", n)
	}
}

func TestRestartBackoff(t *testing.T) {
	t.Parallel()
	b := restartBackoff{first: 100 * time.Millisecond, max: time.Second}
	var got []time.Duration
	for range 6 {
		got = append(got, b.next())
	}
	b.ran(time.Second)
	got = append(got, b.next())
	b.ran(3 * time.Second)
	got = append(got, b.next())
	const ms = time.Millisecond
	if diff := cmp.Diff([]time.Duration{0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms, 1000 * ms, 0}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no data folder":  {},
		"connections":     {DataDir: "/x", MaxConnections: 3},
		"shared buffers":  {DataDir: "/x", SharedBuffers: 1},
		"write-ahead log": {DataDir: "/x", MaxWAL: 1},
	} {
		if _, err := cfg.withDefaults(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	cfg, err := Config{DataDir: "relative"}.withDefaults()
	if err != nil || !filepath.IsAbs(cfg.DataDir) || cfg.MaxConnections != DefaultConfig().MaxConnections {
		t.Errorf("%+v, %v", cfg, err)
	}
}
