package store

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// unpinned are the SQL constants whose plans no test looks at, and why.
var unpinned = map[string]string{
	"liveClaimSQL":        "a part of statements",
	"lockClaimSQL":        "a part of statements",
	"claimChooseSQL":      "a part of statements",
	"deleteChooseSQL":     "a part of statements",
	"liveDelayedSQL":      "a part of statements",
	"liveSubscriptionSQL": "a part of statements",
	"sqlLive":             "a part of statements",
	"sqlDead":             "a part of statements",
	"sqlFloor":            "a part of statements",
	"watchSQL":            "a part of statements",
	"heldSQL":             "a part of statements",
	"freshDeadSQL":        "a part of statements",
	"heldOnesSQL":         "a part of statements",
	"movedSQL":            "a part of statements",
	"progressSetSQL":      "a part of statements",
	"validSecretsSQL":     "a part of statements",
	"sqlIdentity":         "reads no table",
	"sqlIdentityKnown":    "a table of one row",
	"sqlIdentityStore":    "a table of one row",
	"sqlJoin":             "inserts one row",
	"sqlDropLater":        "inserts one row",
	"sqlLeaseTake":        "a table of a few rows",
	"sqlLeaseEnd":         "a table of a few rows",
	"sqlOldLeases":        "a table of a few rows",
	"sqlOldWatches":       "reads a small table to its end, once a minute",
	"secretReadSQL":       "a table of a few rows",
	"sqlAdopt":            "inserts one row; for the rest see sqlQueueCreate",
	"sqlPlace":            "inserts one row",
	"sqlTieLock":          "reads no table",
	"sqlAllPools":         "a table of a few rows",
	"sqlPools":            "a table of a few rows",
	"sqlPool":             "a table of a few rows",
	"sqlPoolInsert":       "inserts one row",
	"sqlPoolUpdate":       "a table of a few rows",
	"sqlCatalogueLock":    "a table of one row",
	"sqlCandidates":       "a table of a few rows",
	"sqlFlavorColumns":    "a part of statements",
	"sqlFlavors":          "a table of a few rows",
	"sqlFlavor":           "a table of a few rows",
	"sqlFlavorInsert":     "inserts one row",
	"sqlFlavorUpdate":     "a table of a few rows",
	"sqlFlavorLeave":      "a table of a few rows",
	"sqlFlavorJoin":       "a table of a few rows",
	"sqlInstallationMake": "inserts one row",
	"sqlInstallation":     "a table of one row",
	"sqlInstall":          "inserts one row",
	"sqlReclaim":          "a table of one row",
	"sqlHasSchema":        "reads no table",
	"sqlStrangers":        "reads the system's catalogue",
	"sqlTakeKey":          "reads no table",
	"sqlTryKey":           "reads no table",
	"sqlHasQueues":        "stops at the first row",
	"sqlVolume":           "looks at every queue, within its caller's time",
	"sqlVolumeClaimed":    "looks at every queue, within its caller's time",
	"secretStoreSQL":      "inserts one row",
}

var (
	sqlName = regexp.MustCompile(`^sql[A-Z]|SQL$`)
	sqlText = regexp.MustCompile(`^\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\s`)
)

// Every statement of the package is a named constant, and the plan of each is pinned or left out for a reason.
func TestEveryPlanIsPinned(t *testing.T) {
	t.Parallel()
	pinned := make(map[string]bool)
	for _, file := range parseFiles(t, true) {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && strings.HasSuffix(spec.Names[0].Name, "Plans") {
				ast.Inspect(spec, func(n ast.Node) bool {
					if id, ok := n.(*ast.Ident); ok && sqlName.MatchString(id.Name) {
						pinned[id.Name] = true
					}
					return true
				})
			}
			return true
		})
	}
	found := make(map[string]bool)
	for name, file := range parseFiles(t, false) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				if n.Tok == token.CONST {
					return !collectSQL(n, found)
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && sqlText.MatchString(text) &&
					!strings.Contains(text, "set_config") { // the settings of a connection
					t.Errorf("%s: a statement that is no constant named for SQL: %.60q", name, text)
				}
			}
			return true
		})
	}
	for name := range found {
		if why, out := unpinned[name]; pinned[name] == out {
			t.Errorf("%s: pinned: %v, left out: %q; want one of them", name, pinned[name], why)
		}
	}
	for name := range unpinned {
		if !found[name] {
			t.Errorf("%s is left out, but there is no such constant", name)
		}
	}
	if len(found) < 50 {
		t.Errorf("found only %d constants", len(found))
	}
}

// collectSQL adds the names of a declaration's SQL constants, and says whether there are any.
func collectSQL(decl *ast.GenDecl, found map[string]bool) (any bool) {
	for _, spec := range decl.Specs {
		for _, name := range spec.(*ast.ValueSpec).Names {
			if sqlName.MatchString(name.Name) {
				found[name.Name] = true
				any = true
			}
		}
	}
	return any
}

// parseFiles parses the package's files: its tests or the others.
func parseFiles(t *testing.T, tests bool) map[string]*ast.File {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*ast.File)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") != tests {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = file
	}
	return files
}
