package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a run measured and what it found wrong.
type Result struct {
	Mode string `json:"mode"`
	// Dialect is "compact" (frames with an id) or "zaqar".
	Dialect string    `json:"dialect"`
	Started time.Time `json:"started"`
	// Settings are the configuration's fields that the mode uses.
	Settings map[string]any `json:"settings"`
	// Seconds is the length of the measured part, Count what happened in it, Unit what was counted.
	Seconds   float64 `json:"seconds"`
	Count     int64   `json:"count"`
	Unit      string  `json:"unit"`
	PerSecond float64 `json:"per_second"`
	// Latency has a distribution per kind of request, in milliseconds.
	Latency map[string]Distribution `json:"latency_ms,omitempty"`
	// GatewayCPU is the gateway process's CPU time per counted thing in microseconds, 0 if it is not known.
	GatewayCPU float64 `json:"gateway_cpu_us,omitempty"`
	// Memory is set by idle.
	Memory *Memory `json:"memory,omitempty"`
	// Steal is the share of CPU time, in percent, that the hypervisor gave to other machines meanwhile.
	Steal float64 `json:"steal_percent"`
	// Checks say what was verified, Violations what was found wrong; beyond the first ten only their number is kept.
	Checks         []string `json:"checks"`
	Violations     []string `json:"violations"`
	ViolationCount int      `json:"violation_count"`
	// Reference is a raw measurement taken right before and after.
	Reference *Reference `json:"reference,omitempty"`
}

// Distribution is a distribution of latencies in milliseconds.
type Distribution struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// Memory is what idle sessions cost the gateway.
type Memory struct {
	Sessions int `json:"sessions"`
	// Before and After are the resident set in bytes without and with the sessions.
	Before     int64   `json:"before_bytes"`
	After      int64   `json:"after_bytes"`
	PerSession float64 `json:"per_session_bytes"`
	// Goroutines is per session; nil if the gateway does not tell.
	Goroutines *float64 `json:"goroutines_per_session"`
	// AcceptsPerSecond is how fast the sessions were opened.
	AcceptsPerSecond float64 `json:"accepts_per_second"`
}

// Reference is a raw measurement of the same kind of work without a gateway, beside a run.
type Reference struct {
	// What says what was measured, Unit in what.
	What string `json:"what"`
	Unit string `json:"unit"`
	// Before and After are the measurements on either side of the run, Ratio is the run's figure divided by their mean.
	Before float64 `json:"before"`
	After  float64 `json:"after"`
	Ratio  float64 `json:"ratio"`
}

// violate notes something that must not be.
func (r *Result) violate(format string, args ...any) {
	r.ViolationCount++
	if len(r.Violations) < 10 {
		r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
	}
}

// checked notes a check that was made.
func (r *Result) checked(format string, args ...any) {
	r.Checks = append(r.Checks, fmt.Sprintf(format, args...))
}

// histogram counts latencies from 1 us to 10 minutes with three digits.
type histogram struct{ h *hdrhistogram.Histogram }

func newHistogram() histogram {
	return histogram{hdrhistogram.New(1, int64(10*time.Minute/time.Microsecond), 3)}
}

// record adds a latency in nanoseconds.
func (h histogram) record(ns int64) {
	_ = h.h.RecordValue(min(max(ns/1000, 1), h.h.HighestTrackableValue())) // clamped, so it cannot fail
}

// distribution summarises what was recorded.
func (h histogram) distribution() Distribution {
	at := func(q float64) float64 { return float64(h.h.ValueAtQuantile(q)) / 1000 }
	return Distribution{Count: h.h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), Max: float64(h.h.Max()) / 1000}
}
