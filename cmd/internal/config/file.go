package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

// readFile reads a configuration file: keys and the text of their values. The file's name says its format.
func readFile(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err // names the file
	}
	var parse func([]byte, any) error
	switch ext := filepath.Ext(path); strings.ToLower(ext) {
	case ".toml":
		parse = func(b []byte, v any) error { return toml.Unmarshal(b, v) }
	case ".yaml", ".yml":
		parse = yaml.Unmarshal
	default:
		return nil, fmt.Errorf("%s: the name must end in .toml or .yaml, not %q", path, ext)
	}
	tree := map[string]any{}
	if err := parse(data, &tree); err != nil {
		return nil, fmt.Errorf("%s: %w", path, withPosition(err))
	}
	values := make(map[string]string, len(tree))
	for key, v := range tree {
		text, err := scalar(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, key, err)
		}
		values[key] = text
	}
	return values, nil
}

// withPosition adds the line to an error of the TOML parser, which does not show it by itself.
func withPosition(err error) error {
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		return fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	return err
}

// scalar returns a file's value as the text that the command line would have.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string, bool, int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	case []any:
		words := make([]string, len(v))
		for i, element := range v {
			word, err := scalar(element)
			if err != nil {
				return "", err
			}
			if strings.Contains(word, ",") {
				return "", fmt.Errorf("%q has a comma", word)
			}
			words[i] = word
		}
		return strings.Join(words, ","), nil
	case nil:
		return "", errors.New("has no value")
	}
	return "", errors.New("settings are not grouped: write each as name = value at the top level")
}

// unknownKeys complains of the keys that are no settings.
func unknownKeys(path string, values map[string]string, settings []setting) []error {
	known := make([]string, len(settings))
	for i := range settings {
		known[i] = settings[i].key
	}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if slices.Contains(known, key) {
			continue
		}
		fault := fmt.Errorf("%s: there is no setting %q", path, key)
		if near := nearest(strings.ReplaceAll(strings.ToLower(key), "_", "-"), known); near != "" {
			fault = fmt.Errorf("%w: did you mean %q?", fault, near)
		}
		faults = append(faults, fault)
	}
	return faults
}
