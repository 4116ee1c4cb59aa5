package gateway

import (
	"errors"
	"time"
)

// WaitConfig holds the settings of calls that wait for a message. How long they may wait is Limits.MaxWait.
type WaitConfig struct {
	// MaxCalls is how many calls may wait at a time, in all; further ones are answered 503 if there is nothing for them
	// at once. 1 or more; default 50,000.
	MaxCalls int
	// PerProject, PerSession and PerAddress are how many of them may be of one project, of one session, and requests of
	// one address (of IPv6: one /64 network); further ones are answered 429. Waiting frames also count as outstanding
	// (Config.MaxOutstanding). 1 or more; defaults 20,000, 64 and 1024.
	PerProject, PerSession, PerAddress int
	// ScoutInterval is how often one of a queue's waiting calls looks although nobody told of anything: claims that
	// merely run out are found so. 10 ms or more; default 1 s.
	ScoutInterval time.Duration
	// ScoutRate is how many such looks there are in a second, in all: with more queues each has fewer. 1 or more;
	// default 200.
	ScoutRate int
}

// DefaultWaitConfig returns the defaults.
func DefaultWaitConfig() WaitConfig {
	return WaitConfig{
		MaxCalls: 50_000, PerProject: 20_000, PerSession: 64, PerAddress: 1024,
		ScoutInterval: time.Second, ScoutRate: 200,
	}
}

// Check returns an error that names every setting that is out of its range; nil if all is well.
func (c WaitConfig) Check() error {
	var faults []error
	for _, rule := range []configRule{
		{c.MaxCalls >= 1, "MaxCalls must be at least 1"},
		{c.PerProject >= 1, "PerProject must be at least 1"},
		{c.PerSession >= 1, "PerSession must be at least 1"},
		{c.PerAddress >= 1, "PerAddress must be at least 1"},
		{c.ScoutInterval >= 10*time.Millisecond, "ScoutInterval must be at least 10 ms"},
		{c.ScoutRate >= 1, "ScoutRate must be at least 1"},
	} {
		if !rule.ok {
			faults = append(faults, errors.New("wait: "+rule.text))
		}
	}
	return errors.Join(faults...)
}
