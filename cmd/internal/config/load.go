package config

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// Effective is the settings of this run, each with where its value came from.
type Effective struct {
	*Settings
	lines []line
}

type line struct {
	setting
	source string
}

// Load finds out the settings: a flag, else the environment (os.Environ's list), else the configuration file, else the
// default. The error names every fault, not only the first. It shows no password.
func Load(flags *Flags, environ []string) (*Effective, error) {
	settings := DefaultSettings()
	rows := table(settings)
	env := variables(environ)
	faults := unknownVariables(env, rows)
	file := map[string]string{}
	if flags.Config != "" {
		var err error
		if file, err = readFile(flags.Config); err != nil {
			return nil, fmt.Errorf("configuration file: %w", err)
		}
		faults = append(faults, unknownKeys(flags.Config, file, rows)...)
	}
	e := &Effective{Settings: settings, lines: make([]line, len(rows))}
	for i, row := range rows {
		text, source, found := find(&row, flags, env, file)
		if found {
			if err := row.set(text); err != nil {
				faults = append(faults, fmt.Errorf("%s: %s: %w", source, row.key, err))
			}
		}
		e.lines[i] = line{setting: row, source: source}
	}
	if len(faults) == 0 {
		faults = append(faults, settings.complete(), settings.Check())
	}
	return e, errors.Join(faults...)
}

// find returns what was set, by whom, and whether anything was.
func find(s *setting, flags *Flags, env, file map[string]string) (text, source string, found bool) {
	if text, ok := flags.lookup(s.key); ok {
		return text, "--" + s.key, true
	}
	if text, ok := env[s.env()]; ok {
		return text, s.env(), true
	}
	if text, ok := file[s.key]; ok {
		return text, flags.Config, true
	}
	return "", "default", false
}

// Print writes all settings as a table: key, value without passwords, and where it came from.
func (e *Effective) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tFROM")
	for _, l := range e.lines {
		value := l.show()
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", l.key, value, l.source)
	}
	return table.Flush()
}
