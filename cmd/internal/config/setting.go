package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// setting is one line of the table: a key and the variable that holds its value.
type setting struct {
	key   string
	group string
	help  string
	// at points to the variable.
	at any
	// kind is what a value looks like, for --help; "" for a switch.
	kind string
	// span is the range as text, "" if there is none.
	span string
	// get returns the value as text, in a form that set understands, and set changes it. Its error
	// completes the sentence "max-post: …".
	get func() string
	set func(text string) error
	// show is get without secrets.
	show func() string
}

// isSwitch says whether the setting is true or false.
func (s *setting) isSwitch() bool { return s.kind == "" }

// env returns the name of the environment variable.
func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, "-", "_"))
}

// description is the help with range and default.
func (s *setting) description() string {
	byDefault := s.get()
	switch {
	case s.isSwitch() && byDefault == "true":
		byDefault = "on"
	case s.isSwitch():
		byDefault = "off"
	case byDefault == "":
		byDefault = "none"
	}
	if s.span == "" {
		return fmt.Sprintf("%s (default: %s)", s.help, byDefault)
	}
	return fmt.Sprintf("%s (%s; default: %s)", s.help, s.span, byDefault)
}

// inGroup puts settings under a heading of --help.
func inGroup(name string, settings ...setting) []setting {
	for i := range settings {
		settings[i].group = name
	}
	return settings
}

// bound makes a setting of a value that format and parse turn to text and back.
func bound[T any](key string, at *T, kind, help string, format func(T) string, parse func(string) (T, error)) setting {
	get := func() string { return format(*at) }
	return setting{key: key, at: at, help: help, kind: kind, get: get, show: get, set: func(text string) error {
		v, err := parse(text)
		if err == nil {
			*at = v
		}
		return err
	}}
}

// ranged is bound with an order and limits.
func ranged[T cmp.Ordered](key string, at *T, low, high T, kind, help string, format func(T) string, parse func(string) (T, error)) setting {
	span := format(low) + " to " + format(high)
	s := bound(key, at, kind, help, format, func(text string) (T, error) {
		v, err := parse(text)
		if err == nil && (v < low || v > high) {
			err = fmt.Errorf("%s is out of range: %s", text, span)
		}
		return v, err
	})
	s.span = span
	return s
}

// text is a setting that takes any text.
func text(key string, at *string, kind, help string) setting {
	return bound(key, at, kind, help, func(v string) string { return v }, func(v string) (string, error) { return v, nil })
}

// databaseURL is a text in which a password may stand.
func databaseURL(key string, at *string, help string) setting {
	s := text(key, at, "URL", help)
	s.show = func() string { return maskPassword(*at) }
	return s
}

// oneOf is a text that is one of words.
func oneOf(key string, at *string, words []string, help string) setting {
	s := bound(key, at, "WORD", help, func(v string) string { return v }, func(v string) (string, error) {
		if !slices.Contains(words, v) {
			return "", fmt.Errorf("%q is not one of: %s", v, strings.Join(words, ", "))
		}
		return v, nil
	})
	s.span = strings.Join(words, ", ")
	return s
}

// auth is how clients prove who they are. Whoever asks for tokens must not be served without them, nor left to wonder.
func auth(at *string) setting {
	s := oneOf("auth", at, []string{authNone}, "How clients prove who they are; none lets everyone in who reaches the gateway.")
	check := s.set
	s.set = func(text string) error {
		if text == authJWT {
			return errors.New("jwt is not there yet: this version cannot check tokens, it serves loopback addresses without asking (none)")
		}
		return check(text)
	}
	return s
}

// level is a log level.
func level(key string, at *zerolog.Level, help string) setting {
	word := at.String()
	words := []string{"trace", "debug", "info", "warn", "error"}
	s := oneOf(key, &word, words, help)
	check := s.set
	s.get = func() string { return at.String() }
	s.show = s.get
	s.set = func(text string) error {
		if err := check(text); err != nil {
			return err
		}
		v, err := zerolog.ParseLevel(text)
		*at = v
		return err
	}
	return s
}

// toggle is a switch.
func toggle(key string, at *bool, help string) setting {
	return bound(key, at, "", help, strconv.FormatBool, func(text string) (bool, error) {
		switch strings.ToLower(text) {
		case "true", "yes", "on", "1":
			return true, nil
		case "false", "no", "off", "0":
			return false, nil
		}
		return false, fmt.Errorf("%q is neither true nor false", text)
	})
}

// list is a list of words, separated by commas.
func list(key string, at *[]string, kind, help string) setting {
	return bound(key, at, kind, help,
		func(v []string) string { return strings.Join(v, ",") },
		func(text string) ([]string, error) {
			var words []string
			for word := range strings.SplitSeq(text, ",") {
				if word = strings.TrimSpace(word); word != "" {
					words = append(words, word)
				}
			}
			return words, nil
		})
}

// number is a whole number of unit.
func number[T ~int | ~int32 | ~int64](key string, at *T, low, high T, unit, help string) setting {
	return ranged(key, at, low, high, unit, help,
		func(v T) string { return strconv.FormatInt(int64(v), 10) },
		func(text string) (T, error) {
			v, err := strconv.ParseInt(text, 10, 64)
			if err != nil || int64(T(v)) != v {
				return 0, fmt.Errorf("%q is not a whole number", text)
			}
			return T(v), nil
		})
}

// size is a number of bytes.
func size[T ~int | ~int32 | ~int64](key string, at *T, low, high T, help string) setting {
	return ranged(key, at, low, high, "SIZE", help,
		func(v T) string { return formatSize(int64(v)) },
		func(text string) (T, error) {
			v, err := parseSize(text)
			if err == nil && int64(T(v)) != v {
				err = fmt.Errorf("%s is too large", text)
			}
			return T(v), err
		})
}

// duration is a time span.
func duration(key string, at *time.Duration, low, high time.Duration, help string) setting {
	return ranged(key, at, low, high, "TIME", help, formatDuration, func(text string) (time.Duration, error) {
		v, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time: a number with a unit, like 500ms, 30s or 5m", text)
		}
		return v, nil
	})
}
