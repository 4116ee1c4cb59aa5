package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// binaries is a folder with PostgreSQL's programs.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// distributionDirs are the folders where packages of PostgreSQL keep their programs off PATH.
var distributionDirs = []string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/usr/pgsql-*/bin",                  // PostgreSQL's own packages for Red Hat's family
	"/usr/libexec/postgresql*",          // Alpine
	"/usr/lib/postgresql*/bin",          // SUSE, Gentoo
	"/usr/local/pgsql/bin",              // built from source
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// CacheDir is where "make run" unpacks PostgreSQL for an account that may install no packages: a folder for each
// version with bin, lib and share in it. For root it is /var/cache/nusku/postgresql, because the account that runs the
// server cannot reach into root's home; for others nusku/postgresql in the user's cache folder.
func CacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/nusku/postgresql", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "nusku", "postgresql"), nil
}

// findBinaries looks for programs that fit a cluster of major version want, or for the best ones when want is 0.
func findBinaries(ctx context.Context, cfg Config, want int, acct account) (binaries, error) {
	if cfg.BinDir != "" {
		b, err := probe(ctx, cfg.BinDir, acct)
		if err != nil {
			return binaries{}, fmt.Errorf("PostgreSQL in %s: %w", cfg.BinDir, err)
		}
		return b, b.fits(want, cfg.DataDir)
	}
	var found []binaries
	var problems []error
	for _, dir := range candidateDirs() {
		b, err := probe(ctx, dir, acct)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", dir, err))
			continue
		}
		if b.fits(want, cfg.DataDir) == nil {
			return b, nil
		}
		found = append(found, b)
	}
	if len(found) > 0 {
		return binaries{}, found[0].fits(want, cfg.DataDir)
	}
	return binaries{}, errors.Join(append([]error{ErrNotInstalled}, problems...)...)
}

// ErrNotInstalled says that the programs of PostgreSQL were found nowhere.
var ErrNotInstalled = errors.New("PostgreSQL is not installed: type \"make postgres\" in the checkout, or install it " +
	"(apt-get install postgresql, dnf install postgresql-server, apk add postgresql, brew install postgresql), " +
	"or give the URL of a running one with --database-url")

// VersionError says that no programs were found that fit: too old, or of another major version than the cluster.
type VersionError struct {
	DataDir  string
	Cluster  int // the cluster's major version, 0 when there is no cluster yet
	Binaries int // the programs' major version
	BinDir   string
}

func (e *VersionError) Error() string {
	if e.Cluster == 0 {
		return fmt.Sprintf("PostgreSQL %d in %s is too old: %d or newer is needed", e.Binaries, e.BinDir, MinMajor)
	}
	return fmt.Sprintf("the data in %s were written by PostgreSQL %d, but PostgreSQL %d in %s is all there is. "+
		"Nothing was changed. Either install PostgreSQL %d beside it (Debian: apt-get install postgresql-%d), or move the data: "+
		"pg_upgrade, or pg_dumpall with the old version and psql with the new one",
		e.DataDir, e.Cluster, e.Binaries, e.BinDir, e.Cluster, e.Cluster)
}

func (b binaries) fits(want int, dataDir string) error {
	if b.major < MinMajor || want != 0 && b.major != want {
		return &VersionError{DataDir: dataDir, Cluster: want, Binaries: b.major, BinDir: b.dir}
	}
	return nil
}

// candidateDirs lists the folders to look in: PATH first, then where distributions put the programs, then the cache.
func candidateDirs() []string {
	var onPath []string
	if path, err := exec.LookPath("postgres"); err == nil {
		// PATH often has a link to the real folder, which alone has all the programs beside one another.
		if path, err = filepath.EvalSymlinks(path); err == nil {
			onPath = append(onPath, filepath.Dir(path))
		}
	}
	patterns := distributionDirs
	if cache, err := CacheDir(); err == nil {
		patterns = append(slices.Clone(patterns), filepath.Join(cache, "*", "bin"))
	}
	return withPrograms(onPath, patterns)
}

// withPrograms lists those of the folders, and of the patterns' matches, newest version first, that hold the programs.
func withPrograms(dirs, patterns []string) []string {
	var found []string
	for _, pattern := range patterns {
		matches, _ := filepath.Glob(pattern) // the only error is a bad pattern
		slices.SortFunc(matches, newestFirst)
		dirs = append(dirs, matches...)
	}
	for _, dir := range dirs {
		if !slices.Contains(found, dir) && isFile(filepath.Join(dir, "postgres")) && isFile(filepath.Join(dir, "initdb")) {
			found = append(found, dir)
		}
	}
	return found
}

var number = regexp.MustCompile(`\d+`)

// newestFirst orders paths by the first number in them, downwards: 17 before 9.6.
func newestFirst(a, b string) int {
	na, _ := strconv.Atoi(number.FindString(a)) // no number: 0, last
	nb, _ := strconv.Atoi(number.FindString(b))
	return nb - na
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

var versionOutput = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// probe runs "postgres --version" as the account that will run the server, so that a folder which that account cannot
// reach is told here and not by a server that fails to start.
func probe(ctx context.Context, dir string, acct account) (binaries, error) {
	if !isFile(filepath.Join(dir, "initdb")) {
		return binaries{}, errors.New("the program initdb is not there")
	}
	out, err := command(ctx, acct, "/", filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return binaries{}, fmt.Errorf("run postgres --version as %s: %w", acct.name, err)
	}
	match := versionOutput.FindSubmatch(bytes.TrimSpace(out))
	if match == nil {
		return binaries{}, fmt.Errorf("postgres --version says %q", out)
	}
	major, err := strconv.Atoi(string(match[1]))
	return binaries{dir: dir, major: major}, err
}
