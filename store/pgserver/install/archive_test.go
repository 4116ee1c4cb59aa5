package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type entry struct{ name, text string }

func archiveOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Size: int64(len(e.text)), Mode: 0o600}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	archive := archiveOf(t, []entry{
		{"package/package.json", "{}"},
		{"package/native/bin/postgres", "program"},
		{"package/native/lib/libpq.so.5.17", "library"},
		{"package/native/lib/libpq.a", "for compilers"},
		{"package/native/share/postgresql/postgres.bki", "catalogue"},
		{"package/native/pg-symlinks.json", `[{"source":"native/lib/libpq.so.5.17","target":"native/lib/libpq.so.5"}]`},
	})
	dir := t.TempDir()
	if err := unpack(bytes.NewReader(archive), dir); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, name := range []string{"bin/postgres", "lib/libpq.so.5", "lib/libpq.a", "share/postgresql/postgres.bki", "package.json"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			got[name] = string(text)
		}
	}
	want := map[string]string{"bin/postgres": "program", "lib/libpq.so.5": "library", "share/postgresql/postgres.bki": "catalogue"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := os.Stat(filepath.Join(dir, "bin", "postgres")); err != nil || info.Mode().Perm()&0o111 != 0o111 {
		t.Errorf("the program cannot be run by everyone: %v, %v", info.Mode(), err)
	}
}

func TestUnpackStaysInItsFolder(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "in")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package/native/../../../out", "package/native/bin/../../../../out", "/out"} {
		_ = unpack(bytes.NewReader(archiveOf(t, []entry{{name, "out"}})), dir) // refused or left out, either is right
	}
	entries, err := os.ReadDir(top)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the folder there is now %v, %v", entries, err)
	}
	links := archiveOf(t, []entry{
		{"package/native/pg-symlinks.json", `[{"source":"native/x","target":"native/../../out"}]`},
	})
	if err := unpack(bytes.NewReader(links), dir); err == nil {
		t.Error("a link was made outside of the folder")
	}
}

func TestFetchChecksTheHash(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/archive" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "content") // a client that left is seen by the client's test
	}))
	defer server.Close()
	sum := sha512.Sum512([]byte("content"))
	right := base64.StdEncoding.EncodeToString(sum[:])
	dir := t.TempDir()
	file, err := fetch(t.Context(), server.URL+"/archive", right, dir)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(file); err != nil || string(text) != "content" {
		t.Errorf("%q, %v", text, err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if _, err := fetch(t.Context(), server.URL+"/archive", "AAAA", dir); err == nil {
		t.Error("a wrong hash was accepted")
	}
	if _, err := fetch(t.Context(), server.URL+"/none", right, dir); err == nil {
		t.Error("a missing archive was accepted")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
