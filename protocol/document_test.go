package protocol

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documentPath is the document that these tests hold to the code.
const documentPath = "../web/docs/wire.md"

// document returns the rows of the tables in a section of it, each a list of cells; the heads are left out.
func document(t *testing.T, section string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(documentPath)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("%s has no section %q", documentPath, section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	head := true
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|---"):
			head = false
		case !strings.HasPrefix(line, "|"):
			head = true
		case !head:
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

var quoted = regexp.MustCompile("`([a-z_]+)`")

// words are the words of a cell that are written as code.
func words(cell string) []string {
	var found []string
	for _, match := range quoted.FindAllStringSubmatch(cell, -1) {
		found = append(found, match[1])
	}
	return found
}

// Every action is documented, with the fields that it reads and no others.
func TestDocumentedActions(t *testing.T) {
	t.Parallel()
	fields := map[string]FieldSet{}
	for _, row := range document(t, "Actions") {
		var set FieldSet
		for _, name := range words(row[1]) {
			field := fieldByName(name)
			if field == nil {
				t.Errorf("there is no field %q, which the document gives %s", name, row[0])
				continue
			}
			set |= field.bit
		}
		for _, name := range words(row[0]) {
			fields[name] = set
		}
	}
	for _, a := range Actions() {
		set, found := fields[a.Name]
		if !found {
			t.Errorf("%s lacks %s", documentPath, a.Name)
		} else if set != a.fields() {
			t.Errorf("%s gives %s other fields than it has", documentPath, a.Name)
		}
		delete(fields, a.Name)
	}
	for name := range fields {
		t.Errorf("%s has %s, which is no action", documentPath, name)
	}
}

func TestDocumentedCloseCodes(t *testing.T) {
	t.Parallel()
	var got, want []string
	for _, row := range document(t, "Close codes") {
		got = append(got, "| "+strings.Join(row, " | ")+" |")
	}
	codes := CloseCodes()
	slices.Sort(codes)
	for _, c := range codes {
		reconnect := "no"
		if c.Reconnect() {
			reconnect = "yes"
		}
		want = append(want, fmt.Sprintf("| %d | `%s` | %s | %s |", c, c.Name(), c.Reason(), reconnect))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s must have these rows:\n%s", documentPath, strings.Join(want, "\n"))
	}
}

func TestDocumentedGapReasons(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, row := range document(t, "Pushes and gaps") {
		documented[strings.Trim(row[0], "`")] = true
	}
	if want := gapReasons(t); !maps.Equal(documented, want) {
		t.Errorf("%s has the reasons %v, the code %v", documentPath, documented, want)
	}
}

// gapReasons reads the constants from the source: a list beside them could lack one.
func gapReasons(t *testing.T) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "model.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, value := range spec.Values {
			if literal, ok := value.(*ast.BasicLit); ok && strings.HasPrefix(spec.Names[i].Name, "Gap") {
				if text, err := strconv.Unquote(literal.Value); err == nil {
					reasons[text] = true
				}
			}
		}
		return true
	})
	return reasons
}
