// Package cmd holds no code, only the commands below it and the test of how all packages depend on one another.
package cmd

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/nusku-messaging/nusku/"

// mayImport says which other rooms of the module a room may import. A room is a top-level folder; the folders in this
// table are rooms of their own, with the longest match counting. Tests may import anything, since they wire things up.
var mayImport = map[string][]string{
	"protocol":        {},
	"protocol/client": {"protocol"},
	"protocol/spec":   {"protocol"},
	"gateway":         {"protocol"},
	"store":           {"protocol", "migrations"},
	"store/pgserver":  {},
	"store/storetest": {"store/pgserver"},
	"notifier":        {"protocol"},
	"migrations":      {},
	"web":             {"protocol/spec"},
	"cmd":             {"protocol", "protocol/client", "protocol/spec", "gateway", "store", "store/pgserver", "notifier", "web"},
}

// topLevel is everything that the top level may hold, besides dotfiles.
var topLevel = []string{
	"cmd", "gateway", "protocol", "store", "notifier", "migrations", "web",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE",
	"bin", "node_modules", // made by make, ignored by git
}

func TestImportDirections(t *testing.T) {
	t.Parallel()
	checked := 0
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") && name != "..") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		checked++
		checkImports(t, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 20 {
		t.Errorf("only %d files were checked: has the module moved?", checked)
	}
}

func checkImports(t *testing.T, file string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	from := room(filepath.ToSlash(strings.TrimPrefix(filepath.Dir(file), ".."+string(filepath.Separator))))
	for _, imported := range parsed.Imports {
		full, err := strconv.Unquote(imported.Path.Value)
		if err != nil || !strings.HasPrefix(full, module) {
			continue
		}
		to := room(strings.TrimPrefix(full, module))
		if to != from && !slices.Contains(mayImport[from], to) {
			t.Errorf("%s imports %s: %s may import only %v", file, full, from, mayImport[from])
		}
	}
}

// room returns the longest part of a package's path that is in mayImport.
func room(pkg string) string {
	for ; pkg != "."; pkg = path.Dir(pkg) {
		if _, ok := mayImport[pkg]; ok {
			return pkg
		}
	}
	return "unknown"
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, ".") && !slices.Contains(topLevel, name) {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
}
