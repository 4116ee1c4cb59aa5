package main

import (
	"testing"
	"time"
)

func TestTimeSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "300": 5 * time.Minute, "300s": 5 * time.Minute, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "4294967295": 4294967295 * time.Second,
	} {
		var s timeSpan
		if err := s.UnmarshalText([]byte(text)); err != nil || s.duration() != want {
			t.Errorf("%q is %v, %v; want %v", text, s.duration(), err, want)
		}
	}
	for _, text := range []string{"", "-1", "-5s", "1.5", "five", "99999999999999", "5 m"} {
		var s timeSpan
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, s.duration())
		}
	}
}
