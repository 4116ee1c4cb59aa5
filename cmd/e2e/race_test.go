//go:build race

package e2e

func init() {
	buildFlags = append(buildFlags, "-race")
	memoryBound *= 2 // the race detector's shadow memory
}
