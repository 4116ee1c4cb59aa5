package main

import (
	"fmt"
	"strconv"
	"time"
)

// timeSpan is a flag that says how long: a number of seconds, as on the wire, or a number with a unit.
type timeSpan time.Duration

// UnmarshalText reads 300, 300s, 5m or 1h30m.
func (s *timeSpan) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if _, plain := strconv.ParseUint(string(text), 10, 32); plain == nil {
		d, err = time.ParseDuration(string(text) + "s")
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time: give seconds, or a number with a unit, like 300, 90s or 5m", text)
	}
	*s = timeSpan(d)
	return nil
}

func (s timeSpan) duration() time.Duration { return time.Duration(s) }
