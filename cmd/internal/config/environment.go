package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// envPrefix begins the name of every variable that means something to this program.
const envPrefix = "NUSKU_"

// otherVariables are those that are no settings of a gateway: the flag --config, and those of the client's subcommands.
var otherVariables = []string{"NUSKU_CONFIG", "NUSKU_URL", "NUSKU_PROJECT", "NUSKU_CLIENT_ID"}

// otherPrefixes begin the variables of this project's tests.
var otherPrefixes = []string{"NUSKU_TEST_", "NUSKU_E2E_"}

// variables are those of the environment, a list of name=value, that could be settings.
func variables(environ []string) map[string]string {
	env := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) {
			env[name] = value
		}
	}
	return env
}

// unknownVariables complains of the variables that are no settings: one that is misspelt would otherwise leave the
// default in force without a word.
func unknownVariables(env map[string]string, settings []setting) []error {
	known := slices.Clone(otherVariables)
	for i := range settings {
		known = append(known, settings[i].env())
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if slices.Contains(known, name) || slices.ContainsFunc(otherPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		fault := fmt.Errorf("environment: there is no setting %s", name)
		if near := nearestVariable(name, known); near != "" {
			fault = fmt.Errorf("%w: did you mean %s?", fault, near)
		}
		faults = append(faults, fault)
	}
	return faults
}

// nearestVariable is nearest for what comes after the prefix, which is no likeness.
func nearestVariable(name string, known []string) string {
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = strings.TrimPrefix(k, envPrefix)
	}
	if near := nearest(strings.TrimPrefix(name, envPrefix), words); near != "" {
		return envPrefix + near
	}
	return ""
}
