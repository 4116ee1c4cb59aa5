package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The table of limits in the documents is that of the settings: every limit, with its default and its range.
func TestDocumentedLimits(t *testing.T) {
	t.Parallel()
	const path = "../../../web/docs/wire.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Limits\n")
	if !found {
		t.Fatalf("%s has no section of limits", path)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var got []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| `--") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	var want []string
	s := DefaultSettings()
	for _, row := range slices.Concat(limitTable(&s.Gateway.Limits), ttlTable(&s.Gateway.Limits)) {
		byDefault := row.get()
		if row.isSwitch() && byDefault == "false" {
			byDefault = "off"
		}
		want = append(want, fmt.Sprintf("| `--%s` | %s | %s | %s |", row.key, strings.TrimSuffix(row.help, "."), byDefault, row.span))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s, section Limits, must have these rows:\n%s", path, strings.Join(want, "\n"))
	}
}
