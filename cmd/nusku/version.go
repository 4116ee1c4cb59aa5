package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd is `nusku version`.
type versionCmd struct{}

// Run prints the module's version, the commit that it was built from, and Go's version.
func (versionCmd) Run(g *globals) error {
	_, err := fmt.Fprintln(g.stdout, version())
	return err
}

// release is the module's version, from what the go command recorded in the binary.
func release() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// version says what this binary is.
func version() string {
	commit, modified := "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && len(s.Value) >= 12:
				commit = " " + s.Value[:12]
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = "+changes"
			}
		}
	}
	return fmt.Sprintf("nusku %s%s%s (%s %s/%s)", release(), commit, modified, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
